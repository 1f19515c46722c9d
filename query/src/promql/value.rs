//! The shapes that values have while a query is evaluated.

use std::{collections::BTreeMap, ops::Deref, sync::Arc};

use demarc_proto::{Labels, METRIC_NAME};
use demarc_store::SeriesEntry;

use super::native::Histogram;
use crate::QueryError;

/// The bits of the NaN that says "this series ended". Source: Prometheus, `model/value`.
///
/// Selectors drop stale markers, so that within an evaluation these bits say that there is no number.
const STALE_MARKER: u64 = 0x7ff0_0000_0000_0002;

/// No number.
pub(super) const ABSENT: f64 = f64::from_bits(STALE_MARKER);

/// Whether a stored value ends a series, or an evaluated one is not there.
pub(super) fn is_absent(value: f64) -> bool {
    value.to_bits() == STALE_MARKER
}

/// Evaluation times, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Steps {
    pub(crate) start: i64,
    pub(crate) step: i64,
    pub(crate) count: usize,
}

impl Steps {
    pub(crate) fn at(time: i64) -> Self {
        Self {
            start: time,
            step: 1,
            count: 1,
        }
    }

    pub(crate) fn times(self) -> impl Iterator<Item = i64> {
        (0..self.count as i64).map(move |at| self.start + at * self.step)
    }

    pub(crate) fn time(self, at: usize) -> i64 {
        self.start + at as i64 * self.step
    }

    pub(crate) fn end(self) -> i64 {
        self.time(self.count) - self.step
    }
}

/// What a query asks for: its times, and whether it is a range query.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) steps: Steps,
    pub(crate) is_range: bool,
}

impl Asked {
    /// `step()`: nothing for an instant query.
    pub(super) fn step_seconds(self) -> f64 {
        if self.is_range {
            self.steps.step as f64 / 1000.0
        } else {
            0.0
        }
    }

    /// `range()`
    pub(super) fn range_seconds(self) -> f64 {
        (self.steps.end() - self.steps.start) as f64 / 1000.0
    }
}

/// The labels of a series: as stored, or made by the query. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) enum SeriesLabels {
    Stored(Arc<SeriesEntry>),
    Made(Arc<Labels>),
}

impl SeriesLabels {
    pub(super) fn into_labels(self) -> Labels {
        match self {
            Self::Stored(entry) => entry.labels.clone(),
            Self::Made(labels) => {
                Arc::try_unwrap(labels).unwrap_or_else(|shared| (*shared).clone())
            }
        }
    }
}

impl From<Labels> for SeriesLabels {
    fn from(labels: Labels) -> Self {
        Self::Made(Arc::new(labels))
    }
}

impl Deref for SeriesLabels {
    type Target = Labels;

    fn deref(&self) -> &Labels {
        match self {
            Self::Stored(entry) => &entry.labels,
            Self::Made(labels) => labels,
        }
    }
}

/// A value at one time.
#[derive(Clone, Debug)]
pub(super) enum Cell {
    Float(f64),
    Histogram(Arc<Histogram>),
}

/// One series, evaluated: at each step a number, a histogram or nothing.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) labels: SeriesLabels,
    /// Whether the metric's name no longer fits. It is dropped at the end only, so that the query can still use it.
    pub(super) drop_name: bool,
    /// [`ABSENT`] where there is no number.
    pub(super) floats: Vec<f64>,
    /// Where there is any histogram: one or none for each step.
    pub(super) histograms: Option<Vec<Option<Arc<Histogram>>>>,
}

impl Series {
    /// A series without values at `count` steps.
    pub(super) fn empty(labels: impl Into<SeriesLabels>, drop_name: bool, count: usize) -> Self {
        Self {
            labels: labels.into(),
            drop_name,
            floats: vec![ABSENT; count],
            histograms: None,
        }
    }

    pub(super) fn of_floats(
        labels: impl Into<SeriesLabels>,
        drop_name: bool,
        floats: Vec<f64>,
    ) -> Self {
        Self {
            labels: labels.into(),
            drop_name,
            floats,
            histograms: None,
        }
    }

