//! Functions that put the samples of a window together.
//!
//! Source: Prometheus 3.14, "Querying: functions", `<aggregation>_over_time()`, `changes()`, `resets()`.

use std::sync::Arc;

use super::{
    annotation::{Note, Operation},
    ast::Edges,
    native::{Histogram, HistogramSum},
    rate::is_restarted,
    selector::Window,
    source::RawHistogram,
    sum::{Sum, mean, quantile, variance},
    value::Cell,
    window::Context,
};

type WindowFn = fn(Window<'_>, Context<'_>) -> Option<Cell>;

/// The function called `name`.
pub(super) fn find(name: &str) -> Option<WindowFn> {
    Some(match name {
        "sum_over_time" => |window, context| {
            if window.histograms.is_empty() {
                return Some(Cell::Float(Sum::of(window.values())));
            }
            histogram_sum(window, context).map(|sum| Cell::Histogram(Arc::new(sum)))
        },
        "avg_over_time" => |window, context| {
            if window.histograms.is_empty() {
                return Some(Cell::Float(mean(window.values())));
            }
            let count = window.histograms.len() as f64;
            let sum = histogram_sum(window, context)?;
            Some(Cell::Histogram(Arc::new(sum.divided(count))))
        },
        "count_over_time" => |window, _| {
            let count = window.floats.len() + window.histograms.len();
            Some(Cell::Float(count as f64))
        },
        "present_over_time" => |_, _| Some(Cell::Float(1.0)),
        "last_over_time" => |window, _| end(window, End::Last).map(|(cell, _)| cell),
        "first_over_time" => |window, _| end(window, End::First).map(|(cell, _)| cell),
        "ts_of_last_over_time" => |window, _| end(window, End::Last).map(|(_, time)| seconds(time)),
        "ts_of_first_over_time" => {
            |window, _| end(window, End::First).map(|(_, time)| seconds(time))
        }
        _ => return of_floats(name),
    })
}

/// Functions that leave histograms out.
fn of_floats(name: &str) -> Option<WindowFn> {
    Some(match name {
        "min_over_time" => |window, context| {
            extreme(window, context, |value, best| value <= best)
                .map(|(value, _)| Cell::Float(value))
        },
        "max_over_time" => |window, context| {
            extreme(window, context, |value, best| value >= best)
                .map(|(value, _)| Cell::Float(value))
        },
        "ts_of_min_over_time" => |window, context| {
            extreme(window, context, |value, best| value <= best).map(|(_, time)| seconds(time))
        },
        "ts_of_max_over_time" => |window, context| {
            extreme(window, context, |value, best| value >= best).map(|(_, time)| seconds(time))
        },
        "stddev_over_time" => |window, context| {
            with_floats(window, context, |window| variance(window.values()).sqrt())
        },
        "stdvar_over_time" => {
            |window, context| with_floats(window, context, |window| variance(window.values()))
        }
        "quantile_over_time" => |window, context| {
            let q = context.parameters[0];
            with_floats(window, context, |window| {
                quantile(q, window.values().collect())
            })
        },
        "mad_over_time" => |window, context| with_floats(window, context, deviation),
        _ => return None,
    })
}

fn seconds(time: i64) -> Cell {
    Cell::Float(time as f64 / 1000.0)
}

