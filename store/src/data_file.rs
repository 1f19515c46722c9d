//! Data files: one Parquet file per flush, table, tenant and day, sorted by the table's sort order.

mod checksum;
mod decimal;
mod gather;
mod memory;
mod name;
mod order;
mod properties;
mod samples;
mod series;

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::{AsArray, RecordBatch},
    compute::{max, min},
    datatypes::Int64Type,
};
use demarc_proto::TenantId;
use parquet::arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder};

use crate::{
    DataFile, SeriesIndex, StoreError, Table,
    day::Day,
    head::TableRows,
    rows::{NewSeries, SampleBatches, Samples, SeriesBatches},
    wal::{create_dir, sync_dir},
};

use self::checksum::{Checksummed, Written};

pub(crate) use memory::RowMemory;
pub(crate) use name::{Order, is_ours};

pub use decimal::{restore_values, split_values};

/// Memory of the batches that are sorted into one file at most: keeps column offsets within 32 bits.
const MAX_FILE_BYTES: usize = 1 << 30;
/// Memory of the rows of one row group, about: what a reader has to hold at most.
pub(crate) const GROUP_BYTES: usize = 256 << 20;
/// Rows whose values are split at once, at most.
const PART_ROWS: usize = 1 << 17;
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

/// Where the rows of a flush go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flushed<'a> {
    /// Where.
    pub(crate) place: Place<'a>,
    /// The position of the write-ahead log up to which it has them.
    pub(crate) seq: u64,
}

impl<'a> Flushed<'a> {
    fn file(self, day: Day, count: usize) -> FileOf<'a> {
        FileOf {
            place: self.place,
            name: Order::of_flush(self.seq).name(),
            day,
            count: Some(count),
            effort: Effort::Fast,
        }
    }
}

/// Writes `rows` into files, on disk when this returns. Nobody reads them before they are committed. When one fails,
/// `written` names those before it. Returns samples as they were written: sorted, in one.
pub(crate) fn write(
    flushed: Flushed<'_>,
    rows: &TableRows,
    written: &mut Vec<(TenantId, DataFile)>,
) -> Result<Option<Samples>, StoreError> {
    match rows {
        TableRows::Batches(batches) => write_batches(flushed, batches, written).map(|()| None),
        TableRows::Series(pieces, index) => {
            write_series(flushed, pieces, index, written).map(|()| None)
        }
        TableRows::Samples(runs, index) => write_samples(flushed, runs, index, written).map(Some),
    }
}

fn write_batches(
    flushed: Flushed<'_>,
    batches: &[RecordBatch],
    written: &mut Vec<(TenantId, DataFile)>,
) -> Result<(), StoreError> {
    let place = flushed.place;
    for group in groups(batches) {
        for (day, order) in order::by_day(place.table, group)? {
            let file = flushed.file(day, order.len());
            let file = write_one(&file, in_order(group, &order))?;
            written.push((place.tenant.clone(), file));
        }
    }
    Ok(())
}

fn write_series(
    flushed: Flushed<'_>,
    pieces: &[Arc<Vec<NewSeries>>],
    index: &SeriesIndex,
    written: &mut Vec<(TenantId, DataFile)>,
) -> Result<(), StoreError> {
    for (day, rows) in series::by_day(pieces, index) {
        let file = flushed.file(day, rows.len());
        let batches = SeriesBatches::new(index, &rows);
        let file = write_one(&file, batches.map(|batch| Ok(batch?)))?;
        written.push((flushed.place.tenant.clone(), file));
    }
    Ok(())
}

/// Rows of `batches` in this order, a few at a time.
fn in_order<'a>(
    batches: &'a [RecordBatch],
    order: &'a [order::Place],
) -> impl Iterator<Item = Result<RecordBatch, StoreError>> + 'a {
    let parts = order.chunks(READ_ROWS);
    parts.map(move |part| Ok(gather::gather(batches, part)?))
}

