//! Which elements of two vectors belong together.

use std::collections::HashMap;

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
        results: Vec::new(),
        places: HashMap::new(),
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
        let mut last = Last::default();
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
                let partner = Partner {
                    series: Some((at, &one[at])),
                    value: &partner,
                };
                join.pair(step, (element, &value), partner, &mut last)?;
            } else if let Some(fill) = fill_one {
                let filling = Partner {
                    series: None,
                    value: &Cell::Float(fill),
                };
                join.pair(step, (element, &value), filling, &mut last)?;
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
    results: Vec<Series>,
    /// Where the result with these labels is that drops its name or not.
    places: HashMap<(Labels, bool), usize>,
}

/// What stands on the "one" side: a series, with its place, or a filling.
struct Partner<'a> {
    series: Option<(usize, &'a Series)>,
    value: &'a Cell,
}

/// The partner of an element at the step before, and where the result of the two is: mostly it is the same at the next step.
#[derive(Default)]
struct Last(Option<(Option<usize>, usize)>);

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
        partner: Partner<'_>,
        last: &mut Last,
    ) -> Result<(), QueryError> {
        let (left, right) = if self.one_is_left {
            (partner.value, value)
        } else {
            (value, partner.value)
        };
        // A comparison keeps the value of the left side.
        let Some(result) = self.operation.apply(left, right, left) else {
            return Ok(());
        };
        let at = partner.series.map(|(at, _)| at);
        let place = match last.0 {
            Some((before, place)) if before == at => place,
            _ => {
                let one = partner.series.map(|(_, series)| &*series.labels);
                let labels = self.labels(&element.labels, one);
                let drop_name = element.drop_name || self.operation.drops_name();
                self.place(labels, drop_name)?
            }
        };
        last.0 = Some((at, place));
        self.put(step, place, result)
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
            let mut place = None;
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
                    let at = match place {
                        Some(at) => at,
                        None => {
                            let labels = self.labels(&signature, Some(&element.labels));
                            self.place(labels, true)?
                        }
                    };
                    place = Some(at);
                    self.put(step, at, result)?;
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

    /// Where the result with these labels is.
    fn place(&mut self, labels: Labels, drop_name: bool) -> Result<usize, QueryError> {
        let key = (labels, drop_name);
        if let Some(place) = self.places.get(&key) {
            return Ok(*place);
        }
        let (count, place) = (self.steps.count, self.results.len());
        self.operation.eval.hold(count)?;
        self.results
            .push(Series::empty(key.0.clone(), drop_name, count));
        self.places.insert(key, place);
        Ok(place)
    }

    fn put(&mut self, step: usize, place: usize, cell: Cell) -> Result<(), QueryError> {
        let result = &mut self.results[place];
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

    fn finish(mut self) -> Vec<Series> {
        self.results.sort_by(|a, b| {
            let by_labels = a.labels.cmp(&b.labels);
            by_labels.then_with(|| a.drop_name.cmp(&b.drop_name))
        });
        self.results
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
