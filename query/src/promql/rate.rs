//! How samples change within a window.
//!
//! Source: Prometheus 3.14, "Querying: functions", `rate()`, `increase()`, `delta()`, `irate()`, `idelta()`.

mod anchored;
mod native;

use std::sync::Arc;

pub(super) use demarc_store::is_restarted;
use demarc_store::{CounterReset, Window as Old};

use super::{
    annotation::{Note, Operation},
    ast::Edges,
    native::Histogram,
    selector::Window,
    value::Cell,
    window::Context,
};

/// Whether a fall is a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counter {
    Yes,
    No,
}

/// The change over a window as a rate.
pub(super) fn per_second(change: Cell, window: Window<'_>) -> Cell {
    let seconds = window.seconds();
    match change {
        Cell::Float(value) => Cell::Float(value / seconds),
        Cell::Histogram(histogram) => Cell::Histogram(Arc::new(histogram.scaled(1.0 / seconds))),
    }
}

/// The change within the window, extrapolated to its edges, or taken at its edges with `anchored` and `smoothed`.
pub(super) fn change(window: Window<'_>, context: Context<'_>, counter: Counter) -> Option<Cell> {
    if !window.floats.is_empty() && !window.histograms.is_empty() {
        context.note(&Note::MixedFloatsHistograms);
        return None;
    }
    if context.edges != Edges::Plain {
        return anchored::change(window, context, counter);
    }
    if window.histograms.is_empty() {
        let resets = (1..window.floats.len()).filter(|at| is_reset(window, *at));
        return change_of_floats(window, counter, resets).map(Cell::Float);
    }
    let sampled = native::sampled(window, context, counter)?;
    let first = window.histograms[0].value.count;
    let factor = sampled.extrapolation(window, counter, sampled.value.count, first);
    Some(Cell::Histogram(Arc::new(sampled.value.scaled(factor))))
}

/// The change between the first and the last sample, before extrapolation. Times in milliseconds.
struct Sampled<T> {
    value: T,
    first: i64,
    last: i64,
    /// How far samples are apart on average, in seconds; 0 for one sample with a known start.
    average: f64,
    /// Whether the count is known to have begun within the window, so that nothing is missing on the left.
    begins_within: bool,
}

impl<T> Sampled<T> {
    /// By how much the sampled change must be multiplied to be that of the whole window. A counter is not extrapolated to the
    /// left beyond where it would be zero: `change` is the sampled change and `first` the first value.
    fn extrapolation(&self, window: Window<'_>, counter: Counter, change: f64, first: f64) -> f64 {
        let sampled = (self.last - self.first) as f64 / 1000.0;
        let threshold = self.average * 1.1;
        let mut to_start = (self.first - window.start) as f64 / 1000.0;
        let mut to_end = (window.end - self.last) as f64 / 1000.0;
        if to_start >= threshold {
            to_start = self.average / 2.0;
        }
        if counter == Counter::Yes && change > 0.0 && first >= 0.0 {
            to_start = to_start.min(sampled * (first / change));
        }
        if self.begins_within {
            to_start = 0.0;
        }
        if to_end >= threshold {
            to_end = self.average / 2.0;
        }
        (sampled + to_start + to_end) / sampled
    }
}

/// When the first sample's count began, if that is known to be within the window and before the sample.
fn start_within(window: Window<'_>, start: i64, time: i64, counter: Counter) -> Option<i64> {
    let is_within = counter == Counter::Yes && start != 0 && start > window.start && start < time;
    is_within.then_some(start)
}

/// [`change`] of numbers, extrapolated. `resets`: the places of the samples within the window before which a counter began anew.
pub(super) fn change_of_floats(
    window: Window<'_>,
    counter: Counter,
    resets: impl Iterator<Item = usize>,
) -> Option<f64> {
    let sampled = sampled_floats(window, counter, resets)?;
    let factor = sampled.extrapolation(window, counter, sampled.value, window.floats[0].1);
    Some(sampled.value * factor)
}

/// Whether a counter began anew before the sample at a place that is not the first.
pub(super) fn is_reset(window: Window<'_>, at: usize) -> bool {
    let (before, now) = (window.floats[at - 1], window.floats[at]);
    let is_restart = window
        .starts
        .is_some_and(|starts| is_restarted((starts[at - 1], before.0), (starts[at], now.0)));
    now.1 < before.1 || is_restart
}

