//! Which elements of two vectors belong together.

use std::collections::{BTreeMap, HashMap};

use demarc_proto::{Labels, METRIC_NAME};

use super::Operation;
use crate::{
    QueryError,
    promql::{
        ast::{Cardinality, MatchBy, Matching},
        value::{Cell, Series, Steps, is_metadata},
    },
};

/// The labels by which an element is matched; the metric's name only if it is asked for.
pub(super) fn signature(matching: &Matching, labels: &Labels) -> Labels {
    let mut signature = labels.clone();
    signature.retain(|name| is_matched(matching, name));
    signature
}

fn is_matched(matching: &Matching, name: &str) -> bool {
    let is_named = matching.labels.iter().any(|label| label == name);
    match matching.by {
        MatchBy::On => is_named,
        MatchBy::Ignoring => !is_named && name != METRIC_NAME,
    }
}

/// Applies an operator to the matching elements of two vectors.
pub(super) fn apply(
    operation: Operation<'_>,
    matching: &Matching,
    left: Vec<Series>,
    right: Vec<Series>,
    steps: Steps,
) -> Result<Vec<Series>, QueryError> {
    let one_is_left = matching.cardinality == Cardinality::OneToMany;
    let (many, one) = if one_is_left {
        (right, left)
    } else {
        (left, right)
    };
    // As Prometheus 3.14 has it, `fill_left` stands for the "many" side with `group_right` too.
    let (fill_many, fill_one) = (matching.fill_left, matching.fill_right);
    let mut join = Join {
        operation,
        matching,
        one_is_left,
        steps,
        results: BTreeMap::new(),
    };
    let ones = join.ones(&one)?;
    let mut taken: HashMap<Labels, Vec<bool>> = HashMap::new();
    for element in &many {
        operation.eval.check_alive()?;
        let signature = signature(matching, &element.labels);
        let partners = ones.get(&signature);
        let taken = taken
            .entry(signature)
            .or_insert_with(|| vec![false; steps.count]);
        for step in 0..steps.count {
            let Some(value) = element.cell(step) else {
                continue;
            };
            let is_taken = std::mem::replace(&mut taken[step], true);
            if let Some(at) = partners.and_then(|partners| partners[step]) {
                if is_taken && matching.cardinality == Cardinality::OneToOne {
                    return Err(many_to_one());
                }
                let partner = one[at]
                    .cell(step)
                    .expect("a partner is present at its step");
                join.pair(step, (element, &value), (Some(&one[at]), &partner))?;
            } else if let Some(fill) = fill_one {
                join.pair(step, (element, &value), (None, &Cell::Float(fill)))?;
            }
        }
    }
    if let Some(fill) = fill_many {
        join.fill_many(&one, &taken, fill)?;
    }
    Ok(join.finish())
}

/// Results while they are put together.
struct Join<'a> {
    operation: Operation<'a>,
    matching: &'a Matching,
    one_is_left: bool,
    steps: Steps,
    results: BTreeMap<(Labels, bool), Series>,
}

/// For each signature and step: which series of the "one" side has a value.
type Ones = HashMap<Labels, Vec<Option<usize>>>;

impl Join<'_> {
    fn ones(&self, one: &[Series]) -> Result<Ones, QueryError> {
        let mut ones = Ones::new();
        for (at, element) in one.iter().enumerate() {
            let signature = signature(self.matching, &element.labels);
            let partners = ones
                .entry(signature.clone())
                .or_insert_with(|| vec![None; self.steps.count]);
            for (step, partner) in partners.iter_mut().enumerate() {
                if !element.is_present(step) {
                    continue;
                }
                if let Some(other) = *partner {
                    let side = if self.one_is_left { "left" } else { "right" };
                    return Err(QueryError::Evaluation(format!(
                        "found duplicate series for the match group {signature} on the {side} hand-side of the operation: [{}, {}];many-to-many matching not allowed: matching labels must be unique on one side",
                        *element.labels, *one[other].labels
                    )));
                }
                *partner = Some(at);
            }
        }
        Ok(ones)
    }

    /// The result of an element of the "many" side and its partner, or the filling that stands for it.
    fn pair(
        &mut self,
        step: usize,
        (element, value): (&Series, &Cell),
        (partner, other): (Option<&Series>, &Cell),
    ) -> Result<(), QueryError> {
        let (left, right) = if self.one_is_left {
            (other, value)
        } else {
            (value, other)
        };
        // A comparison keeps the value of the left side.
        let Some(result) = self.operation.apply(left, right, left) else {
            return Ok(());
        };
        let labels = self.labels(&element.labels, partner.map(|one| &*one.labels));
        let drop_name = element.drop_name || self.operation.drops_name();
        self.put(step, labels, drop_name, result)
    }

    /// The elements of the "one" side that nothing matched, with a filling for the "many" side.
    fn fill_many(
        &mut self,
        one: &[Series],
        taken: &HashMap<Labels, Vec<bool>>,
        fill: f64,
    ) -> Result<(), QueryError> {
        for element in one {
            let signature = signature(self.matching, &element.labels);
            let taken = taken.get(&signature);
            for step in 0..self.steps.count {
                let Some(value) = element.cell(step) else {
                    continue;
                };
                if taken.is_some_and(|taken| taken[step]) {
                    continue;
                }
                let filling = Cell::Float(fill);
                let (left, right) = if self.one_is_left {
                    (&value, &filling)
                } else {
                    (&filling, &value)
                };
                if let Some(result) = self.operation.apply(left, right, left) {
                    let labels = self.labels(&signature, Some(&element.labels));
                    self.put(step, labels, true, result)?;
                }
            }
        }
        Ok(())
    }

    /// The labels of a result.
    fn labels(&self, many: &Labels, one: Option<&Labels>) -> Labels {
        let mut labels = many.clone();
        if self.operation.drops_name() {
            labels.retain(|name| !is_metadata(name));
        }
        if self.matching.cardinality == Cardinality::OneToOne {
            let by = self.matching;
            labels.retain(|name| {
                let is_named = by.labels.iter().any(|label| label == name);
                is_named == (by.by == MatchBy::On)
            });
        }
        for name in &self.matching.include {
            labels.set(name, one.map_or("", |one| one.get(name)));
        }
        labels
    }

    fn put(
        &mut self,
        step: usize,
        labels: Labels,
        drop_name: bool,
        cell: Cell,
    ) -> Result<(), QueryError> {
        let count = self.steps.count;
        let key = (labels, drop_name);
        if !self.results.contains_key(&key) {
            self.operation.eval.hold(count)?;
        }
        let result = self
            .results
            .entry(key)
            .or_insert_with_key(|(labels, drop_name)| {
                Series::empty(labels.clone(), *drop_name, count)
            });
        if result.is_present(step) {
            return Err(if self.matching.cardinality == Cardinality::OneToOne {
                many_to_one()
            } else {
                not_unique()
            });
        }
        result.set(step, cell);
        Ok(())
    }

    fn finish(self) -> Vec<Series> {
        self.results.into_values().collect()
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