fn write_samples(
    flushed: Flushed<'_>,
    runs: &[Arc<Samples>],
    index: &SeriesIndex,
    written: &mut Vec<(TenantId, DataFile)>,
) -> Result<Samples, StoreError> {
    let samples = Samples::merge(runs);
    for (day, points) in samples::by_day(&samples, index) {
        let file = flushed.file(day, points.len());
        let rows = SampleBatches::new(index, &samples, points);
        let file = write_one(&file, rows.map(Ok))?;
        written.push((flushed.place.tenant.clone(), file));
    }
    Ok(samples)
}

/// Reads a whole file of `table`.
pub(crate) fn read(table: Table, path: &Path) -> Result<Vec<RecordBatch>, StoreError> {
    batches(table, path, READ_ROWS)?.collect()
}

/// Reads a file of `table` batch by batch, written by this version or an older one.
pub(crate) fn batches(
    table: Table,
    path: &Path,
    batch_rows: usize,
) -> Result<impl Iterator<Item = Result<RecordBatch, StoreError>> + use<>, StoreError> {
    let file = File::open(path).map_err(StoreError::io("open", path))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)?
        .with_batch_size(batch_rows)
        .build()?;
    let rows = move |batch: Result<RecordBatch, _>| match table {
        Table::Samples => Ok(decimal::join(&batch?)?),
        other => Ok(other.complete(batch?)?),
    };
    Ok(reader.map(rows))
}

/// Writes all rows of `inputs`, files of one day, which `merged` yields sorted, into one file, on disk when this returns. Nobody
/// reads it before it is committed.
pub(crate) fn write_merged(
    place: Place<'_>,
    inputs: &[DataFile],
    merged: impl Iterator<Item = Result<RecordBatch, StoreError>>,
) -> Result<DataFile, StoreError> {
    let count = inputs.iter().map(|file| file.rows).sum::<u64>();
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    write_one(&from_inputs(place, inputs, Some(count))?, merged)
}

/// Writes rows that were made of those of `inputs`, samples of one day, into one file, as [`write_merged`] does.
pub(crate) fn write_derived(
    place: Place<'_>,
    inputs: &[DataFile],
    derived: impl Iterator<Item = Result<RecordBatch, StoreError>>,
) -> Result<DataFile, StoreError> {
    write_one(&from_inputs(place, inputs, None)?, derived)
}

fn from_inputs<'a>(
    place: Place<'a>,
    inputs: &[DataFile],
    count: Option<usize>,
) -> Result<FileOf<'a>, StoreError> {
    let wrong = |reason: String| StoreError::Value {
        table: place.table,
        column: "date",
        reason,
    };
    let date = inputs.first().map_or("", |file| &file.date);
    let orders = inputs.iter().map(|file| Order::of_file(&file.path));
    let newest = orders.max().ok_or_else(|| wrong("no files".to_owned()))?;
    Ok(FileOf {
        place,
        name: newest.name_of_merged(),
        day: Day::of_date(date).ok_or_else(|| wrong(format!("{date:?} is no day")))?,
        count,
        effort: Effort::Thorough,
    })
}

/// Deletes files that no commit names. What cannot be deleted now goes at the next start.
pub(crate) fn delete_uncommitted(files: &[(TenantId, DataFile)]) {
    for (_, file) in files {
        fs::remove_file(&file.path).ok();
    }
}

/// The checksum of a file as it is on disk.
pub(crate) fn checksum_of(path: &Path) -> io::Result<u32> {
    checksum::of_file(path)
}

/// Whether a file ends as a Parquet file should: all that can be said of one without a checksum.
pub(crate) fn check_footer(path: &Path) -> Result<(), StoreError> {
    let file = File::open(path).map_err(StoreError::io("open", path))?;
    ParquetRecordBatchReaderBuilder::try_new(file)?;
    Ok(())
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

/// How much time encoding may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effort {
    /// Rows wait in memory until the file is written.
    Fast,
    /// The file is to stay.
    Thorough,
}

/// What is known of a file before it is written.
#[derive(Clone, Debug)]
struct FileOf<'a> {
    place: Place<'a>,
    name: String,
    day: Day,
    /// Its rows, where they are known before.
    count: Option<usize>,
    effort: Effort,
}

