//! Aggregations with one value per group and step.

use std::sync::Arc;

use demarc_proto::Labels;

use super::Finder;
use crate::{
    QueryError,
    promql::{
        annotation::{Note, Operation},
        ast::{Aggregate, AggregateOp},
        eval::Eval,
        native::{Histogram, HistogramSum},
        sum::{Sum, quantile},
        value::{Cell, Series, Steps, is_absent},
    },
};

/// What a group has gathered at one step.
#[derive(Clone, Default)]
struct State {
    count: f64,
    sum: Sum,
    /// The extreme value, or the running mean.
    value: f64,
    /// The sum of squared distances from the mean.
    squares: f64,
    histograms: Option<Box<HistogramSum>>,
    has_floats: bool,
    has_infinite: bool,
    is_spoilt: bool,
    /// All values, where they are needed.
    values: Vec<f64>,
}

struct Group {
    labels: Labels,
    drop_name: bool,
    states: Vec<State>,
}

impl Eval<'_> {
    pub(super) fn numbers(
        &self,
        aggregate: &Aggregate,
        q: Option<&[f64]>,
        series: &[Series],
        steps: Steps,
    ) -> Result<Vec<Series>, QueryError> {
        let mut finder = Finder::new(aggregate);
        let mut groups: Vec<Group> = Vec::new();
        for one in series {
            self.check_alive()?;
            let at = finder.group(&one.labels);
            if at == groups.len() {
                self.hold(steps.count)?;
                groups.push(Group {
                    labels: finder.labels[at].clone(),
                    drop_name: false,
                    states: vec![State::default(); steps.count],
                });
            }
            let group = &mut groups[at];
            group.drop_name |= one.drop_name;
            for (step, value) in one.floats.iter().enumerate() {
                if !is_absent(*value) {
                    group.states[step].add(aggregate.op, *value);
                }
            }
            for (step, histogram) in one.histograms.iter().flatten().enumerate() {
                if let Some(histogram) = histogram {
                    self.add_histogram(aggregate, &mut group.states[step], histogram);
                }
            }
        }
        let mut found = Vec::with_capacity(groups.len());
        for group in groups {
            let mut result = Series::empty(group.labels, group.drop_name, steps.count);
            for (step, state) in group.states.into_iter().enumerate() {
                let q = q.map(|q| q[step]);
                if let Some(cell) = self.finish(aggregate, state, q) {
                    result.set(step, cell);
                }
            }
            if !result.is_empty() {
                found.push(result);
            }
        }
        Ok(found)
    }

    fn add_histogram(&self, aggregate: &Aggregate, state: &mut State, histogram: &Histogram) {
        match aggregate.op {
            AggregateOp::Sum | AggregateOp::Avg => {
                state.count += 1.0;
                match &mut state.histograms {
                    None => state.histograms = Some(Box::new(HistogramSum::new(histogram))),
                    Some(sum) => {
                        if !state.is_spoilt && !sum.add(histogram) {
                            let span = aggregate.expr.span();
                            self.note(&Note::MixedExponentialCustom, "", span);
                            state.is_spoilt = true;
                        }
                    }
                }
            }
            AggregateOp::Count | AggregateOp::Group => state.count += 1.0,
            op => {
                let note = Note::IgnoredInAggregation(op.text());
                self.note(&note, "", aggregate.expr.span());
            }
        }
    }

    fn finish(&self, aggregate: &Aggregate, state: State, q: Option<f64>) -> Option<Cell> {
        let span = aggregate.expr.span();
        if state.histograms.is_some() && state.has_floats {
            self.note(&Note::MixedFloatsHistogramsInAggregation, "", span);
            return None;
        }
        if state.is_spoilt || (state.count == 0.0 && state.values.is_empty()) {
            return None;
        }
        if let Some(sum) = state.histograms {
            let (total, notes) = sum.total();
            if notes.resets_collide {
                self.note(&Note::ResetsCollide(Operation::Aggregation), "", span);
            }
            if notes.bounds_differ {
                self.note(&Note::BoundsReconciled(Operation::Aggregation), "", span);
            }
            let value = if aggregate.op == AggregateOp::Avg {
                total.divided(state.count)
            } else {
                total
            };
            return Some(Cell::Histogram(Arc::new(value)));
        }
        Some(Cell::Float(match aggregate.op {
            AggregateOp::Sum => state.sum.total(),
            AggregateOp::Avg => mean_of(&state),
            AggregateOp::Count => state.count,
            AggregateOp::Group => 1.0,
            AggregateOp::Stdvar => state.squares / state.count,
            AggregateOp::Stddev => (state.squares / state.count).sqrt(),
            AggregateOp::Quantile => quantile(q.unwrap_or(f64::NAN), state.values),
            _ => state.value,
        }))
    }
}

/// The mean; the running one where the sum has overflowed.
fn mean_of(state: &State) -> f64 {
    let sum = state.sum.total();
    if sum.is_infinite() && !state.has_infinite {
        return state.value;
    }
    sum / state.count
}

impl State {
    /// Goes on with the running mean, which does not overflow where the sum does.
    fn mean(&mut self, value: f64) {
        self.has_infinite |= value.is_infinite();
        self.value += value / self.count - self.value / self.count;
    }

    fn add(&mut self, op: AggregateOp, value: f64) {
        self.has_floats = true;
        self.count += 1.0;
        match op {
            AggregateOp::Sum => self.sum.add(value),
            AggregateOp::Avg => {
                self.sum.add(value);
                self.mean(value);
            }
            AggregateOp::Min if self.count == 1.0 || value < self.value || self.value.is_nan() => {
                self.value = value;
            }
            AggregateOp::Max if self.count == 1.0 || value > self.value || self.value.is_nan() => {
                self.value = value;
            }
            AggregateOp::Stddev | AggregateOp::Stdvar => {
                let delta = value - self.value;
                self.value += delta / self.count;
                self.squares += delta * (value - self.value);
            }
            AggregateOp::Quantile => self.values.push(value),
            _ => {}
        }
    }
}
