use demarc_proto::Labels;
use proptest::prelude::*;

use super::*;
use crate::promql::{
    selector::Shift,
    sum::{Sum, mean},
    value::{ABSENT, is_absent},
};

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (0_i32..6).prop_map(f64::from),
        2 => any::<i32>().prop_map(f64::from),
        2 => any::<i32>().prop_map(|value| f64::from(value) / 7.0),
        1 => prop::sample::select(vec![f64::NAN, -f64::NAN, f64::INFINITY, -0.0, 0.0, 1e300]),
    ]
}

fn raw(values: &[(i64, f64)], starts: bool) -> RawSeries {
    let mut time = 0;
    let floats = values.iter().map(|(after, value)| {
        time += after;
        (time, *value)
    });
    let floats: Vec<(i64, f64)> = floats.collect();
    let starts = floats.iter().filter(|_| starts);
    RawSeries {
        labels: Labels::default().into(),
        drop_name: false,
        // Counting begins anew every 40 ms.
        starts: starts.map(|(time, _)| time / 40 * 40).collect(),
        floats,
        histograms: Vec::new(),
    }
}

/// Which of its many NaN a calculation yields is up to the processor.
fn bits(value: f64) -> u64 {
    if value.is_nan() && !is_absent(value) {
        return f64::NAN.to_bits();
    }
    value.to_bits()
}

/// What the function called `name` is, by its definition.
fn plain(name: &str, window: Window<'_>) -> Option<f64> {
    let pick = |is_better: fn(f64, f64) -> bool| {
        window.values().reduce(|best, value| {
            if is_better(value, best) || best.is_nan() {
                value
            } else {
                best
            }
        })
    };
    let change = |counter| {
        let resets = (1..window.floats.len()).filter(|at| rate::is_reset(window, *at));
        rate::change_of_floats(window, counter, resets)
    };
    match name {
        "rate" => Some(change(Counter::Yes)? / window.seconds()),
        "increase" => change(Counter::Yes),
        "delta" => change(Counter::No),
        "min_over_time" => pick(|value, best| value <= best),
        "max_over_time" => pick(|value, best| value >= best),
        "sum_over_time" => Some(Sum::of(window.values())),
        _ => Some(mean(window.values())),
    }
}

proptest! {
    #[test]
    fn what_is_carried_on_is_what_each_window_says(
        values in prop::collection::vec((1_i64..30, value()), 0..60),
        has_starts in any::<bool>(),
        (range, start, step) in (1_i64..200, -20_i64..200, 1_i64..150),
    ) {
        let raw = raw(&values, has_starts);
        let cut = Cut::plain(range, Shift::default());
        let steps = Steps { start, step, count: 20 };
        let names = ["rate", "increase", "delta", "min_over_time", "max_over_time", "sum_over_time", "avg_over_time"];
        for name in names {
            let Some(sliding) = Sliding::over(name, &raw, &cut) else {
                prop_assert!(name.starts_with("sum") || name.starts_with("avg"));
                continue;
            };
            let series = sliding.apply((&raw, &cut), steps);
            let found = series.map_or(vec![ABSENT; steps.count], |series| series.floats);
            let expected = steps.times().map(|time| {
                let window = cut.window(&raw, time, &mut Bounds::default());
                let value = if window.is_empty() { None } else { plain(name, window) };
                bits(value.unwrap_or(ABSENT))
            });
            let found: Vec<u64> = found.into_iter().map(bits).collect();
            prop_assert_eq!(found, expected.collect::<Vec<u64>>(), "{}", name);
        }
    }
}

#[test]
fn sums_that_may_be_inexact_are_not_carried_on() {
    let cut = Cut::plain(10, Shift::default());
    let is_carried = |values: &[f64]| {
        let values: Vec<(i64, f64)> = values.iter().map(|value| (1, *value)).collect();
        Sliding::over("sum_over_time", &raw(&values, false), &cut).is_some()
    };
    assert!(is_carried(&[1.0, -7.0, 0.0]));
    assert!(!is_carried(&[1.0, 0.5]));
    assert!(!is_carried(&[1.0, f64::NAN]));
    assert!(!is_carried(&[f64::INFINITY]));
    assert!(!is_carried(&[EXACT - 1.0, 1.0]));
}
