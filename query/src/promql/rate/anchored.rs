//! The change between the edges of a window, from the samples around them: `anchored` and `smoothed`.

use std::sync::Arc;

use demarc_store::CounterReset;

use super::Counter;
use crate::promql::{
    annotation::Note, ast::Edges, native::Histogram, selector::Window, value::Cell, window::Context,
};

/// What a sample can do here: a number or a histogram.
trait Measure: Clone {
    fn plus(&self, other: &Self) -> Option<Self>;
    fn minus(&self, other: &Self) -> Option<Self>;
    fn times(&self, factor: f64) -> Self;
    fn is_reset_since(&self, before: &Self) -> bool;
}

impl Measure for f64 {
    fn plus(&self, other: &Self) -> Option<Self> {
        Some(self + other)
    }

    fn minus(&self, other: &Self) -> Option<Self> {
        Some(self - other)
    }

    fn times(&self, factor: f64) -> Self {
        self * factor
    }

    fn is_reset_since(&self, before: &Self) -> bool {
        self < before
    }
}

impl Measure for Histogram {
    fn plus(&self, other: &Self) -> Option<Self> {
        self.plus(other).map(|(sum, _)| sum)
    }

    fn minus(&self, other: &Self) -> Option<Self> {
        self.minus(other).map(|(difference, _)| difference)
    }

    fn times(&self, factor: f64) -> Self {
        self.scaled(factor)
    }

    fn is_reset_since(&self, before: &Self) -> bool {
        self.is_reset_since(before)
    }
}

/// The change between the window's edges.
pub(super) fn change(window: Window<'_>, context: Context<'_>, counter: Counter) -> Option<Cell> {
    let edges = Edge {
        window,
        counter,
        is_smoothed: context.edges == Edges::Smoothed,
    };
    if window.histograms.is_empty() {
        return edges.change(window.floats).map(Cell::Float);
    }
    let histograms: Vec<(i64, Histogram)> = window
        .histograms
        .iter()
        .map(|one| (one.time, (*one.value).clone()))
        .collect();
    let used = edges.used(&histograms)?;
    note_kind(&histograms[used.clone()], context, counter);
    let is_custom = histograms[used.start].1.has_custom_buckets();
    if histograms[used]
        .iter()
        .any(|(_, one)| one.has_custom_buckets() != is_custom)
    {
        context.note(&Note::MixedExponentialCustom);
        return None;
    }
    let mut change = edges.change(&histograms)?;
    change.reset = CounterReset::Gauge;
    Some(Cell::Histogram(Arc::new(change)))
}

fn note_kind(histograms: &[(i64, Histogram)], context: Context<'_>, counter: Counter) {
    let is_gauge = |one: &(i64, Histogram)| one.1.reset == CounterReset::Gauge;
    if counter == Counter::Yes && histograms.iter().any(is_gauge) {
        context.note(&Note::NotCounter);
    }
    if counter == Counter::No && !histograms.iter().all(is_gauge) {
        context.note(&Note::NotGauge);
    }
}

struct Edge<'a> {
    window: Window<'a>,
    counter: Counter,
    is_smoothed: bool,
}

impl Edge<'_> {
    /// The samples that count: from the last one at or before the start to the last one in the window, or to the first one at
    /// or behind the end where values are interpolated. `None` when none of them says anything about the window.
    fn used<T>(&self, samples: &[(i64, T)]) -> Option<std::ops::Range<usize>> {
        let before = samples.partition_point(|(time, _)| *time <= self.window.start);
        let first = before.saturating_sub(1);
        let mut last = samples.len().checked_sub(1)?;
        if self.is_smoothed {
            last = last.min(samples.partition_point(|(time, _)| *time < self.window.end));
        }
        let is_before = samples[last].0 <= self.window.start;
        let is_behind = samples[first].0 > self.window.end;
        (!is_before && !is_behind).then_some(first..last + 1)
    }

    fn change<T: Measure>(&self, samples: &[(i64, T)]) -> Option<T> {
        let used = &samples[self.used(samples)?];
        let last = used.len() - 1;
        let (mut left, mut right) = (used[0].1.clone(), used[last].1.clone());
        let is_left_between = self.is_smoothed && last > 0 && used[0].0 < self.window.start;
        let is_right_between = self.is_smoothed && last > 0 && used[last].0 > self.window.end;
        if is_left_between {
            left = self.between(&used[0], &used[1], self.window.start, Side::Left)?;
        }
        if is_right_between {
            right = self.between(&used[last - 1], &used[last], self.window.end, Side::Right)?;
        }
        let mut change = right.minus(&left)?;
        if self.counter == Counter::No {
            return Some(change);
        }
        for at in 1..=last {
            let is_interpolated = (at == 1 && is_left_between) || (at == last && is_right_between);
            if !is_interpolated && used[at].1.is_reset_since(&used[at - 1].1) {
                change = change.plus(&used[at - 1].1)?;
            }
        }
        Some(change)
    }

    /// The value between two samples. Across a counter reset it begins at zero on the left edge, and goes on rising on the
    /// right edge.
    fn between<T: Measure>(
        &self,
        before: &(i64, T),
        after: &(i64, T),
        at: i64,
        side: Side,
    ) -> Option<T> {
        let share = (at - before.0) as f64 / (after.0 - before.0) as f64;
        let is_reset = self.counter == Counter::Yes && after.1.is_reset_since(&before.1);
        match (is_reset, side) {
            (true, Side::Left) => Some(after.1.times(share)),
            (true, Side::Right) => before.1.plus(&after.1.times(share)),
            (false, _) => before.1.plus(&after.1.minus(&before.1)?.times(share)),
        }
    }
}

#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
}
