//! Windows cut out of the samples of a series.

use std::ops::Range;

use demarc_store::Resolution;

use super::Shift;
use crate::promql::{
    ast::Edges,
    source::{Interval, RawHistogram, RawSeries},
    value::Steps,
};

/// How windows are cut out of series: their length, and where times are moved.
#[derive(Clone, Copy, Debug)]
pub(in crate::promql) struct Cut {
    pub(super) range: i64,
    pub(super) shift: Shift,
    pub(super) edges: Edges,
    pub(super) lookback: i64,
}

/// Where the last window that was cut out of a series begins and ends in its samples.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::promql) struct Bounds {
    floats: (usize, usize),
    histograms: (usize, usize),
}

impl Bounds {
    /// The numbers within the window.
    pub(in crate::promql) fn floats(&self) -> Range<usize> {
        self.floats.0..self.floats.1
    }
}

/// Samples of one series around a half-open window `(start, end]`, and the window.
#[derive(Clone, Copy, Debug)]
pub(in crate::promql) struct Window<'a> {
    pub(in crate::promql) floats: &'a [(i64, f64)],
    pub(in crate::promql) starts: Option<&'a [i64]>,
    pub(in crate::promql) histograms: &'a [RawHistogram],
    pub(in crate::promql) start: i64,
    pub(in crate::promql) end: i64,
}

impl Window<'_> {
    pub(in crate::promql) fn is_empty(&self) -> bool {
        self.floats.is_empty() && self.histograms.is_empty()
    }

    pub(in crate::promql) fn values(&self) -> impl Iterator<Item = f64> + Clone + '_ {
        self.floats.iter().map(|(_, value)| *value)
    }

    /// The length of the window in seconds.
    pub(in crate::promql) fn seconds(&self) -> f64 {
        (self.end - self.start) as f64 / 1000.0
    }
}

impl Cut {
    /// Windows of this length that hold nothing from beyond their edges.
    pub(in crate::promql) fn plain(range: i64, shift: Shift) -> Self {
        Self {
            range,
            shift,
            edges: Edges::Plain,
            lookback: 0,
        }
    }

    /// The times that the windows at these steps cover.
    pub(in crate::promql) fn interval(&self, steps: Steps) -> Interval {
        let (first, last) = self.shift.span(steps);
        Interval {
            min: first.saturating_sub(self.range).saturating_add(1),
            max: last,
        }
    }

    /// The longest windows of stored samples of which each is within or without the window at any of these steps.
    pub(in crate::promql) fn longest(&self, steps: Steps) -> Option<Resolution> {
        let fits = |one: &Resolution| self.range % one.millis() == 0;
        longest_at(self.shift, steps, fits)
    }

    /// Whether windows hold nothing from beyond their edges.
    pub(in crate::promql) fn is_plain(&self) -> bool {
        self.edges == Edges::Plain
    }

    /// All samples of a series as one window.
    pub(in crate::promql) fn whole<'a>(&self, series: &'a RawSeries) -> Window<'a> {
        Window {
            floats: &series.floats,
            starts: (!series.starts.is_empty()).then_some(series.starts.as_slice()),
            histograms: &series.histograms,
            start: i64::MIN,
            end: i64::MAX,
        }
    }

    /// The window at an evaluation time, without samples.
    pub(in crate::promql) fn empty(&self, time: i64) -> Window<'static> {
        let end = self.shift.apply(time);
        Window {
            floats: &[],
            starts: None,
            histograms: &[],
            start: end.saturating_sub(self.range),
            end,
        }
    }

    /// The window of a series at an evaluation time. With `anchored` and `smoothed`, samples beyond its edges are in it too.
    /// `last`: the bounds of the window at an earlier time, or of none.
    pub(in crate::promql) fn window<'a>(
        &self,
        series: &'a RawSeries,
        time: i64,
        last: &mut Bounds,
    ) -> Window<'a> {
        let end = self.shift.apply(time);
        let start = end.saturating_sub(self.range);
        let (mut after, mut until) = (start, end);
        if self.edges != Edges::Plain {
            after = after.saturating_sub(self.lookback);
        }
        if self.edges == Edges::Smoothed {
            until = until.saturating_add(self.lookback);
        }
        let (floats, histograms) = (&series.floats, &series.histograms);
        advance(floats, &mut last.floats, (after, until), |one| one.0);
        advance(histograms, &mut last.histograms, (after, until), |one| {
            one.time
        });
        let floats = last.floats.0..last.floats.1;
        let starts = (!series.starts.is_empty()).then(|| &series.starts[floats.clone()]);
        Window {
            floats: &series.floats[floats],
            starts,
            histograms: &histograms[last.histograms.0..last.histograms.1],
            start,
            end,
        }
    }
}

/// The longest windows of stored samples that `fits` and of which one ends at each moved step.
pub(super) fn longest_at(
    shift: Shift,
    steps: Steps,
    fits: impl Fn(&Resolution) -> bool,
) -> Option<Resolution> {
    let ends_at = |one: &Resolution, time: usize| shift.apply(steps.time(time)) % one.millis() == 0;
    // The second step is for the distance between steps.
    let all_end = |one: &Resolution| (0..steps.count.min(2)).all(|time| ends_at(one, time));
    Resolution::ALL
        .into_iter()
        .find(|one| fits(one) && all_end(one))
}

/// Moves the bounds of a window to the samples after the first and up to the second of two times, which only rise.
fn advance<T>(
    samples: &[T],
    (from, to): &mut (usize, usize),
    (after, until): (i64, i64),
    time: impl Fn(&T) -> i64,
) {
    while samples.get(*from).is_some_and(|one| time(one) <= after) {
        *from += 1;
    }
    *to = (*to).max(*from);
    while samples.get(*to).is_some_and(|one| time(one) <= until) {
        *to += 1;
    }
}