/// What is known of a file once it is written.
struct Content {
    file: Written,
    rows: u64,
    /// The least and the greatest of the rows' times.
    times: Option<(i64, i64)>,
}

/// Writes one file of rows that come sorted.
fn write_one(
    file: &FileOf<'_>,
    rows: impl Iterator<Item = Result<RecordBatch, StoreError>>,
) -> Result<DataFile, StoreError> {
    let date = file.day.date();
    let dir = partition_dir(file.place, &date);
    create_dir(&dir)?;
    let path = dir.join(&file.name);
    let written = write_parquet(file, &path, rows).inspect_err(|_| {
        // What cannot be deleted now goes at the next start.
        fs::remove_file(&path).ok();
    });
    let Content {
        file: bytes,
        rows,
        times,
    } = written?;
    let Written { size_bytes, crc32 } = bytes;
    sync_dir(&dir)?;
    Ok(DataFile {
        path,
        size_bytes,
        rows,
        date,
        min_time: times.map(|(min, _)| min),
        max_time: times.map(|(_, max)| max),
        crc32: Some(crc32),
        lease: Arc::default(),
    })
}

fn write_parquet(
    &FileOf {
        place,
        count,
        effort,
        ..
    }: &FileOf<'_>,
    path: &Path,
    rows: impl Iterator<Item = Result<RecordBatch, StoreError>>,
) -> Result<Content, StoreError> {
    let table = place.table;
    let file = File::create_new(path).map_err(StoreError::io("create", path))?;
    let properties = properties::of(table, count.unwrap_or(usize::MAX), effort);
    let file = Checksummed::new(file);
    let mut writer = ArrowWriter::try_new(file, table.file_schema(), Some(properties))?;
    let mut times: Option<(i64, i64)> = None;
    let (mut written, mut group_bytes) = (0, 0);
    for batch in rows {
        let batch = batch?;
        written += batch.num_rows();
        match table {
            Table::Samples => {
                for part in parts(&batch) {
                    writer.write(&decimal::split(&part)?)?;
                }
            }
            _ => {
                writer.write(&batch)?;
                group_bytes += batch.get_array_memory_size();
                if group_bytes >= GROUP_BYTES {
                    writer.flush()?;
                    group_bytes = 0;
                }
            }
        }
        let (first, last) = times.unwrap_or((i64::MAX, i64::MIN));
        times = time_range(table, &batch).map(|(min, max)| (min.min(first), max.max(last)));
    }
    if let Some(count) = count
        && written != count
    {
        // A row must not get lost, whatever a file that was read says of itself.
        return Err(StoreError::Value {
            table,
            column: "date",
            reason: format!("{written} rows instead of {count}"),
        });
    }
    Ok(Content {
        file: writer.into_inner()?.sync(path)?,
        rows: written as u64,
        times,
    })
}

/// The rows in parts of a size that is cheap to work on.
fn parts(rows: &RecordBatch) -> impl Iterator<Item = RecordBatch> {
    let starts = (0..rows.num_rows()).step_by(PART_ROWS);
    starts.map(|start| rows.slice(start, PART_ROWS.min(rows.num_rows() - start)))
}

fn time_range(table: Table, rows: &RecordBatch) -> Option<(i64, i64)> {
    let times = rows.column_by_name(table.time_column())?;
    let times = times.as_primitive_opt::<Int64Type>()?;
    Some((min(times)?, max(times)?))
}

/// `tenant=.../date=...` below the table's directory.
fn partition_dir(place: Place<'_>, date: &str) -> PathBuf {
    tenant_dir(place.dir, place.tenant).join(format!("date={date}"))
}

/// `tenant=...` below the directory of a table. The name is for people and partition-aware readers of plain files: the log is
/// what tells a file's tenant, so that a character that object stores dislike may be replaced.
pub(crate) fn tenant_dir(table_dir: &Path, tenant: &TenantId) -> PathBuf {
    let tenant = tenant.as_str().replace('*', "_");
    table_dir.join(format!("tenant={tenant}"))
}
