//! Aggregations that keep some of the elements: `topk`, `bottomk`, `limitk`, `limit_ratio`.

use std::cmp::Ordering;

use demarc_proto::Labels;

use super::Groups;
use crate::promql::{
    annotation::Note,
    ast::{Aggregate, AggregateOp},
    eval::Eval,
    value::{Series, Steps, is_absent},
};

impl Eval<'_> {
    /// The series, with values only where they are picked. `parameters`: one for each step.
    pub(super) fn pick(
        &self,
        aggregate: &Aggregate,
        parameters: &[f64],
        mut series: Vec<Series>,
        groups: &Groups,
        steps: Steps,
    ) -> Vec<Series> {
        let is_ordered = matches!(aggregate.op, AggregateOp::Topk | AggregateOp::Bottomk);
        if is_ordered {
            let has_histograms =
                |one: &Series| one.histograms.iter().flatten().any(Option::is_some);
            if series.iter().any(has_histograms) {
                let note = Note::IgnoredInAggregation(aggregate.op.text());
                self.note(&note, "", aggregate.expr.span());
            }
            for one in &mut series {
                one.histograms = None;
            }
        }
        let members = members(groups);
        let shares: Vec<f64> = match aggregate.op {
            AggregateOp::LimitRatio => series.iter().map(|one| share(&one.labels)).collect(),
            _ => Vec::new(),
        };
        let mut is_kept = vec![false; series.len()];
        for (step, parameter) in parameters.iter().enumerate().take(steps.count) {
            is_kept.fill(false);
            for group in &members {
                for at in kept(aggregate.op, *parameter, group, &series, &shares, step) {
                    is_kept[at] = true;
                }
            }
            for (one, is_kept) in series.iter_mut().zip(&is_kept) {
                if !is_kept {
                    one.clear(step);
                }
            }
        }
        series.retain(|one| !one.is_empty());
        series
    }
}

fn members(groups: &Groups) -> Vec<Vec<usize>> {
    let mut members = vec![Vec::new(); groups.count];
    for (at, group) in groups.of_series.iter().enumerate() {
        members[*group].push(at);
    }
    members
}

fn kept(
    op: AggregateOp,
    parameter: f64,
    group: &[usize],
    series: &[Series],
    shares: &[f64],
    step: usize,
) -> Vec<usize> {
    let present = group
        .iter()
        .copied()
        .filter(|at| series[*at].is_present(step));
    if op == AggregateOp::LimitRatio {
        let is_within = |at: &usize| {
            if parameter >= 0.0 {
                shares[*at] < parameter
            } else {
                shares[*at] >= 1.0 + parameter
            }
        };
        return present.filter(is_within).collect();
    }
    let count = if parameter < 1.0 {
        0
    } else {
        parameter as usize
    };
    if op == AggregateOp::Limitk || count == 0 {
        return present.take(count).collect();
    }
    let floats = present.filter(|at| !is_absent(series[*at].floats[step]));
    let mut best: Vec<usize> = floats.collect();
    // Of equal values, those of the series that come first.
    let in_order = |a: &usize, b: &usize| {
        let (at, bt) = (a, b);
        let (a, b) = (series[*a].floats[step], series[*b].floats[step]);
        let ordering = a.partial_cmp(&b).unwrap_or(Ordering::Equal);
        let ordering = if op == AggregateOp::Topk {
            ordering.reverse()
        } else {
            ordering
        };
        a.is_nan().cmp(&b.is_nan()).then(ordering).then(at.cmp(bt))
    };
    if count < best.len() {
        best.select_nth_unstable_by(count, in_order);
    }
    best.truncate(count);
    best
}

/// A number in [0, 1] that belongs to the labels, the same in every query, and the same as in Prometheus: the hash of all names
/// and values, each behind its length.
fn share(labels: &Labels) -> f64 {
    let mut bytes = Vec::new();
    for (name, value) in labels.iter() {
        for text in [name, value] {
            match u8::try_from(text.len()) {
                Ok(length) if length < u8::MAX => bytes.push(length),
                _ => {
                    bytes.push(u8::MAX);
                    bytes.extend_from_slice(&(text.len() as u32).to_le_bytes()[..3]);
                }
            }
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    xxhash_rust::xxh64::xxh64(&bytes, 0) as f64 / u64::MAX as f64
}
