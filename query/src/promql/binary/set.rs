//! `and`, `or`, `unless`.

use std::collections::HashMap;

use demarc_proto::Labels;

use super::matching::signature;
use crate::promql::{
    ast::{BinaryOp, Matching},
    value::{Series, Steps, merge_same},
};

/// At which steps each signature is present.
type Presence = HashMap<Labels, Vec<bool>>;

pub(super) fn apply(
    op: BinaryOp,
    matching: &Matching,
    left: Vec<Series>,
    right: Vec<Series>,
    steps: Steps,
) -> Vec<Series> {
    let empty = vec![false; steps.count];
    match op {
        BinaryOp::Or => {
            let present = presence(matching, &left, steps);
            let mut result = left;
            for mut one in right {
                if let Some(taken) = present.get(&signature(matching, &one.labels)) {
                    clear(&mut one, |step| taken[step]);
                }
                if !one.is_empty() {
                    result.push(one);
                }
            }
            // Elements that differ in their name only may follow each other over time.
            merge_same(result.clone()).unwrap_or(result)
        }
        op => {
            let present = presence(matching, &right, steps);
            let is_and = op == BinaryOp::And;
            let mut result = Vec::new();
            for mut one in left {
                let found = present.get(&signature(matching, &one.labels));
                let found = found.unwrap_or(&empty);
                clear(&mut one, |step| found[step] != is_and);
                if !one.is_empty() {
                    result.push(one);
                }
            }
            result
        }
    }
}

fn presence(matching: &Matching, series: &[Series], steps: Steps) -> Presence {
    let mut present = Presence::new();
    for one in series {
        let at = present
            .entry(signature(matching, &one.labels))
            .or_insert_with(|| vec![false; steps.count]);
        for (step, at) in at.iter_mut().enumerate() {
            *at |= one.is_present(step);
        }
    }
    present
}

fn clear(series: &mut Series, is_cleared: impl Fn(usize) -> bool) {
    for step in 0..series.floats.len() {
        if is_cleared(step) {
            series.clear(step);
        }
    }
}
