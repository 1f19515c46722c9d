//! Splitting rows by day.

use std::collections::BTreeMap;

use arrow::{
    array::{AsArray, RecordBatch, UInt32Array},
    compute::take_record_batch,
    datatypes::Int64Type,
};

use crate::{StoreError, Table, day::Day};

/// The rows of each day, in the order of days.
pub(super) fn by_day(
    table: Table,
    rows: &RecordBatch,
) -> Result<Vec<(Day, RecordBatch)>, StoreError> {
    let bad = |reason: &str| StoreError::Value {
        table,
        column: table.time_column(),
        reason: reason.to_owned(),
    };
    let times = rows
        .column_by_name(table.time_column())
        .and_then(|column| column.as_primitive_opt::<Int64Type>())
        .ok_or_else(|| bad("missing"))?;
    let mut days: BTreeMap<Day, Vec<u32>> = BTreeMap::new();
    for (row, time) in times.values().iter().enumerate() {
        let row = u32::try_from(row).map_err(|_| bad("too many rows in one batch"))?;
        days.entry(Day::of_row(table, *time)).or_default().push(row);
    }
    if let (1, Some((day, _))) = (days.len(), days.first_key_value()) {
        return Ok(vec![(*day, rows.clone())]);
    }
    let take = |(day, rows_of_day)| {
        let taken = take_record_batch(rows, &UInt32Array::from(rows_of_day))?;
        Ok((day, taken))
    };
    days.into_iter().map(take).collect()
}