fn sampled_floats(
    window: Window<'_>,
    counter: Counter,
    resets: impl Iterator<Item = usize>,
) -> Option<Sampled<f64>> {
    let floats = window.floats;
    let (first, last) = (floats.first()?, floats.last()?);
    let start = window.starts.map_or(0, |starts| starts[0]);
    let start = start_within(window, start, first.0, counter);
    if floats.len() < 2 && start.is_none() {
        return None;
    }
    let mut value = last.1 - first.1;
    if counter == Counter::Yes {
        for at in resets {
            value += floats[at - 1].1;
        }
    }
    if start.is_some() {
        value += first.1;
    }
    Some(Sampled {
        value,
        first: start.unwrap_or(first.0),
        last: last.0,
        average: average(first.0, last.0, floats.len()),
        begins_within: start.is_some(),
    })
}

/// [`change`] of what is known of all samples within the window.
pub(super) fn change_of_old(all: &Old, window: Window<'_>, counter: Counter) -> Option<f64> {
    let (first, last) = (all.first, all.last);
    let start = start_within(window, first.start, first.time, counter);
    if all.count < 2 && start.is_none() {
        return None;
    }
    let mut value = last.value - first.value;
    if counter == Counter::Yes {
        value += all.resets;
    }
    if start.is_some() {
        value += first.value;
    }
    let sampled = Sampled {
        value,
        first: start.unwrap_or(first.time),
        last: last.time,
        average: average(
            first.time,
            last.time,
            usize::try_from(all.count).unwrap_or(2),
        ),
        begins_within: start.is_some(),
    };
    Some(value * sampled.extrapolation(window, counter, value, first.value))
}

fn average(first: i64, last: i64, count: usize) -> f64 {
    if count < 2 {
        return 0.0;
    }
    (last - first) as f64 / 1000.0 / (count - 1) as f64
}

/// One of the last two samples.
#[derive(Clone)]
struct Last {
    time: i64,
    start: i64,
    cell: Cell,
}

/// The change between the last two samples; for a counter per second.
pub(super) fn last_change(
    window: Window<'_>,
    context: Context<'_>,
    counter: Counter,
) -> Option<Cell> {
    let (before, last) = last_two(window)?;
    let seconds = (last.time - before.time) as f64 / 1000.0;
    if seconds == 0.0 {
        return None;
    }
    let is_restart = is_restarted((before.start, before.time), (last.start, last.time));
    let change = match (&before.cell, &last.cell) {
        (Cell::Float(a), Cell::Float(b)) => {
            let is_reset = counter == Counter::Yes && (b < a || is_restart);
            Cell::Float(if is_reset { *b } else { b - a })
        }
        (Cell::Histogram(a), Cell::Histogram(b)) => {
            let change = native_change(a, b, is_restart, context, counter)?;
            Cell::Histogram(Arc::new(change))
        }
        _ => {
            context.note(&Note::MixedFloatsHistograms);
            return None;
        }
    };
    if counter == Counter::No {
        return Some(change);
    }
    Some(match change {
        Cell::Float(value) => Cell::Float(value / seconds),
        Cell::Histogram(histogram) => Cell::Histogram(Arc::new(histogram.scaled(1.0 / seconds))),
    })
}

fn last_two(window: Window<'_>) -> Option<(Last, Last)> {
    let starts = window.starts;
    let floats = window.floats.iter().enumerate().rev().take(2);
    let mut lasts: Vec<Last> = floats
        .map(|(at, (time, value))| Last {
            time: *time,
            start: starts.map_or(0, |starts| starts[at]),
            cell: Cell::Float(*value),
        })
        .collect();
    lasts.extend(window.histograms.iter().rev().take(2).map(|one| Last {
        time: one.time,
        start: one.start,
        cell: Cell::Histogram(Arc::clone(&one.value)),
    }));
    lasts.sort_by_key(|one| std::cmp::Reverse(one.time));
    match lasts.as_slice() {
        [last, before, ..] => Some((before.clone(), last.clone())),
        _ => None,
    }
}

fn native_change(
    before: &Histogram,
    last: &Histogram,
    is_restart: bool,
    context: Context<'_>,
    counter: Counter,
) -> Option<Histogram> {
    let gauges = [before, last].map(|one| one.reset == CounterReset::Gauge);
    if counter == Counter::Yes && gauges.contains(&true) {
        context.note(&Note::NotCounter);
    }
    if counter == Counter::No && gauges.contains(&false) {
        context.note(&Note::NotGauge);
    }
    let is_reset = counter == Counter::Yes && (is_restart || last.is_reset_since(before));
    if is_reset {
        let mut change = last.clone();
        change.reset = CounterReset::Gauge;
        return Some(change);
    }
    let Some((mut change, notes)) = last.minus(before) else {
        context.note(&Note::MixedExponentialCustom);
        return None;
    };
    if notes.bounds_differ {
        context.note(&Note::BoundsReconciled(Operation::Subtraction));
    }
    change.reset = CounterReset::Gauge;
    Some(change)
}
