//! `load`: series with their points, and the start times of samples.

use std::collections::HashMap;

use demarc_proto::{Labels, Millis};
use demarc_store::{MetricRows, Rows, Sample};

use super::{
    command::time,
    points::{points, repetition},
};
use crate::promql::{self, PointValue};

/// The rows of the lines of a `load` with a step in milliseconds.
pub(super) fn rows(step: i64, lines: &[&str]) -> Result<Rows, String> {
    let mut rows = Rows::default();
    let mut starts: HashMap<Labels, Vec<Option<i64>>> = HashMap::new();
    for line in lines {
        let (labels, rest) =
            promql::parse_series(line).map_err(|error| format!("{line:?}: {error}"))?;
        if let Some(rest) = rest.strip_prefix("@st") {
            starts.insert(labels, offsets(rest)?);
            continue;
        }
        let starts = starts.remove(&labels).unwrap_or_default();
        let mut row = MetricRows {
            labels,
            ..MetricRows::default()
        };
        for (at, point) in points(rest)?.into_iter().enumerate() {
            let Some(written) = point else {
                continue;
            };
            let at_time = at as i64 * step;
            let offset = starts.get(at).copied().flatten();
            let start = offset.map(|offset| Millis(at_time + offset));
            match written.value {
                PointValue::Float(value) => row.samples.push(Sample {
                    time: Millis(at_time),
                    value,
                    start,
                }),
                PointValue::Histogram(histogram) => {
                    let mut stored = histogram.to_stored();
                    stored.start = start;
                    row.histograms.push((Millis(at_time), stored));
                }
            }
        }
        rows.metrics.push(row);
    }
    Ok(rows)
}

/// Start times as milliseconds from the samples' own times: `-30s-1mx2 _ 0 +1m`.
fn offsets(text: &str) -> Result<Vec<Option<i64>>, String> {
    let mut offsets = Vec::new();
    for word in text.split_whitespace() {
        let (head, times) = repetition(word);
        if head == "_" {
            offsets.extend(std::iter::repeat_n(None, times.unwrap_or(1)));
            continue;
        }
        let operator = head
            .char_indices()
            .skip(1)
            .find(|(_, c)| matches!(c, '+' | '-'));
        let (start, delta) = match operator {
            None => (time(head)?.0, 0),
            Some((at, _)) => (time(&head[..at])?.0, time(&head[at..])?.0),
        };
        let repeated = 0..=times.unwrap_or(0) as i64;
        offsets.extend(repeated.map(|at| Some(start + at * delta)));
    }
    Ok(offsets)
}
