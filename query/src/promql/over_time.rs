//! Functions that sum up the samples of a window.

use super::{
    function::WindowFn,
    series::{Sum, Window, mean, quantile, variance},
};

/// The function called `name`; `parameters` are its scalar arguments.
pub(super) fn function(name: &str, parameters: &[f64]) -> Option<WindowFn> {
    let parameters = parameters.to_vec();
    Some(match name {
        "avg_over_time" => Box::new(|window| Some(mean(&values(window)))),
        "sum_over_time" => Box::new(|window| Some(Sum::of(window.values()))),
        "count_over_time" => Box::new(|window| Some(window.samples.len() as f64)),
        "min_over_time" => Box::new(|window| window.values().reduce(f64::min)),
        "max_over_time" => Box::new(|window| window.values().reduce(f64::max)),
        "last_over_time" => Box::new(|window| window.samples.last().map(|(_, value)| *value)),
        "first_over_time" => Box::new(|window| window.samples.first().map(|(_, value)| *value)),
        "present_over_time" => Box::new(|_| Some(1.0)),
        "stddev_over_time" => Box::new(|window| Some(variance(&values(window)).sqrt())),
        "stdvar_over_time" => Box::new(|window| Some(variance(&values(window)))),
        "quantile_over_time" => {
            Box::new(move |window| Some(quantile(*parameters.first()?, values(window))))
        }
        "mad_over_time" => Box::new(|window| {
            let median = quantile(0.5, values(window));
            let deviations = window
                .values()
                .map(|value| (value - median).abs())
                .collect();
            Some(quantile(0.5, deviations))
        }),
        "ts_of_min_over_time" => Box::new(|window| time_of(window, |new, best| new <= best)),
        "ts_of_max_over_time" => Box::new(|window| time_of(window, |new, best| new >= best)),
        "ts_of_last_over_time" => {
            Box::new(|window| window.samples.last().map(|(at, _)| *at as f64 / 1000.0))
        }
        "ts_of_first_over_time" => {
            Box::new(|window| window.samples.first().map(|(at, _)| *at as f64 / 1000.0))
        }
        _ => return None,
    })
}

fn values(window: &Window<'_>) -> Vec<f64> {
    window.values().collect()
}

fn time_of(window: &Window<'_>, is_better: fn(f64, f64) -> bool) -> Option<f64> {
    let mut best = *window.samples.first()?;
    for sample in window.samples {
        if is_better(sample.1, best.1) || best.1.is_nan() {
            best = *sample;
        }
    }
    Some(best.0 as f64 / 1000.0)
}
