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
        value::{ABSENT, Cell, Series, Steps, is_absent},
    },
};

/// What a group has gathered, step by step.
struct Group {
    labels: Labels,
    drop_name: bool,
    /// How many numbers there are.
    counts: Vec<u32>,
    figures: Figures,
    /// Where there is any histogram.
    histograms: Option<Vec<Gathered>>,
}

/// What an operator has to know of the numbers at each step.
enum Figures {
    /// How many there are.
    Counts,
    Sums(Vec<Sum>),
    Extremes(Vec<f64>),
    /// Their mean, and the sum of their squared distances from it.
    Moments(Vec<(f64, f64)>),
    /// All of them.
    All(Vec<Vec<f64>>),
}

/// The histograms of a group at one step.
#[derive(Clone, Default)]
struct Gathered {
    count: u32,
    sum: Option<Box<HistogramSum>>,
    is_spoilt: bool,
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
        let mut of_series = Vec::with_capacity(series.len());
        for one in series {
            self.check_alive()?;
            let at = finder.group(&one.labels);
            of_series.push(at);
            if at == groups.len() {
                self.hold(steps.count)?;
                groups.push(Group::new(finder.labels[at].clone(), aggregate.op, steps));
            }
            let group = &mut groups[at];
            group.drop_name |= one.drop_name;
            group.add(aggregate.op, &one.floats);
            for (step, histogram) in one.histograms.iter().flatten().enumerate() {
                if let Some(histogram) = histogram {
                    self.add_histogram(aggregate, group, step, histogram);
                }
            }
        }
        let mut found = Vec::with_capacity(groups.len());
        for (at, group) in groups.into_iter().enumerate() {
            let members = || {
                let members = series.iter().zip(&of_series);
                members.filter_map(move |(one, group)| (*group == at).then_some(one))
            };
            let result = self.finish(aggregate, group, q, members);
            if !result.is_empty() {
                found.push(result);
            }
        }
        Ok(found)
    }

    fn add_histogram(
        &self,
        aggregate: &Aggregate,
        group: &mut Group,
        step: usize,
        histogram: &Histogram,
    ) {
        let count = group.counts.len();
        let all = &mut group.histograms;
        let gathered = &mut all.get_or_insert_with(|| vec![Gathered::default(); count])[step];
        match aggregate.op {
            AggregateOp::Sum | AggregateOp::Avg => {
                gathered.count += 1;
                match &mut gathered.sum {
                    None => gathered.sum = Some(Box::new(HistogramSum::new(histogram))),
                    Some(sum) => {
                        if !gathered.is_spoilt && !sum.add(histogram) {
                            let span = aggregate.expr.span();
                            self.note(&Note::MixedExponentialCustom, "", span);
                            gathered.is_spoilt = true;
                        }
                    }
                }
            }
            AggregateOp::Count | AggregateOp::Group => gathered.count += 1,
            op => {
                let note = Note::IgnoredInAggregation(op.text());
                self.note(&note, "", aggregate.expr.span());
            }
        }
    }

    /// The value of a group at each step. `members`: the series in it.
    fn finish<'s, I: Iterator<Item = &'s Series>>(
        &self,
        aggregate: &Aggregate,
        group: Group,
        q: Option<&[f64]>,
        members: impl Fn() -> I,
    ) -> Series {
        let op = aggregate.op;
        let mut floats = match group.figures {
            Figures::Counts if op == AggregateOp::Count => {
                group.counts.iter().map(|count| f64::from(*count)).collect()
            }
            Figures::Counts => vec![1.0; group.counts.len()],
            Figures::Sums(sums) => {
                let mut totals: Vec<f64> = sums.into_iter().map(Sum::total).collect();
                if op == AggregateOp::Avg {
                    for (step, total) in totals.iter_mut().enumerate() {
                        *total = mean_of(*total, group.counts[step], step, members());
                    }
                }
                totals
            }
            Figures::Extremes(values) => values,
            Figures::Moments(moments) => {
                let variance = |((_, squares), count): ((f64, f64), &u32)| {
                    let variance = squares / f64::from(*count);
                    match op {
                        AggregateOp::Stddev => variance.sqrt(),
                        _ => variance,
                    }
                };
                moments
                    .into_iter()
                    .zip(&group.counts)
                    .map(variance)
                    .collect()
            }
            Figures::All(values) => {
                let values = values.into_iter().enumerate();
                let q = |step: usize| q.map_or(f64::NAN, |q| q[step]);
                values.map(|(step, all)| quantile(q(step), all)).collect()
            }
        };
        for (value, count) in floats.iter_mut().zip(&group.counts) {
            if *count == 0 {
                *value = ABSENT;
            }
        }
        let mut result = Series::of_floats(group.labels, group.drop_name, floats);
        for (step, gathered) in group.histograms.into_iter().flatten().enumerate() {
            if gathered.count > 0 {
                let numbers = group.counts[step];
                match self.finish_histograms(aggregate, gathered, numbers) {
                    Some(cell) => result.set(step, cell),
                    None => result.clear(step),
                }
            }
        }
        result
    }

    /// The value at a step at which there are histograms, and so many numbers.
    fn finish_histograms(
        &self,
        aggregate: &Aggregate,
        gathered: Gathered,
        numbers: u32,
    ) -> Option<Cell> {
        let span = aggregate.expr.span();
        let Some(sum) = gathered.sum else {
            return Some(Cell::Float(match aggregate.op {
                AggregateOp::Count => f64::from(gathered.count + numbers),
                _ => 1.0,
            }));
        };
        if numbers > 0 {
            self.note(&Note::MixedFloatsHistogramsInAggregation, "", span);
            return None;
        }
        if gathered.is_spoilt {
            return None;
        }
        let (total, notes) = sum.total();
        if notes.resets_collide {
            self.note(&Note::ResetsCollide(Operation::Aggregation), "", span);
        }
        if notes.bounds_differ {
            self.note(&Note::BoundsReconciled(Operation::Aggregation), "", span);
        }
        let value = if aggregate.op == AggregateOp::Avg {
            total.divided(f64::from(gathered.count))
        } else {
            total
        };
        Some(Cell::Histogram(Arc::new(value)))
    }
}

