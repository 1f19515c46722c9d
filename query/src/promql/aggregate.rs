//! Aggregations over the series of a vector.

use std::collections::BTreeMap;

use demarc_proto::{Labels, METRIC_NAME};
use promql_parser::parser::{AggregateExpr, LabelModifier};

use super::{
    eval::{Eval, Outcome},
    series::{Series, Steps, Sum, mean, nan_first, quantile, variance},
};
use crate::QueryError;

type Groups = BTreeMap<Labels, Vec<Series>>;

impl Eval<'_> {
    pub(super) async fn aggregate(
        &self,
        aggregate: &AggregateExpr,
        steps: Steps,
    ) -> Result<Outcome, QueryError> {
        let operator = aggregate.op.to_string();
        let mut groups: Groups = BTreeMap::new();
        for one in self.vector(&aggregate.expr, steps).await? {
            let labels = group_labels(&one.labels, aggregate.modifier.as_ref());
            groups.entry(labels).or_default().push(one);
        }
        if operator == "count_values" {
            let label = match &aggregate.param {
                Some(param) => self.text(param, steps).await?,
                None => String::new(),
            };
            return Ok(Outcome::Vector(count_values(groups, &label, steps)));
        }
        let parameter = match &aggregate.param {
            Some(param) => self.scalar(param, steps).await?,
            None => Vec::new(),
        };
        let series = match operator.as_str() {
            "topk" | "bottomk" | "limitk" | "limit_ratio" => {
                select(&operator, groups, &parameter, steps)?
            }
            "quantile" => {
                self.warn_of_quantile(&parameter);
                reduce(groups, steps, |step, values| {
                    quantile(parameter[step], values)
                })
            }
            _ => reduce(groups, steps, reducer(&operator)?),
        };
        Ok(Outcome::Vector(series))
    }

    fn warn_of_quantile(&self, parameter: &[f64]) {
        if let Some(odd) = parameter.iter().find(|q| !(0.0..=1.0).contains(*q)) {
            self.warn(format!(
                "PromQL warning: quantile value should be between 0 and 1, got {odd}"
            ));
        }
    }
}

/// The labels by which a series is grouped.
fn group_labels(labels: &Labels, modifier: Option<&LabelModifier>) -> Labels {
    let mut labels = labels.clone();
    match modifier {
        None => Labels::default(),
        Some(LabelModifier::Include(by)) => {
            labels.retain(|name| by.labels.iter().any(|kept| kept == name));
            labels
        }
        Some(LabelModifier::Exclude(without)) => {
            labels.retain(|name| {
                name != METRIC_NAME && !without.labels.iter().any(|dropped| dropped == name)
            });
            labels
        }
    }
}

/// A step's number and the values of a group to their aggregate.
type Reducer = fn(usize, Vec<f64>) -> f64;

fn reducer(operator: &str) -> Result<Reducer, QueryError> {
    Ok(match operator {
        "sum" => |_, values| Sum::of(values.into_iter()),
        "avg" => |_, values| mean(&values),
        "count" => |_, values| values.len() as f64,
        "group" => |_, _| 1.0,
        // f64::min and max leave NaN aside unless all are NaN, as Prometheus does.
        "min" => |_, values| values.into_iter().reduce(f64::min).unwrap_or(f64::NAN),
        "max" => |_, values| values.into_iter().reduce(f64::max).unwrap_or(f64::NAN),
        "stddev" => |_, values| variance(&values).sqrt(),
        "stdvar" => |_, values| variance(&values),
        other => {
            return Err(QueryError::Unsupported {
                what: format!("{other}()"),
            });
        }
    })
}

fn reduce(groups: Groups, steps: Steps, function: impl Fn(usize, Vec<f64>) -> f64) -> Vec<Series> {
    let mut reduced = Vec::new();
    for (labels, members) in groups {
        let at = |step: usize| {
            let values: Vec<f64> = members.iter().filter_map(|one| one.values[step]).collect();
            if values.is_empty() {
                None
            } else {
                Some(function(step, values))
            }
        };
        reduced.push(Series {
            labels,
            values: (0..steps.count).map(at).collect(),
        });
    }
    reduced
}

/// Keeps, at each step, some of each group's series.
fn select(
    operator: &str,
    groups: Groups,
    parameter: &[f64],
    steps: Steps,
) -> Result<Vec<Series>, QueryError> {
    if operator != "limit_ratio" && parameter.iter().any(|k| k.is_nan() || *k > i64::MAX as f64) {
        let sentence = format!("Scalar value {} overflows int64", parameter[0]);
        return Err(QueryError::Evaluation(sentence));
    }
    let mut selected = Vec::new();
    for members in groups.into_values() {
        let mut kept: Vec<Vec<Option<f64>>> = vec![vec![None; steps.count]; members.len()];
        for step in 0..steps.count {
            let present = |(at, one): (usize, &Series)| Some((at, one.values[step]?));
            let mut values: Vec<(usize, f64)> =
                members.iter().enumerate().filter_map(present).collect();
            match operator {
                "topk" => values.sort_by(|a, b| nan_last_descending(a.1, b.1)),
                "bottomk" => values.sort_by(|a, b| nan_last(a.1, b.1)),
                "limit_ratio" => values.retain(|(at, _)| in_ratio(&members[*at], parameter[step])),
                _ => {}
            }
            if operator != "limit_ratio" {
                values.truncate(parameter[step].max(0.0) as usize);
            }
            for (at, value) in values {
                kept[at][step] = Some(value);
            }
        }
        for (one, values) in members.into_iter().zip(kept) {
            if values.iter().any(Option::is_some) {
                selected.push(Series {
                    labels: one.labels,
                    values,
                });
            }
        }
    }
    Ok(selected)
}

/// Ascending, NaN last.
fn nan_last(a: f64, b: f64) -> std::cmp::Ordering {
    a.is_nan().cmp(&b.is_nan()).then(nan_first(a, b))
}

/// Descending, NaN last.
fn nan_last_descending(a: f64, b: f64) -> std::cmp::Ordering {
    a.is_nan().cmp(&b.is_nan()).then(nan_first(b, a))
}

/// Whether a series falls into the sampled share: by a hash of its labels, so that it is the same at every step. A negative
/// ratio keeps the complement.
fn in_ratio(series: &Series, ratio: f64) -> bool {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    series.labels.hash(&mut hasher);
    let offset = hasher.finish() as f64 / u64::MAX as f64;
    if ratio >= 0.0 {
        offset < ratio
    } else {
        offset >= 1.0 + ratio
    }
}

fn count_values(groups: Groups, label: &str, steps: Steps) -> Vec<Series> {
    let mut counted: BTreeMap<Labels, Vec<Option<f64>>> = BTreeMap::new();
    for (labels, members) in groups {
        for one in members {
            for (step, value) in one.values.iter().enumerate() {
                let Some(value) = value else { continue };
                let mut labels = labels.clone();
                labels.set(label, &format_value(*value));
                let counts = counted
                    .entry(labels)
                    .or_insert_with(|| vec![None; steps.count]);
                counts[step] = Some(counts[step].unwrap_or(0.0) + 1.0);
            }
        }
    }
    counted
        .into_iter()
        .map(|(labels, values)| Series { labels, values })
        .collect()
}

/// A value as Prometheus writes it into a label.
fn format_value(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    value.to_string()
}
