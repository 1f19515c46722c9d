//! Answers against expectations.

use demarc_proto::{Labels, Millis};

use super::{
    command::{Eval, When},
    points::Written,
};
use crate::{
    RangeParams, Value,
    promql::{Buckets, Histogram, Point, PointValue},
};

/// How far numbers may be apart, as a share of the larger. Source: Prometheus, `promql/promqltest`.
const TOLERANCE: f64 = 1e-6;

/// Values by step.
type Row = (Labels, Vec<Option<PointValue>>);

/// Whether an answer is what an evaluation expects.
pub(super) fn check(value: &Value, eval: &Eval) -> Result<(), String> {
    let expected = &eval.expected;
    let got: Vec<Row> = match (value, &eval.when) {
        (Value::Scalar(_, got), _) => {
            return match expected.scalar {
                Some(wanted) if is_close(*got, wanted) => Ok(()),
                wanted => Err(format!("expected {}, got {got}", shown_scalar(wanted))),
            };
        }
        (Value::Text(_, got), _) => {
            return match &expected.text {
                Some(wanted) if wanted == got => Ok(()),
                wanted => Err(format!("expected {wanted:?}, got {got:?}")),
            };
        }
        (Value::Vector(vector), _) => vector
            .iter()
            .map(|(labels, point)| (labels.clone(), vec![Some(point.value.clone())]))
            .collect(),
        (Value::Matrix(matrix), When::Range(range)) => on_steps(matrix, *range)?,
        (Value::Matrix(matrix), When::Instant(_)) => match expected.range {
            Some(range) => on_steps(matrix, range)?,
            None => return Err("got a range vector".to_owned()),
        },
    };
    let mut wanted: Vec<(Labels, Vec<Option<Written>>)> = expected.series.clone();
    if let (Some(value), true) = (expected.scalar, wanted.is_empty()) {
        let written = Written {
            value: PointValue::Float(value),
            says_reset: false,
        };
        wanted.push((Labels::default(), vec![Some(written)]));
    }
    rows(got, wanted, expected.ordered)
}

fn shown_scalar(wanted: Option<f64>) -> String {
    wanted.map_or_else(|| "no scalar".to_owned(), |wanted| wanted.to_string())
}

fn rows(
    mut got: Vec<Row>,
    mut wanted: Vec<(Labels, Vec<Option<Written>>)>,
    ordered: bool,
) -> Result<(), String> {
    wanted.retain(|(_, values)| values.iter().any(Option::is_some));
    if !ordered {
        got.sort_by(|a, b| a.0.cmp(&b.0));
        wanted.sort_by(|a, b| a.0.cmp(&b.0));
    }
    let is_same = got.len() == wanted.len()
        && got
            .iter()
            .zip(&wanted)
            .all(|(got, wanted)| got.0 == wanted.0 && same_values(&got.1, &wanted.1));
    if is_same {
        return Ok(());
    }
    let wanted = wanted.into_iter().map(|(labels, values)| {
        let values = values
            .into_iter()
            .map(|one| one.map(|written| written.value));
        (labels, values.collect())
    });
    Err(format!(
        "expected {}, got {}",
        shown(&wanted.collect::<Vec<Row>>()),
        shown(&got)
    ))
}

fn shown(rows: &[Row]) -> String {
    let rows: Vec<String> = rows
        .iter()
        .map(|(labels, values)| {
            let values: Vec<String> = values
                .iter()
                .map(|value| match value {
                    None => "_".to_owned(),
                    Some(PointValue::Float(value)) => value.to_string(),
                    Some(PointValue::Histogram(histogram)) => {
                        format!(
                            "{histogram} schema {} {:?}",
                            histogram.schema, histogram.reset
                        )
                    }
                })
                .collect();
            format!("{labels} {}", values.join(" "))
        })
        .collect();
    if rows.is_empty() {
        return "nothing".to_owned();
    }
    rows.join("; ")
}

fn on_steps(matrix: &[(Labels, Vec<Point>)], range: RangeParams) -> Result<Vec<Row>, String> {
    let step = i64::try_from(range.step.as_millis())
        .unwrap_or(i64::MAX)
        .max(1);
    let count = (range.end.0 - range.start.0) / step;
    let mut rows = Vec::new();
    for (labels, points) in matrix {
        let at = |step_at: i64| {
            let time = Millis(range.start.0 + step_at * step);
            let found = points.iter().find(|point| point.time == time);
            found.map(|point| point.value.clone())
        };
        let values: Vec<Option<PointValue>> = (0..=count).map(at).collect();
        if values.iter().flatten().count() != points.len() {
            return Err(format!("{labels} has points between the steps: {points:?}"));
        }
        rows.push((labels.clone(), values));
    }
    Ok(rows)
}

/// The same values; what is not there at the end need not be written.
fn same_values(got: &[Option<PointValue>], wanted: &[Option<Written>]) -> bool {
    let length = got.len().max(wanted.len());
    (0..length).all(|at| {
        let got = got.get(at).and_then(Option::as_ref);
        let wanted = wanted.get(at).and_then(Option::as_ref);
        match (got, wanted) {
            (None, None) => true,
            (Some(got), Some(wanted)) => same_value(got, wanted),
            _ => false,
        }
    })
}

fn same_value(got: &PointValue, wanted: &Written) -> bool {
    match (got, &wanted.value) {
        (PointValue::Float(got), PointValue::Float(wanted)) => is_close(*got, *wanted),
        (PointValue::Histogram(got), PointValue::Histogram(expected)) => {
            let same_reset = !wanted.says_reset || got.reset == expected.reset;
            same_reset && same_histogram(got, expected)
        }
        _ => false,
    }
}

fn same_histogram(got: &Histogram, wanted: &Histogram) -> bool {
    got.schema == wanted.schema
        && is_close(got.count, wanted.count)
        && is_close(got.sum, wanted.sum)
        && is_close(got.zero_count, wanted.zero_count)
        && got.zero_threshold == wanted.zero_threshold
        && got.custom_bounds == wanted.custom_bounds
        && same_buckets(&got.positive, &wanted.positive)
        && same_buckets(&got.negative, &wanted.negative)
}

fn same_buckets(got: &Buckets, wanted: &Buckets) -> bool {
    let end = |buckets: &Buckets| i64::from(buckets.offset) + buckets.counts.len() as i64;
    let start = got.offset.min(wanted.offset);
    (i64::from(start)..end(got).max(end(wanted)))
        .all(|index| is_close(got.get(index as i32), wanted.get(index as i32)))
}

fn is_close(got: f64, wanted: f64) -> bool {
    if got.is_nan() || wanted.is_nan() {
        return got.is_nan() && wanted.is_nan();
    }
    let difference = (got - wanted).abs();
    got == wanted || difference <= TOLERANCE * got.abs().max(wanted.abs())
}
