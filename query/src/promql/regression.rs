//! Straight lines through the samples of a window, and smoothing.
//!
//! Source: Prometheus 3.14, "Querying: functions", `deriv()`, `predict_linear()`, `double_exponential_smoothing()`.

use super::{annotation::Note, selector::Window, sum::Sum, value::Cell, window::Context};

/// `deriv`: the slope per second.
pub(super) fn slope(window: Window<'_>, context: Context<'_>) -> Option<Cell> {
    note_histograms(window, context);
    let origin = window.floats.first()?.0;
    let (slope, _) = regression(window.floats, origin)?;
    Some(Cell::Float(slope))
}

/// `predict_linear`: the value at so many seconds after the evaluation.
pub(super) fn prediction(window: Window<'_>, context: Context<'_>) -> Option<Cell> {
    note_histograms(window, context);
    let (slope, intercept) = regression(window.floats, context.time)?;
    Some(Cell::Float(slope * context.parameters[0] + intercept))
}

/// `double_exponential_smoothing` with a smoothing factor and a trend factor.
pub(super) fn smoothed(window: Window<'_>, context: Context<'_>) -> Option<Cell> {
    note_histograms(window, context);
    let samples = window.floats;
    if samples.len() < 2 {
        return None;
    }
    let (smoothing, trending) = (context.parameters[0], context.parameters[1]);
    let (mut before, mut level) = (0.0, samples[0].1);
    let mut trend = samples[1].1 - samples[0].1;
    for (at, (_, value)) in samples.iter().enumerate().skip(1) {
        if at > 1 {
            trend = trending * (level - before) + (1.0 - trending) * trend;
        }
        let next = smoothing * value + (1.0 - smoothing) * (level + trend);
        (before, level) = (level, next);
    }
    Some(Cell::Float(level))
}

fn note_histograms(window: Window<'_>, context: Context<'_>) {
    if !window.histograms.is_empty() && !window.floats.is_empty() {
        context.note(&Note::IgnoredInRange);
    }
}

/// Least squares: slope per second, and the value at `origin`.
fn regression(samples: &[(i64, f64)], origin: i64) -> Option<(f64, f64)> {
    if samples.len() < 2 {
        return None;
    }
    let first = samples[0].1;
    if samples.iter().all(|(_, value)| *value == first) {
        let constant = if first.is_finite() {
            (0.0, first)
        } else {
            (f64::NAN, f64::NAN)
        };
        return Some(constant);
    }
    let count = samples.len() as f64;
    let x = |at: i64| (at - origin) as f64 / 1000.0;
    let sum_x = Sum::of(samples.iter().map(|(at, _)| x(*at)));
    let sum_y = Sum::of(samples.iter().map(|(_, y)| *y));
    let sum_xy = Sum::of(samples.iter().map(|(at, y)| x(*at) * y));
    let sum_xx = Sum::of(samples.iter().map(|(at, _)| x(*at) * x(*at)));
    let covariance = sum_xy - sum_x * sum_y / count;
    let variance = sum_xx - sum_x * sum_x / count;
    let slope = covariance / variance;
    Some((slope, sum_y / count - slope * sum_x / count))
}