    pub(super) fn float(&self, step: usize) -> Option<f64> {
        let value = self.floats[step];
        (!is_absent(value)).then_some(value)
    }

    pub(super) fn histogram(&self, step: usize) -> Option<&Arc<Histogram>> {
        self.histograms.as_ref()?[step].as_ref()
    }

    pub(super) fn cell(&self, step: usize) -> Option<Cell> {
        if let Some(histogram) = self.histogram(step) {
            return Some(Cell::Histogram(Arc::clone(histogram)));
        }
        self.float(step).map(Cell::Float)
    }

    pub(super) fn is_present(&self, step: usize) -> bool {
        !is_absent(self.floats[step]) || self.histogram(step).is_some()
    }

    pub(super) fn set(&mut self, step: usize, cell: Cell) {
        match cell {
            Cell::Float(value) => {
                self.floats[step] = value;
                if let Some(histograms) = &mut self.histograms {
                    histograms[step] = None;
                }
            }
            Cell::Histogram(histogram) => {
                self.floats[step] = ABSENT;
                let count = self.floats.len();
                let histograms = self.histograms.get_or_insert_with(|| vec![None; count]);
                histograms[step] = Some(histogram);
            }
        }
    }

    pub(super) fn clear(&mut self, step: usize) {
        self.floats[step] = ABSENT;
        if let Some(histograms) = &mut self.histograms {
            histograms[step] = None;
        }
    }

    /// Whether it has no value at any step.
    pub(super) fn is_empty(&self) -> bool {
        let no_histogram = |all: &Vec<Option<Arc<Histogram>>>| all.iter().all(Option::is_none);
        self.floats.iter().all(|value| is_absent(*value))
            && self.histograms.as_ref().is_none_or(no_histogram)
    }
}

/// Labels that describe the metric and no longer fit once a value is calculated.
pub(super) fn is_metadata(name: &str) -> bool {
    name == METRIC_NAME || name == "__type__" || name == "__unit__"
}

/// The labels without those that describe the metric.
pub(super) fn without_metadata(labels: &Labels) -> Labels {
    let mut labels = labels.clone();
    labels.retain(|name| !is_metadata(name));
    labels
}

pub(super) fn same_labelset() -> QueryError {
    let sentence = "vector cannot contain metrics with the same labelset";
    QueryError::Evaluation(sentence.to_owned())
}

/// Joins series with the same labels, as long as no step has a value of two of them; sorts by labels.
pub(super) fn merge_same(series: Vec<Series>) -> Result<Vec<Series>, QueryError> {
    if series.is_sorted_by(|a, b| *a.labels < *b.labels) {
        return Ok(series);
    }
    let mut merged: BTreeMap<SortedLabels, Series> = BTreeMap::new();
    for one in series {
        let key = SortedLabels(one.labels.clone());
        let Some(into) = merged.get_mut(&key) else {
            merged.insert(key, one);
            continue;
        };
        into.drop_name |= one.drop_name;
        for step in 0..one.floats.len() {
            if let Some(cell) = one.cell(step) {
                if into.is_present(step) {
                    return Err(same_labelset());
                }
                into.set(step, cell);
            }
        }
    }
    Ok(merged.into_values().collect())
}

/// Labels in the order of their contents.
struct SortedLabels(SeriesLabels);

impl PartialEq for SortedLabels {
    fn eq(&self, other: &Self) -> bool {
        *self.0 == *other.0
    }
}

impl Eq for SortedLabels {}

impl PartialOrd for SortedLabels {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SortedLabels {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.deref().cmp(&other.0)
    }
}

/// Drops the names that no longer fit, and joins what is then the same.
pub(super) fn drop_names(series: Vec<Series>) -> Result<Vec<Series>, QueryError> {
    let dropped = series.into_iter().map(|mut one| {
        if one.drop_name {
            one.labels = without_metadata(&one.labels).into();
        }
        one
    });
    merge_same(dropped.collect())
}
