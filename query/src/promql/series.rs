//! The shapes that values have while a query is evaluated.

use std::collections::BTreeMap;

use demarc_proto::{Labels, METRIC_NAME};

use crate::QueryError;

/// Evaluation times, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Steps {
    pub(crate) start: i64,
    pub(crate) step: i64,
    pub(crate) count: usize,
}

impl Steps {
    pub(crate) fn times(self) -> impl Iterator<Item = i64> {
        (0..self.count as i64).map(move |at| self.start + at * self.step)
    }

    pub(crate) fn end(self) -> i64 {
        self.start + (self.count as i64 - 1) * self.step
    }
}

/// One series, evaluated: a value or nothing at each step.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    pub(crate) values: Vec<Option<f64>>,
}

/// One series, as stored: times in milliseconds, ascending, each once.
#[derive(Clone, Debug)]
pub(crate) struct RawSeries {
    pub(crate) labels: Labels,
    pub(crate) samples: Vec<(i64, f64)>,
}

/// Samples within a half-open window `(start, end]`, and the window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window<'a> {
    pub(crate) samples: &'a [(i64, f64)],
    pub(crate) start: i64,
    pub(crate) end: i64,
}

impl Window<'_> {
    pub(crate) fn values(&self) -> impl Iterator<Item = f64> {
        self.samples.iter().map(|(_, value)| *value)
    }
}

/// The labels without the metric's name.
pub(crate) fn without_name(labels: &Labels) -> Labels {
    let mut labels = labels.clone();
    labels.set(METRIC_NAME, "");
    labels
}

/// Joins series that came to have the same labels, as long as no step has a value of two of them.
pub(crate) fn merge_same(series: Vec<Series>) -> Result<Vec<Series>, QueryError> {
    let mut merged: BTreeMap<Labels, Vec<Option<f64>>> = BTreeMap::new();
    for one in series {
        let Some(values) = merged.get_mut(&one.labels) else {
            merged.insert(one.labels, one.values);
            continue;
        };
        for (old, new) in values.iter_mut().zip(one.values) {
            if old.is_some() && new.is_some() {
                let sentence = "vector cannot contain metrics with the same labelset";
                return Err(QueryError::Evaluation(sentence.to_owned()));
            }
            *old = old.or(new);
        }
    }
    Ok(merged
        .into_iter()
        .map(|(labels, values)| Series { labels, values })
        .collect())
}

/// A sum that keeps what rounding would lose (Neumaier).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum {
    sum: f64,
    lost: f64,
}

impl Sum {
    pub(crate) fn add(&mut self, value: f64) {
        let total = self.sum + value;
        if total.is_infinite() {
            self.lost = 0.0;
        } else if self.sum.abs() >= value.abs() {
            self.lost += (self.sum - total) + value;
        } else {
            self.lost += (value - total) + self.sum;
        }
        self.sum = total;
    }

    pub(crate) fn total(self) -> f64 {
        if self.sum.is_infinite() {
            self.sum
        } else {
            self.sum + self.lost
        }
    }

    pub(crate) fn of(values: impl Iterator<Item = f64>) -> f64 {
        let mut sum = Self::default();
        values.for_each(|value| sum.add(value));
        sum.total()
    }
}

/// The mean, without overflow where the sum would have one.
pub(crate) fn mean(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let sum = Sum::of(values.iter().copied());
    if sum.is_finite() || values.iter().any(|value| !value.is_finite()) {
        return sum / count;
    }
    Sum::of(values.iter().map(|value| value / count))
}

/// The population variance.
pub(crate) fn variance(values: &[f64]) -> f64 {
    let mean = mean(values);
    Sum::of(values.iter().map(|value| (value - mean) * (value - mean))) / values.len() as f64
}

/// The φ-quantile by linear interpolation between ranks; ±infinity outside [0, 1], NaN without values.
///
/// Source: Prometheus, `quantile()`.
pub(crate) fn quantile(q: f64, mut values: Vec<f64>) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    values.sort_by(|a, b| nan_first(*a, *b));
    let rank = q * (values.len() as f64 - 1.0);
    let lower = rank.floor().max(0.0) as usize;
    let upper = (lower + 1).min(values.len() - 1);
    let weight = rank - rank.floor();
    values[lower] * (1.0 - weight) + values[upper] * weight
}

/// Ascending, with NaN before everything.
pub(crate) fn nan_first(a: f64, b: f64) -> std::cmp::Ordering {
    a.partial_cmp(&b)
        .unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
}
