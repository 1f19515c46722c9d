//! `and`, `or` and `unless`.

use std::collections::{HashMap, HashSet};

use demarc_proto::Labels;

use super::{matching::Matching, series::Series};

impl Matching<'_> {
    /// Elements of two vectors, chosen at each step by whether the other side has one that matches.
    pub(super) fn set(&self, operator: &str, left: Vec<Series>, right: Vec<Series>) -> Vec<Series> {
        match operator {
            "and" => self.filtered(left, &right, true),
            "unless" => self.filtered(left, &right, false),
            _ => {
                let others = self.filtered(right, &left, false);
                join(left, others)
            }
        }
    }

    /// Those of `left` that have (or, if not `wanted`, lack) a partner in `right`.
    fn filtered(&self, left: Vec<Series>, right: &[Series], wanted: bool) -> Vec<Series> {
        let mut present: HashMap<Labels, HashSet<usize>> = HashMap::new();
        for one in right {
            let steps = present.entry(self.signature(&one.labels)).or_default();
            let has_value = |(step, value): (usize, &Option<f64>)| value.map(|_| step);
            steps.extend(one.values.iter().enumerate().filter_map(has_value));
        }
        let mut kept = Vec::new();
        for mut one in left {
            let steps = present.get(&self.signature(&one.labels));
            for (step, value) in one.values.iter_mut().enumerate() {
                let has_partner = steps.is_some_and(|steps| steps.contains(&step));
                if has_partner != wanted {
                    *value = None;
                }
            }
            if one.values.iter().any(Option::is_some) {
                kept.push(one);
            }
        }
        kept
    }
}

/// Both, with the values of series that are on both sides put into one.
fn join(left: Vec<Series>, right: Vec<Series>) -> Vec<Series> {
    let mut joined = left;
    for one in right {
        match joined.iter_mut().find(|series| series.labels == one.labels) {
            Some(series) => {
                for (value, other) in series.values.iter_mut().zip(one.values) {
                    *value = value.or(other);
                }
            }
            None => joined.push(one),
        }
    }
    joined
}
