//! Aggregations: `sum by (job) (...)` and its like.
//!
//! Source: Prometheus 3.14, "Querying: operators", aggregation operators.

mod number;
mod pick;
mod values;

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, Hasher},
};

use demarc_proto::{Labels, METRIC_NAME};

use super::{
    annotation::Note,
    ast::{Aggregate, AggregateOp, Expr, Grouping},
    eval::{Eval, Outcome},
    value::{Series, Steps},
};
use crate::QueryError;

impl Eval<'_> {
    pub(super) fn aggregate(
        &self,
        aggregate: &Aggregate,
        steps: Steps,
    ) -> Result<Outcome, QueryError> {
        use AggregateOp as Op;
        let result = match (aggregate.op, &aggregate.parameter) {
            (Op::CountValues, Some(label)) => {
                let label = self.text_bytes(label)?;
                let series = self.vector(&aggregate.expr, steps)?;
                values::count(&label, aggregate, series, steps)?
            }
            (Op::Topk | Op::Bottomk | Op::Limitk | Op::LimitRatio, Some(parameter)) => {
                let parameter_values = self.parameter(aggregate, parameter, steps)?;
                let series = self.vector(&aggregate.expr, steps)?;
                let groups = Groups::of(aggregate, &series);
                self.pick(aggregate, &parameter_values, series, &groups, steps)
            }
            (Op::Quantile, Some(parameter)) => {
                let q = self.parameter(aggregate, parameter, steps)?;
                let series = self.vector(&aggregate.expr, steps)?;
                self.numbers(aggregate, Some(&q), &series, steps)?
            }
            _ => {
                let series = self.vector(&aggregate.expr, steps)?;
                self.numbers(aggregate, None, &series, steps)?
            }
        };
        Ok(Outcome::Vector(result))
    }

    /// The parameter at each step, checked and noted where it is odd.
    fn parameter(
        &self,
        aggregate: &Aggregate,
        parameter: &Expr,
        steps: Steps,
    ) -> Result<Vec<f64>, QueryError> {
        let mut values = self.scalar(parameter, steps)?;
        for value in &mut values {
            match aggregate.op {
                AggregateOp::Quantile if value.is_nan() || *value < 0.0 || *value > 1.0 => {
                    self.note(&Note::InvalidQuantile(*value), "", parameter.span());
                }
                AggregateOp::Topk | AggregateOp::Bottomk | AggregateOp::Limitk => {
                    if value.is_nan() {
                        let sentence = "Parameter value is NaN";
                        return Err(QueryError::Evaluation(sentence.to_owned()));
                    }
                    let limit = i64::MAX as f64;
                    if *value >= limit || *value <= -limit {
                        let shown = super::print::number(*value);
                        let sentence = format!("Scalar value {shown} overflows int64");
                        return Err(QueryError::Evaluation(sentence));
                    }
                }
                AggregateOp::LimitRatio => {
                    if value.is_nan() {
                        let sentence = "Ratio value is NaN";
                        return Err(QueryError::Evaluation(sentence.to_owned()));
                    }
                    let capped = value.clamp(-1.0, 1.0);
                    if capped != *value {
                        let note = Note::InvalidRatio(*value, capped);
                        self.note(&note, "", parameter.span());
                        *value = capped;
                    }
                }
                _ => {}
            }
        }
        Ok(values)
    }
}

/// Which series belong together.
struct Groups {
    /// The group of each series.
    of_series: Vec<usize>,
    /// How many groups there are.
    count: usize,
}

impl Groups {
    fn of(aggregate: &Aggregate, series: &[Series]) -> Self {
        let mut found = Finder::new(aggregate);
        let of_series = series.iter().map(|one| found.group(&one.labels)).collect();
        Self {
            of_series,
            count: found.labels.len(),
        }
    }
}

/// Finds the group of a series without building its labels anew for each.
struct Finder<'a> {
    aggregate: &'a Aggregate,
    hasher: std::hash::RandomState,
    by_hash: HashMap<u64, Vec<usize>>,
    labels: Vec<Labels>,
}

impl<'a> Finder<'a> {
    fn new(aggregate: &'a Aggregate) -> Self {
        Self {
            aggregate,
            hasher: std::hash::RandomState::new(),
            by_hash: HashMap::new(),
            labels: Vec::new(),
        }
    }

    fn group(&mut self, labels: &Labels) -> usize {
        let mut hasher = self.hasher.build_hasher();
        for (name, value) in labels
            .iter()
            .filter(|(name, _)| keeps(self.aggregate, name))
        {
            name.hash(&mut hasher);
            value.hash(&mut hasher);
        }
        let candidates = self.by_hash.entry(hasher.finish()).or_default();
        for at in candidates.iter() {
            let kept = labels
                .iter()
                .filter(|(name, _)| keeps(self.aggregate, name));
            if self.labels[*at].iter().eq(kept) {
                return *at;
            }
        }
        candidates.push(self.labels.len());
        self.labels.push(group_labels(self.aggregate, labels));
        self.labels.len() - 1
    }
}

fn keeps(aggregate: &Aggregate, name: &str) -> bool {
    let is_named = aggregate.labels.iter().any(|label| label == name);
    match aggregate.grouping {
        Grouping::By => is_named,
        Grouping::Without => !is_named && name != METRIC_NAME,
    }
}

/// The labels of the group of a series.
pub(super) fn group_labels(aggregate: &Aggregate, labels: &Labels) -> Labels {
    let mut kept = labels.clone();
    kept.retain(|name| keeps(aggregate, name));
    kept
}
