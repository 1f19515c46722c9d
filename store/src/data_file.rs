//! Data files: one Parquet file per flush, table, tenant and day, sorted by the table's sort order.

mod partition;
mod properties;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use arrow::{
    array::{AsArray, RecordBatch},
    compute::{SortColumn, concat_batches, lexsort_to_indices, max, min, take_record_batch},
    datatypes::Int64Type,
};
use demarc_proto::TenantId;
use parquet::arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder};

use crate::{DataFile, StoreError, Table, day::Day, wal::sync_dir};

/// What the names of our data files begin with; others in the same directories are none of our business.
pub(crate) const NAME_PREFIX: &str = "demarc-";

/// Memory of the batches that are sorted into one file at most: keeps column offsets within 32 bits.
const MAX_FILE_BYTES: usize = 1 << 30;
/// Rows of one batch when reading.
const READ_ROWS: usize = 8192;

/// Where a table's files go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// The table.
    pub(crate) table: Table,
    /// The table's directory.
    pub(crate) dir: &'a Path,
    /// Whose rows.
    pub(crate) tenant: &'a TenantId,
}

/// Writes `batches` into files, on disk when this returns. Nobody reads them before they are committed. When one fails,
/// `written` names those before it.
pub(crate) fn write(
    place: Place<'_>,
    batches: &[RecordBatch],
    written: &mut Vec<(TenantId, DataFile)>,
) -> Result<(), StoreError> {
    for group in groups(batches) {
        let rows = concat_batches(&place.table.schema(), group)?;
        for (day, rows) in partition::by_day(place.table, &rows)? {
            let file = write_one(place, day, &rows)?;
            written.push((place.tenant.clone(), file));
        }
    }
    Ok(())
}

/// Reads a whole file of `table`, written by this version or an older one.
pub(crate) fn read(table: Table, path: &Path) -> Result<Vec<RecordBatch>, StoreError> {
    let file = File::open(path).map_err(StoreError::io("open", path))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)?
        .with_batch_size(READ_ROWS)
        .build()?;
    let complete = |batch: Result<RecordBatch, _>| Ok(table.complete(batch?)?);
    reader.map(complete).collect()
}

/// Splits a list of batches so that no part takes more memory than [`MAX_FILE_BYTES`], unless it is a single batch.
fn groups(batches: &[RecordBatch]) -> Vec<&[RecordBatch]> {
    let mut groups = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (at, batch) in batches.iter().enumerate() {
        let size = batch.get_array_memory_size();
        if at > start && bytes + size > MAX_FILE_BYTES {
            groups.push(&batches[start..at]);
            (start, bytes) = (at, 0);
        }
        bytes += size;
    }
    if start < batches.len() {
        groups.push(&batches[start..]);
    }
    groups
}

fn write_one(place: Place<'_>, day: Day, rows: &RecordBatch) -> Result<DataFile, StoreError> {
    let rows = sorted(place.table, rows)?;
    let date = day.date();
    let dir = partition_dir(place, &date);
    fs::create_dir_all(&dir).map_err(StoreError::io("create", &dir))?;
    let path = dir.join(format!("{NAME_PREFIX}{}.parquet", uuid::Uuid::now_v7()));
    let written = write_parquet(place.table, &path, &rows).inspect_err(|_| {
        // What cannot be deleted now goes at the next start.
        fs::remove_file(&path).ok();
    });
    let size_bytes = written?;
    // The file's entry, and those of directories that may be new.
    for dir in dir.ancestors().take(3) {
        sync_dir(dir)?;
    }
    let times = rows
        .column_by_name(place.table.time_column())
        .and_then(|column| column.as_primitive_opt::<Int64Type>());
    Ok(DataFile {
        path,
        size_bytes,
        rows: rows.num_rows() as u64,
        date,
        min_time: times.and_then(min),
        max_time: times.and_then(max),
    })
}

fn write_parquet(table: Table, path: &Path, rows: &RecordBatch) -> Result<u64, StoreError> {
    let file = File::create_new(path).map_err(StoreError::io("create", path))?;
    let properties = properties::of(table, rows.num_rows());
    let mut writer = ArrowWriter::try_new(file, rows.schema(), Some(properties))?;
    writer.write(rows)?;
    let file = writer.into_inner()?;
    file.sync_all().map_err(StoreError::io("sync", path))?;
    let metadata = file.metadata().map_err(StoreError::io("stat", path))?;
    Ok(metadata.len())
}

fn sorted(table: Table, rows: &RecordBatch) -> Result<RecordBatch, StoreError> {
    let keys: Vec<SortColumn> = table
        .sort_columns()
        .iter()
        .filter_map(|name| rows.column_by_name(name))
        .map(|values| SortColumn {
            values: values.clone(),
            options: None,
        })
        .collect();
    let order = lexsort_to_indices(&keys, None)?;
    Ok(take_record_batch(rows, &order)?)
}

/// `tenant=.../date=...` below the table's directory. The name is for people and partition-aware readers of plain files:
/// the log is what tells a file's tenant, so that a character that object stores dislike may be replaced.
fn partition_dir(place: Place<'_>, date: &str) -> PathBuf {
    let tenant = place.tenant.as_str().replace('*', "_");
    place
        .dir
        .join(format!("tenant={tenant}"))
        .join(format!("date={date}"))
}