fn with_floats(
    window: Window<'_>,
    context: Context<'_>,
    function: impl Fn(Window<'_>) -> f64,
) -> Option<Cell> {
    if window.floats.is_empty() {
        return None;
    }
    if !window.histograms.is_empty() {
        context.note(&Note::IgnoredInRange);
    }
    Some(Cell::Float(function(window)))
}

/// The median distance from the median; NaN as soon as one value is.
fn deviation(window: Window<'_>) -> f64 {
    if window.values().any(f64::is_nan) {
        return f64::NAN;
    }
    let median = quantile(0.5, window.values().collect());
    quantile(
        0.5,
        window
            .values()
            .map(|value| (value - median).abs())
            .collect(),
    )
}

/// The value that is best, and when it was measured last; NaN only if there is nothing else.
fn extreme(
    window: Window<'_>,
    context: Context<'_>,
    is_better: fn(f64, f64) -> bool,
) -> Option<(f64, i64)> {
    let (first, rest) = window.floats.split_first()?;
    if !window.histograms.is_empty() {
        context.note(&Note::IgnoredInRange);
    }
    let mut best = *first;
    for sample in rest {
        if is_better(sample.1, best.1) || best.1.is_nan() {
            best = *sample;
        }
    }
    Some((best.1, best.0))
}

fn histogram_sum(window: Window<'_>, context: Context<'_>) -> Option<Histogram> {
    if !window.floats.is_empty() {
        context.note(&Note::MixedFloatsHistograms);
        return None;
    }
    let (first, rest) = window.histograms.split_first()?;
    let mut sum = HistogramSum::new(&first.value);
    for one in rest {
        if !sum.add(&one.value) {
            context.note(&Note::MixedExponentialCustom);
            return None;
        }
    }
    let (total, notes) = sum.total();
    if notes.resets_collide {
        context.note(&Note::ResetsCollide(Operation::Aggregation));
    }
    if notes.bounds_differ {
        context.note(&Note::BoundsReconciled(Operation::Aggregation));
    }
    Some(total)
}

#[derive(Clone, Copy)]
enum End {
    First,
    Last,
}

/// The first or the last sample, and its time.
fn end(window: Window<'_>, end: End) -> Option<(Cell, i64)> {
    let (float, histogram) = match end {
        End::First => (window.floats.first(), window.histograms.first()),
        End::Last => (window.floats.last(), window.histograms.last()),
    };
    let of_float = |(time, value): &(i64, f64)| (Cell::Float(*value), *time);
    let of_histogram = |one: &RawHistogram| (Cell::Histogram(Arc::clone(&one.value)), one.time);
    match (float, histogram) {
        (Some(float), Some(histogram)) => {
            let is_float = match end {
                End::First => float.0 < histogram.time,
                End::Last => float.0 > histogram.time,
            };
            Some(if is_float {
                of_float(float)
            } else {
                of_histogram(histogram)
            })
        }
        (Some(float), None) => Some(of_float(float)),
        (None, Some(histogram)) => Some(of_histogram(histogram)),
        (None, None) => None,
    }
}

/// A sample of either kind.
struct Any<'a> {
    time: i64,
    start: i64,
    value: Kind<'a>,
}

enum Kind<'a> {
    Float(f64),
    Histogram(&'a Histogram),
}

/// All samples in the order of time; with `anchored`, from the last one at or before the window's start.
fn in_order<'a>(window: Window<'a>, context: Context<'_>) -> Vec<Any<'a>> {
    let floats = window
        .floats
        .iter()
        .enumerate()
        .map(|(at, (time, value))| Any {
            time: *time,
            start: window.starts.map_or(0, |starts| starts[at]),
            value: Kind::Float(*value),
        });
    let histograms = window.histograms.iter().map(|one| Any {
        time: one.time,
        start: one.start,
        value: Kind::Histogram(&one.value),
    });
    let mut all: Vec<Any<'a>> = floats.chain(histograms).collect();
    all.sort_by_key(|one| one.time);
    if context.edges == Edges::Anchored {
        let before = all.partition_point(|one| one.time <= window.start);
        if before == all.len() {
            return Vec::new();
        }
        all.drain(..before.saturating_sub(1));
    }
    all
}

fn count_pairs(
    window: Window<'_>,
    context: Context<'_>,
    is_counted: fn(&Any<'_>, &Any<'_>) -> bool,
) -> Option<Cell> {
    let all = in_order(window, context);
    if all.is_empty() {
        return None;
    }
    let pairs = all.windows(2).filter(|pair| is_counted(&pair[0], &pair[1]));
    Some(Cell::Float(pairs.count() as f64))
}

/// How often the value changed; from number to histogram and back counts too.
pub(super) fn changes(window: Window<'_>, context: Context<'_>) -> Option<Cell> {
    count_pairs(window, context, |before, now| {
        match (&before.value, &now.value) {
            (Kind::Float(a), Kind::Float(b)) => a != b && !(a.is_nan() && b.is_nan()),
            (Kind::Histogram(a), Kind::Histogram(b)) => !a.is_same(b),
            _ => true,
        }
    })
}

/// How often counting began anew; from number to histogram and back counts too.
pub(super) fn resets(window: Window<'_>, context: Context<'_>) -> Option<Cell> {
    count_pairs(window, context, |before, now| {
        let is_fall = match (&before.value, &now.value) {
            (Kind::Float(a), Kind::Float(b)) => b < a,
            (Kind::Histogram(a), Kind::Histogram(b)) => b.is_reset_since(a),
            _ => true,
        };
        is_fall || is_restarted((before.start, before.time), (now.start, now.time))
    })
}