/// The mean of the numbers at a step, of which the sum is known; worked out as a running one where the sum has overflowed.
fn mean_of<'s>(
    sum: f64,
    count: u32,
    step: usize,
    members: impl Iterator<Item = &'s Series>,
) -> f64 {
    if !sum.is_infinite() {
        return sum / f64::from(count);
    }
    let (mut mean, mut count_so_far) = (0.0, 0.0);
    for value in members.filter_map(|one| one.float(step)) {
        if value.is_infinite() {
            return sum / f64::from(count);
        }
        count_so_far += 1.0;
        mean += value / count_so_far - mean / count_so_far;
    }
    mean
}

impl Group {
    fn new(labels: Labels, op: AggregateOp, steps: Steps) -> Self {
        let count = steps.count;
        Self {
            labels,
            drop_name: false,
            counts: vec![0; count],
            figures: match op {
                AggregateOp::Sum | AggregateOp::Avg => Figures::Sums(vec![Sum::default(); count]),
                AggregateOp::Min | AggregateOp::Max => Figures::Extremes(vec![f64::NAN; count]),
                AggregateOp::Stddev | AggregateOp::Stdvar => {
                    Figures::Moments(vec![(0.0, 0.0); count])
                }
                AggregateOp::Quantile => Figures::All(vec![Vec::new(); count]),
                _ => Figures::Counts,
            },
            histograms: None,
        }
    }

    /// Adds the numbers of a series.
    fn add(&mut self, op: AggregateOp, floats: &[f64]) {
        let counts = &mut self.counts;
        let present = floats.iter().enumerate();
        let present = present.filter(|(_, value)| !is_absent(**value));
        let present = present.map(|(step, value)| {
            counts[step] += 1;
            (step, *value, counts[step])
        });
        match &mut self.figures {
            Figures::Counts => present.for_each(drop),
            Figures::Sums(sums) => present.for_each(|(step, value, _)| sums[step].add(value)),
            Figures::Extremes(best) if op == AggregateOp::Min => {
                present.for_each(|(step, value, _)| {
                    if value < best[step] || best[step].is_nan() {
                        best[step] = value;
                    }
                });
            }
            Figures::Extremes(best) => present.for_each(|(step, value, _)| {
                if value > best[step] || best[step].is_nan() {
                    best[step] = value;
                }
            }),
            Figures::Moments(moments) => present.for_each(|(step, value, count)| {
                let (mean, squares) = &mut moments[step];
                let delta = value - *mean;
                *mean += delta / f64::from(count);
                *squares += delta * (value - *mean);
            }),
            Figures::All(values) => present.for_each(|(step, value, _)| values[step].push(value)),
        }
    }
}
