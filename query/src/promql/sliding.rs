//! Functions of windows that need not look at all samples of a window again at each step: what is known of the last window is
//! carried on. The values are those of the plain functions, to the bit.

use std::{collections::VecDeque, ops::Range};

use super::{
    rate::{self, Counter},
    selector::{Bounds, Cut, Window},
    source::RawSeries,
    value::{Series, Steps},
};

/// Sums of whole numbers below this are exact, however they are added up.
const EXACT: f64 = (1_u64 << 53) as f64;

/// A function of one series' windows, and what it has to know beforehand.
pub(super) enum Sliding {
    /// Of `rate`, `increase` and `delta`: the places of the samples before which the counter began anew.
    Change {
        counter: Counter,
        is_rate: bool,
        resets: Vec<usize>,
    },
    /// Of `min_over_time`.
    Least,
    /// Of `max_over_time`.
    Greatest,
    /// Of `sum_over_time` and `avg_over_time`: the sums of all samples before each.
    Sum { is_mean: bool, before: Vec<i64> },
}

/// Those samples of a window that are the best one now, or will be once the ones before them are gone.
#[derive(Default)]
struct Best {
    places: VecDeque<(usize, f64)>,
    /// The first sample that was not looked at yet.
    next: usize,
}

impl Sliding {
    /// The function called `name`, if it is one of these; `None` where the windows of `raw` hold anything but plain numbers.
    pub(super) fn over(name: &str, raw: &RawSeries, cut: &Cut) -> Option<Self> {
        if !raw.histograms.is_empty() || !cut.is_plain() {
            return None;
        }
        let (counter, is_rate) = match name {
            "rate" => (Counter::Yes, true),
            "increase" => (Counter::Yes, false),
            "delta" => (Counter::No, false),
            "min_over_time" => return Some(Self::Least),
            "max_over_time" => return Some(Self::Greatest),
            "sum_over_time" | "avg_over_time" => {
                let before = exact_sums(raw)?;
                let is_mean = name == "avg_over_time";
                return Some(Self::Sum { is_mean, before });
            }
            _ => return None,
        };
        let whole = cut.whole(raw);
        let resets = match counter {
            Counter::Yes => (1..raw.floats.len())
                .filter(|at| rate::is_reset(whole, *at))
                .collect(),
            Counter::No => Vec::new(),
        };
        Some(Self::Change {
            counter,
            is_rate,
            resets,
        })
    }

    /// The values at all steps; `None` when there is none.
    pub(super) fn apply(&self, (raw, cut): (&RawSeries, &Cut), steps: Steps) -> Option<Series> {
        let mut series = Series::empty(raw.labels.clone(), true, steps.count);
        let mut is_empty = true;
        let mut bounds = Bounds::default();
        let mut best = Best::default();
        for (time, slot) in steps.times().zip(&mut series.floats) {
            let window = cut.window(raw, time, &mut bounds);
            if window.is_empty() {
                continue;
            }
            if let Some(value) = self.value(window, bounds, &mut best, raw) {
                *slot = value;
                is_empty = false;
            }
        }
        (!is_empty).then_some(series)
    }

    fn value(
        &self,
        window: Window<'_>,
        bounds: Bounds,
        best: &mut Best,
        raw: &RawSeries,
    ) -> Option<f64> {
        let within = bounds.floats();
        match self {
            Self::Change {
                counter,
                is_rate,
                resets,
            } => {
                let first = resets.partition_point(|at| *at <= within.start);
                let resets = resets[first..].iter().take_while(|at| **at < within.end);
                let resets = resets.map(|at| at - within.start);
                let change = rate::change_of_floats(window, *counter, resets)?;
                Some(if *is_rate {
                    change / window.seconds()
                } else {
                    change
                })
            }
            Self::Least => best.move_to(&raw.floats, within, |value, best| value <= best),
            Self::Greatest => best.move_to(&raw.floats, within, |value, best| value >= best),
            Self::Sum { is_mean, before } => {
                let sum = (before[within.end] - before[within.start]) as f64;
                Some(if *is_mean {
                    sum / within.len() as f64
                } else {
                    sum
                })
            }
        }
    }
}

/// The sums of the numbers before each, and of all; `None` unless every sum of some of them is exact.
fn exact_sums(raw: &RawSeries) -> Option<Vec<i64>> {
    let (mut sum, mut size) = (0, 0.0);
    let mut before = Vec::with_capacity(raw.floats.len() + 1);
    before.push(0);
    for (_, value) in &raw.floats {
        size += value.abs();
        // Not of NaN either.
        if value.fract() != 0.0 || size.is_nan() || size >= EXACT {
            return None;
        }
        sum += *value as i64;
        before.push(sum);
    }
    Some(before)
}

impl Best {
    /// The best value within a window that begins and ends no earlier than the last one did; of equal ones the last, and NaN only if
    /// there is nothing else.
    fn move_to(
        &mut self,
        floats: &[(i64, f64)],
        window: Range<usize>,
        is_better: impl Fn(f64, f64) -> bool,
    ) -> Option<f64> {
        let new = self.next.max(window.start);
        for (place, (_, value)) in (new..).zip(&floats[new..window.end]) {
            let value = *value;
            let is_beaten = |last: &f64| is_better(value, *last) || last.is_nan();
            while self.places.back().is_some_and(|(_, last)| is_beaten(last)) {
                self.places.pop_back();
            }
            self.places.push_back((place, value));
        }
        self.next = window.end;
        while let Some((place, _)) = self.places.front()
            && *place < window.start
        {
            self.places.pop_front();
        }
        self.places.front().map(|(_, value)| *value)
    }
}

#[cfg(test)]
mod tests;
