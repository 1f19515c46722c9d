//! The order of rows in files: by day, and within a day by the table's sort columns.

use std::collections::BTreeMap;

use arrow::{
    array::{ArrayRef, AsArray, RecordBatch},
    datatypes::Int64Type,
    row::{RowConverter, Rows, SortField},
};

use crate::{StoreError, Table, day::Day};

/// A row of a list of batches: which batch, and which row of it.
pub(super) type Place = (usize, usize);

/// The rows of each day in the order of files; of rows with equal keys, those that come first stay first.
pub(super) fn by_day(
    table: Table,
    batches: &[RecordBatch],
) -> Result<BTreeMap<Day, Vec<Place>>, StoreError> {
    let keys = keys(table, batches)?;
    let mut days: BTreeMap<Day, Vec<Entry>> = BTreeMap::new();
    let mut places = Vec::with_capacity(keys.num_rows());
    for (batch, rows) in batches.iter().enumerate() {
        for (row, time) in times(table, rows)?.iter().enumerate() {
            let at = u32::try_from(places.len()).map_err(|_| too_many(table))?;
            let prefix = prefix(keys.row(at as usize).data());
            let of_day = days.entry(Day::of_row(table, *time)).or_default();
            of_day.push(Entry { prefix, at });
            places.push((batch, row));
        }
    }
    let sorted = |mut entries: Vec<Entry>| {
        let key = |entry: &Entry| keys.row(entry.at as usize);
        entries.sort_unstable_by(|a, b| {
            let by_prefix = a.prefix.cmp(&b.prefix);
            by_prefix.then_with(|| (key(a), a.at).cmp(&(key(b), b.at)))
        });
        let order = entries.iter().map(|entry| places[entry.at as usize]);
        order.collect()
    };
    let days = days.into_iter();
    Ok(days.map(|(day, entries)| (day, sorted(entries))).collect())
}

/// A row while it is sorted.
#[derive(Clone, Copy)]
struct Entry {
    /// The beginning of its key: most rows differ in it.
    prefix: u128,
    at: u32,
}

fn prefix(key: &[u8]) -> u128 {
    let mut prefix = [0; 16];
    let len = key.len().min(prefix.len());
    prefix[..len].copy_from_slice(&key[..len]);
    u128::from_be_bytes(prefix)
}

/// The sort keys of all rows.
fn keys(table: Table, batches: &[RecordBatch]) -> Result<Rows, StoreError> {
    let schema = table.schema();
    let fields = table.sort_columns().iter().map(|name| {
        let field = schema.field_with_name(name)?;
        Ok(SortField::new(field.data_type().clone()))
    });
    let fields: Result<Vec<SortField>, arrow::error::ArrowError> = fields.collect();
    let converter = RowConverter::new(fields?)?;
    let count = batches.iter().map(RecordBatch::num_rows).sum();
    let mut keys = converter.empty_rows(count, 0);
    for batch in batches {
        let columns = table.sort_columns().iter();
        let columns: Vec<ArrayRef> = columns
            .filter_map(|name| batch.column_by_name(name).cloned())
            .collect();
        converter.append(&mut keys, &columns)?;
    }
    Ok(keys)
}

fn times(table: Table, rows: &RecordBatch) -> Result<&[i64], StoreError> {
    let column = rows.column_by_name(table.time_column());
    let times = column.and_then(|column| column.as_primitive_opt::<Int64Type>());
    let times = times.ok_or_else(|| bad(table, "missing"))?;
    Ok(times.values())
}

fn too_many(table: Table) -> StoreError {
    bad(table, "too many rows for one file")
}

fn bad(table: Table, reason: &str) -> StoreError {
    StoreError::Value {
        table,
        column: table.time_column(),
        reason: reason.to_owned(),
    }
}
