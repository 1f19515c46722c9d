//! Windows as rows of their tables, and back.

use std::sync::Arc;

use arrow::{
    array::{
        Array, AsArray, BinaryArray, BinaryBuilder, Float64Array, Int64Array, RecordBatch,
        StringBuilder,
    },
    datatypes::{Float64Type, Int64Type},
};
use demarc_proto::SeriesId;

use super::{Edge, Resolution, Window};
use crate::{StoreError, Table};

/// A window with the id and the metric of its series.
#[derive(Clone, Debug)]
pub(crate) struct Row {
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
        let columns = Columns::new(resolution.table(), batch)?;
        let row = |at| Ok((columns.id(at)?, columns.window(at)));
        (0..batch.num_rows()).map(row).collect()
    }
}

/// The rows of a batch of the table of `resolution`.
pub(super) fn rows(resolution: Resolution, batch: &RecordBatch) -> Result<Vec<Row>, StoreError> {
    let columns = Columns::new(resolution.table(), batch)?;
    let metrics = batch.column_by_name("metric");
    let metrics = metrics.and_then(|column| column.as_string_opt::<i32>());
    let metrics = metrics.ok_or_else(|| bad(resolution.table(), "metric"))?;
    let mut rows: Vec<Row> = Vec::with_capacity(batch.num_rows());
    for at in 0..batch.num_rows() {
        let (id, metric) = (columns.id(at)?, metrics.value(at));
        let shared = rows.last().map(|last| &last.metric);
        let shared = shared.filter(|last| ***last == *metric).cloned();
        rows.push(Row {
            id,
            metric: shared.unwrap_or_else(|| Arc::from(metric)),
            window: columns.window(at),
        });
    }
    Ok(rows)
}

/// The columns of a batch but for the metric.
struct Columns<'a> {
    table: Table,
    ids: &'a BinaryArray,
    end: EdgeColumns<'a>,
    first: EdgeColumns<'a>,
    last: EdgeColumns<'a>,
    count: &'a Int64Array,
    sum: &'a Float64Array,
    min: &'a Float64Array,
    max: &'a Float64Array,
    resets: &'a Float64Array,
}

struct EdgeColumns<'a> {
    time: &'a Int64Array,
    value: &'a Float64Array,
    start: &'a Int64Array,
}

impl<'a> Columns<'a> {
    fn new(table: Table, batch: &'a RecordBatch) -> Result<Self, StoreError> {
        let ids = batch.column_by_name("series_id");
        let ids = ids.and_then(|column| column.as_binary_opt::<i32>());
        let times = |name: &'static str| {
            let column = batch.column_by_name(name);
            let column = column.and_then(|column| column.as_primitive_opt::<Int64Type>());
            column.ok_or_else(|| bad(table, name))
        };
        let floats = |name: &'static str| {
            let column = batch.column_by_name(name);
            let column = column.and_then(|column| column.as_primitive_opt::<Float64Type>());
            column.ok_or_else(|| bad(table, name))
        };
        let edge = |time, value, start| {
            Ok::<_, StoreError>(EdgeColumns {
                time: times(time)?,
                value: floats(value)?,
                start: times(start)?,
            })
        };
        Ok(Self {
            table,
            ids: ids.ok_or_else(|| bad(table, "series_id"))?,
            end: edge("time", "value", "last_start")?,
            first: edge("first_time", "first", "first_start")?,
            last: edge("last_time", "last", "last_start")?,
            count: times("count")?,
            sum: floats("sum")?,
            min: floats("min")?,
            max: floats("max")?,
            resets: floats("resets")?,
        })
    }

    fn id(&self, at: usize) -> Result<SeriesId, StoreError> {
        SeriesId::from_bytes(self.ids.value(at)).ok_or_else(|| bad(self.table, "series_id"))
    }

    fn window(&self, at: usize) -> Window {
        Window {
            end: self.end.at(at),
            count: u64::try_from(self.count.value(at)).unwrap_or(0),
            sum: self.sum.value(at),
            min: self.min.value(at),
            max: self.max.value(at),
            first: self.first.at(at),
            last: self.last.at(at),
            resets: self.resets.value(at),
        }
    }
}

impl EdgeColumns<'_> {
    fn at(&self, at: usize) -> Edge {
        let start = self.start.is_valid(at).then(|| self.start.value(at));
        Edge {
            time: self.time.value(at),
            value: self.value.value(at),
            start: start.unwrap_or(0),
        }
    }
}

fn bad(table: Table, column: &'static str) -> StoreError {
    StoreError::Value {
        table,
        column,
        reason: "missing, or not what it should be".to_owned(),
    }
}
