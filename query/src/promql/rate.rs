//! Functions of how samples change within a window.

use super::{
    function::WindowFn,
    series::{Sum, Window},
};

/// The function called `name`; `parameters` are its scalar arguments, `time` the evaluation time in milliseconds.
pub(super) fn function(name: &str, parameters: &[f64], time: i64) -> Option<WindowFn> {
    let parameters = parameters.to_vec();
    Some(match name {
        "rate" => {
            Box::new(|window| extrapolated(window, Counter::Yes).map(|d| d / seconds(window)))
        }
        "increase" => Box::new(|window| extrapolated(window, Counter::Yes)),
        "delta" => Box::new(|window| extrapolated(window, Counter::No)),
        "irate" => Box::new(|window| last_two(window, Counter::Yes).map(|(d, dt)| d / dt)),
        "idelta" => Box::new(|window| last_two(window, Counter::No).map(|(d, _)| d)),
        "deriv" => Box::new(|window| {
            let origin = window.samples.first()?.0;
            regression(window.samples, origin).map(|(slope, _)| slope)
        }),
        "predict_linear" => Box::new(move |window| {
            let (slope, intercept) = regression(window.samples, time)?;
            Some(intercept + slope * parameters.first()?)
        }),
        "double_exponential_smoothing" => {
            Box::new(move |window| smoothed(window, *parameters.first()?, *parameters.get(1)?))
        }
        "resets" => Box::new(|window| Some(pairs(window).filter(|(a, b)| b < a).count() as f64)),
        "changes" => Box::new(|window| {
            let differ = |(a, b): &(f64, f64)| a != b && !(a.is_nan() && b.is_nan());
            Some(pairs(window).filter(differ).count() as f64)
        }),
        _ => return None,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Counter {
    Yes,
    No,
}

fn seconds(window: &Window<'_>) -> f64 {
    (window.end - window.start) as f64 / 1000.0
}

fn pairs<'a>(window: &'a Window<'_>) -> impl Iterator<Item = (f64, f64)> + 'a {
    window.samples.windows(2).map(|pair| (pair[0].1, pair[1].1))
}

/// The change within the window, extrapolated to its edges.
///
/// `None` with fewer than two samples. For a counter, a fall is a reset, and the extrapolation does not go below zero.
/// Source: Prometheus, "Querying: functions", `rate()`.
fn extrapolated(window: &Window<'_>, counter: Counter) -> Option<f64> {
    let (first, last) = (window.samples.first()?, window.samples.last()?);
    if window.samples.len() < 2 {
        return None;
    }
    let mut change = last.1 - first.1;
    if counter == Counter::Yes {
        change += pairs(window)
            .filter(|(a, b)| b < a)
            .map(|(a, _)| a)
            .sum::<f64>();
    }
    let sampled = (last.0 - first.0) as f64 / 1000.0;
    let average = sampled / (window.samples.len() - 1) as f64;
    let threshold = average * 1.1;
    let mut to_start = (first.0 - window.start) as f64 / 1000.0;
    let mut to_end = (window.end - last.0) as f64 / 1000.0;
    if to_start >= threshold {
        to_start = average / 2.0;
    }
    if counter == Counter::Yes && change > 0.0 && first.1 >= 0.0 {
        to_start = to_start.min(sampled * (first.1 / change));
    }
    if to_end >= threshold {
        to_end = average / 2.0;
    }
    Some(change * ((sampled + to_start + to_end) / sampled))
}

/// The change between the last two samples, and the seconds between them.
fn last_two(window: &Window<'_>, counter: Counter) -> Option<(f64, f64)> {
    let [.., before, last] = window.samples else {
        return None;
    };
    let is_reset = counter == Counter::Yes && last.1 < before.1;
    let change = if is_reset { last.1 } else { last.1 - before.1 };
    let seconds = (last.0 - before.0) as f64 / 1000.0;
    (seconds > 0.0).then_some((change, seconds))
}

/// Least squares: slope per second, and the value at `origin`.
fn regression(samples: &[(i64, f64)], origin: i64) -> Option<(f64, f64)> {
    if samples.len() < 2 {
        return None;
    }
    let first = samples[0].1;
    if samples.iter().all(|(_, value)| *value == first) {
        let is_finite = first.is_finite();
        return Some(if is_finite {
            (0.0, first)
        } else {
            (f64::NAN, f64::NAN)
        });
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

/// Double exponential smoothing with smoothing factor `sf` and trend factor `tf`.
fn smoothed(window: &Window<'_>, sf: f64, tf: f64) -> Option<f64> {
    let samples = window.samples;
    if samples.len() < 2 {
        return None;
    }
    let mut before = 0.0;
    let mut level = samples[0].1;
    let mut trend = samples[1].1 - samples[0].1;
    for (at, (_, value)) in samples.iter().enumerate().skip(1) {
        if at > 1 {
            trend = tf * (level - before) + (1.0 - tf) * trend;
        }
        let next = sf * value + (1.0 - sf) * (level + trend);
        before = level;
        level = next;
    }
    Some(level)
}
