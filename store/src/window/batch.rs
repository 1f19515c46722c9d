//! Windows as rows of their tables, and back.

use std::sync::Arc;

use arrow::{
    array::{Array, AsArray, BinaryBuilder, Float64Array, Int64Array, RecordBatch, StringBuilder},
    datatypes::{Float64Type, Int64Type},
};
use demarc_proto::SeriesId;

use super::{Edge, Resolution, Window};
use crate::StoreError;

/// A window with the id and the metric of its series.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: SeriesId,
    pub(super) metric: Arc<str>,
    pub(super) window: Window,
}

/// The rows as a batch of the resolution's table.
pub(super) fn batch(resolution: Resolution, rows: &[Row]) -> Result<RecordBatch, StoreError> {
    let mut ids = BinaryBuilder::new();
    let mut metrics = StringBuilder::new();
    for row in rows {
        ids.append_value(row.id.to_bytes());
        metrics.append_value(&row.metric);
    }
    let windows = || rows.iter().map(|row| &row.window);
    let floats = |value: fn(&Window) -> f64| Float64Array::from_iter_values(windows().map(value));
    let times = |time: fn(&Window) -> i64| Int64Array::from_iter_values(windows().map(time));
    let starts = |start: fn(&Window) -> i64| {
        let known = windows()
            .map(start)
            .map(|start| (start != 0).then_some(start));
        known.collect::<Int64Array>()
    };
    Ok(RecordBatch::try_new(
        resolution.table().schema(),
        vec![
            Arc::new(ids.finish()),
            Arc::new(metrics.finish()),
            Arc::new(times(|one| one.end.time)),
            Arc::new(floats(|one| one.end.value)),
            Arc::new(times(|one| i64::try_from(one.count).unwrap_or(i64::MAX))),
            Arc::new(floats(|one| one.sum)),
            Arc::new(floats(|one| one.min)),
            Arc::new(floats(|one| one.max)),
            Arc::new(times(|one| one.first.time)),
            Arc::new(floats(|one| one.first.value)),
            Arc::new(starts(|one| one.first.start)),
            Arc::new(times(|one| one.last.time)),
            Arc::new(floats(|one| one.last.value)),
            Arc::new(starts(|one| one.last.start)),
            Arc::new(floats(|one| one.resets)),
        ],
    )?)
}

impl Window {
    /// Reads a batch of the table of `resolution`.
    pub fn from_batch(
        resolution: Resolution,
        batch: &RecordBatch,
    ) -> Result<Vec<(SeriesId, Self)>, StoreError> {
        let bad = |column: &'static str| StoreError::Value {
            table: resolution.table(),
            column,
            reason: "missing, or not what it should be".to_owned(),
        };
        let ids = batch.column_by_name("series_id");
        let ids = ids.and_then(|column| column.as_binary_opt::<i32>());
        let ids = ids.ok_or_else(|| bad("series_id"))?;
        let times = |name: &'static str| {
            let column = batch.column_by_name(name);
            let column = column.and_then(|column| column.as_primitive_opt::<Int64Type>());
            column.ok_or_else(|| bad(name))
        };
        let floats = |name: &'static str| {
            let column = batch.column_by_name(name);
            let column = column.and_then(|column| column.as_primitive_opt::<Float64Type>());
            column.ok_or_else(|| bad(name))
        };
        let (time, value) = (times("time")?, floats("value")?);
        let (count, sum) = (times("count")?, floats("sum")?);
        let (min, max, resets) = (floats("min")?, floats("max")?, floats("resets")?);
        let edge = |time: &Int64Array, value: &Float64Array, start: &Int64Array, at: usize| Edge {
            time: time.value(at),
            value: value.value(at),
            start: if start.is_valid(at) {
                start.value(at)
            } else {
                0
            },
        };
        let first = (
            times("first_time")?,
            floats("first")?,
            times("first_start")?,
        );
        let last = (times("last_time")?, floats("last")?, times("last_start")?);
        let row = |at: usize| {
            let id = SeriesId::from_bytes(ids.value(at)).ok_or_else(|| bad("series_id"))?;
            let last = edge(last.0, last.1, last.2, at);
            let window = Self {
                end: Edge {
                    time: time.value(at),
                    value: value.value(at),
                    start: last.start,
                },
                count: u64::try_from(count.value(at)).unwrap_or(0),
                sum: sum.value(at),
                min: min.value(at),
                max: max.value(at),
                first: edge(first.0, first.1, first.2, at),
                last,
                resets: resets.value(at),
            };
            Ok((id, window))
        };
        (0..batch.num_rows()).map(row).collect()
    }
}
