//! Which elements of two vectors belong together.

use std::collections::HashMap;

use demarc_proto::{Labels, METRIC_NAME};
use promql_parser::parser::{BinaryExpr, LabelModifier, VectorMatchCardinality};

use super::{
    binary::Operator,
    series::{Series, Steps, merge_same},
};
use crate::QueryError;

/// How a binary expression matches its sides.
pub(super) struct Matching<'a> {
    pub(super) cardinality: &'a VectorMatchCardinality,
    labels: Option<&'a LabelModifier>,
    pub(super) returns_bool: bool,
}

impl<'a> Matching<'a> {
    pub(super) fn of(binary: &'a BinaryExpr) -> Result<Self, QueryError> {
        let Some(modifier) = &binary.modifier else {
            return Ok(Self {
                cardinality: &VectorMatchCardinality::OneToOne,
                labels: None,
                returns_bool: false,
            });
        };
        if modifier.fill_values.lhs.is_some() || modifier.fill_values.rhs.is_some() {
            return Err(QueryError::Unsupported {
                what: "the fill modifier".to_owned(),
            });
        }
        Ok(Self {
            cardinality: &modifier.card,
            labels: modifier.matching.as_ref(),
            returns_bool: modifier.return_bool,
        })
    }

    /// Whether a label counts when elements are matched.
    pub(super) fn is_matched(&self, name: &str) -> bool {
        match self.labels {
            None => true,
            Some(LabelModifier::Include(on)) => on.labels.iter().any(|label| label == name),
            Some(LabelModifier::Exclude(ignoring)) => {
                !ignoring.labels.iter().any(|label| label == name)
            }
        }
    }

    /// The labels by which an element is matched; the metric's name only if it is asked for.
    pub(super) fn signature(&self, labels: &Labels) -> Labels {
        let by_name = matches!(self.labels, Some(LabelModifier::Include(_)));
        let mut signature = labels.clone();
        signature.retain(|name| self.is_matched(name) && (by_name || name != METRIC_NAME));
        signature
    }

    /// Applies an operator to the matching elements of two vectors.
    pub(super) fn vectors(
        &self,
        operator: Operator,
        left: Vec<Series>,
        right: Vec<Series>,
        steps: Steps,
    ) -> Result<Vec<Series>, QueryError> {
        let is_one_to_many = matches!(self.cardinality, VectorMatchCardinality::OneToMany(_));
        let (many, one) = if is_one_to_many {
            (right, left)
        } else {
            (left, right)
        };
        let ones = self.ones(&one, steps, if is_one_to_many { "left" } else { "right" })?;
        let is_one_to_one = matches!(self.cardinality, VectorMatchCardinality::OneToOne);
        let mut taken: HashMap<Labels, Vec<bool>> = HashMap::new();
        let mut result = Vec::new();
        for element in &many {
            let signature = self.signature(&element.labels);
            let Some(partners) = ones.get(&signature) else {
                continue;
            };
            let taken = taken
                .entry(signature)
                .or_insert_with(|| vec![false; steps.count]);
            let mut pieces: HashMap<Labels, Vec<Option<f64>>> = HashMap::new();
            for step in 0..steps.count {
                let (Some(value), Some(at)) = (element.values[step], partners[step]) else {
                    continue;
                };
                let partner = one[at].values[step].unwrap_or(f64::NAN);
                if is_one_to_one && std::mem::replace(&mut taken[step], true) {
                    return Err(many_to_one());
                }
                let (a, b) = if is_one_to_many {
                    (partner, value)
                } else {
                    (value, partner)
                };
                // A filter keeps the value of the left side.
                if let Some(kept) = operator.keep(a, b, a) {
                    let labels = self.result_labels(operator, &element.labels, &one[at].labels);
                    pieces
                        .entry(labels)
                        .or_insert_with(|| vec![None; steps.count])[step] = Some(kept);
                }
            }
            result.extend(
                pieces
                    .into_iter()
                    .map(|(labels, values)| Series { labels, values }),
            );
        }
        merge_same(result).map_err(|error| if is_one_to_one { error } else { not_unique() })
    }

    /// For each signature and step, which series of the "one" side has a value.
    fn ones(
        &self,
        one: &[Series],
        steps: Steps,
        side: &str,
    ) -> Result<HashMap<Labels, Vec<Option<usize>>>, QueryError> {
        let mut ones: HashMap<Labels, Vec<Option<usize>>> = HashMap::new();
        for (at, element) in one.iter().enumerate() {
            let signature = self.signature(&element.labels);
            let partners = ones
                .entry(signature.clone())
                .or_insert_with(|| vec![None; steps.count]);
            for (step, value) in element.values.iter().enumerate() {
                if value.is_none() {
                    continue;
                }
                if let Some(other) = partners[step] {
                    return Err(QueryError::Evaluation(format!(
                        "found duplicate series for the match group {signature} on the {side} hand-side of the operation: [{}, {}];many-to-many matching not allowed: matching labels must be unique on one side",
                        element.labels, one[other].labels
                    )));
                }
                partners[step] = Some(at);
            }
        }
        Ok(ones)
    }
}

fn many_to_one() -> QueryError {
    QueryError::Evaluation(
        "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
            .to_owned(),
    )
}

fn not_unique() -> QueryError {
    QueryError::Evaluation(
        "multiple matches for labels: grouping labels must ensure unique matches".to_owned(),
    )
}
