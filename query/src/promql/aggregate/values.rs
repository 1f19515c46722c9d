//! `count_values`: how many elements have each value.

use std::collections::BTreeMap;

use demarc_proto::Labels;

use super::group_labels;
use crate::{
    QueryError,
    promql::{
        ast::Aggregate,
        print::{number, quoted},
        value::{Cell, Series, Steps},
    },
};

/// A number without an exponent.
fn plain(value: f64) -> String {
    if value.is_finite() {
        value.to_string()
    } else {
        number(value)
    }
}

pub(super) fn count(
    label: &[u8],
    aggregate: &Aggregate,
    series: Vec<Series>,
    steps: Steps,
) -> Result<Vec<Series>, QueryError> {
    let name = std::str::from_utf8(label)
        .ok()
        .filter(|name| !name.is_empty());
    let name = name
        .ok_or_else(|| QueryError::Evaluation(format!("invalid label name {}", quoted(label))))?;
    let mut found: BTreeMap<Labels, Series> = BTreeMap::new();
    for one in series {
        let mut group = group_labels(aggregate, &one.labels);
        for step in 0..steps.count {
            let value = match one.cell(step) {
                Some(Cell::Float(value)) => plain(value),
                Some(Cell::Histogram(histogram)) => histogram.to_string(),
                None => continue,
            };
            group.set(name, &value);
            let counted = found
                .entry(group.clone())
                .or_insert_with(|| Series::empty(group.clone(), one.drop_name, steps.count));
            let before = counted.float(step).unwrap_or(0.0);
            counted.floats[step] = before + 1.0;
        }
    }
    Ok(found.into_values().collect())
}
