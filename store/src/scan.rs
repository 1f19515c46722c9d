//! Rows of chosen series straight out of data files: no plan, one row group at a time, on whichever thread asks.
//!
//! [`Wanted`] -> [`Snapshot::parts`] (the row groups that can hold wanted rows, by time, metric and id) ->
//! [`Part::samples`] or [`Part::batches`].

mod decoded;
mod footer;
mod fragment;

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Cursor},
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
};

use arrow::array::RecordBatch;
use bytes::Bytes;
use demarc_proto::{Millis, SeriesId};
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{
            ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
            RowSelectionPolicy,
        },
    },
    errors::ParquetError,
    file::reader::{ChunkReader, Length},
};

use crate::{SeriesEntry, Snapshot, StoreError, Table};

use self::{
    decoded::{Decoded, Decoding},
    footer::Group,
};

pub(crate) use decoded::Groups;
pub(crate) use footer::{Footer, Footers};
pub use fragment::{Columns, Fragment, Stretch};

/// Rows that are decoded at once: their columns stay in the processor's cache.
const BATCH_ROWS: usize = 16_384;

/// Series whose rows are looked for.
#[derive(Debug)]
pub struct Wanted {
    /// Their metrics, sorted.
    metrics: Vec<String>,
    /// Their ids, sorted, each with the place that its series has for whoever asks.
    ids: Vec<(SeriesId, u32)>,
}

impl Wanted {
    /// The series whose places are those in `series`.
    pub fn new(series: &[Arc<SeriesEntry>]) -> Self {
        let mut metrics: BTreeSet<&str> = BTreeSet::new();
        let mut last = None;
        for entry in series {
            let metric = entry.labels.metric();
            if last != Some(metric) {
                metrics.insert(metric);
                last = Some(metric);
            }
        }
        let mut ids: Vec<_> = series.iter().map(|entry| entry.id).zip(0..).collect();
        ids.sort_unstable();
        Self {
            metrics: metrics.into_iter().map(str::to_owned).collect(),
            ids,
        }
    }

    /// Whether any of them may have rows in a row group.
    fn may_be_in(&self, group: &Group) -> bool {
        let Some((least, greatest)) = &group.metrics else {
            return true;
        };
        let from = self.metrics.partition_point(|metric| metric < least);
        let has_metric = self.metrics.get(from).is_some_and(|one| one <= greatest);
        let Some((first, last)) = group.ids else {
            return has_metric;
        };
        let from = self.ids.partition_point(|(id, _)| *id < first);
        has_metric && self.ids.get(from).is_some_and(|(id, _)| *id <= last)
    }
}

/// A row group of a data file that can hold wanted rows. It stays readable as long as this lives.
#[derive(Debug)]
pub struct Part {
    table: Table,
    file: crate::DataFile,
    footer: Arc<Footer>,
    group: usize,
    /// Where it is kept once it is decoded, if it is.
    kept: Option<Arc<Groups>>,
}

impl Snapshot {
    /// The row groups of `table`, which is sorted by series, that can hold rows of `wanted` from the first to the last of `range`,
    /// both inclusive; oldest files first, each in its own order. Reads files through that were not read before: not to be
    /// called where nothing may block.
    pub fn parts(
        &self,
        table: Table,
        wanted: &Wanted,
        range: (Millis, Millis),
    ) -> Result<Vec<Part>, StoreError> {
        let overlaps = |min: Option<i64>, max: Option<i64>| {
            min.is_none_or(|min| min <= range.1.0) && max.is_none_or(|max| max >= range.0.0)
        };
        let mut files = self.files(table);
        files.retain(|file| overlaps(file.min_time, file.max_time));
        let mut parts = Vec::new();
        for file in self.intact_now(table, files) {
            let footer = self.footer(table, &file.path)?;
            for (at, group) in footer.groups.iter().enumerate() {
                let (first, last) = (group.times.map(|one| one.0), group.times.map(|one| one.1));
                if overlaps(first, last) && wanted.may_be_in(group) {
                    parts.push(Part {
                        table,
                        file: file.clone(),
                        footer: Arc::clone(&footer),
                        group: at,
                        kept: None,
                    });
                }
            }
        }
        let groups = self.decoded();
        let is_kept = table == Table::Samples
            && groups.has_room_for(parts.iter().map(Part::rows).sum::<usize>());
        for part in parts.iter_mut().filter(|_| is_kept) {
            part.kept = Some(Arc::clone(groups));
        }
        Ok(parts)
    }
}

impl Part {
    /// How many rows it has, wanted or not.
    pub fn rows(&self) -> usize {
        self.group().rows
    }

    /// The wanted rows of `samples`, from the first to the last of `range`, both inclusive.
    pub fn samples(
        &self,
        wanted: &Wanted,
        range: (Millis, Millis),
    ) -> Result<Fragment, StoreError> {
        match &self.kept {
            Some(kept) => {
                let decoded = kept.of(&self.file.path, self.group, || self.decode())?;
                Ok(decoded.fragment(wanted, range))
            }
            None => self.only_wanted(wanted, range),
        }
    }

    fn decode(&self) -> Result<Decoded, StoreError> {
        let mut columns = vec!["series_id"];
        columns.extend(self.value_columns());
        let mut decoding = Decoding::default();
        for batch in self.reader(&self.bytes()?, Some(&columns), None)? {
            decoding.take(&batch.map_err(ParquetError::from)?)?;
        }
        Ok(decoding.finish())
    }

    fn only_wanted(
        &self,
        wanted: &Wanted,
        range: (Millis, Millis),
    ) -> Result<Fragment, StoreError> {
        let mut rows = fragment::Rows::new(wanted);
        let bytes = self.bytes()?;
        for batch in self.reader(&bytes, Some(&["series_id"]), None)? {
            rows.look_at(&batch.map_err(ParquetError::from)?)?;
        }
        let count = rows.count();
        if count == 0 {
            return Ok(Fragment::default());
        }
        // Of columns in many pages, most pages need not be decompressed for a few rows.
        let is_few = count < rows.seen / 4;
        let selection = is_few.then(|| rows.select());
        let mut reading = fragment::Reading::new(rows.found, range);
        for batch in self.reader(&bytes, Some(&self.value_columns()), selection)? {
            reading.take(&batch.map_err(ParquetError::from)?)?;
        }
        Ok(reading.finish())
    }

    /// The columns beside the id that say anything of samples.
    fn value_columns(&self) -> Vec<&'static str> {
        let group = self.group();
        let mut columns = vec!["time"];
        columns.extend(group.has_digits.then_some("value_digits"));
        columns.extend(group.has_digits.then_some("value_divisor"));
        columns.extend(group.has_values.then_some("value"));
        columns.extend(group.has_starts.then_some("start_time"));
        columns
    }

    /// All rows and columns, wanted or not.
    pub fn batches(&self) -> Result<Vec<RecordBatch>, StoreError> {
        let complete = |batch: Result<RecordBatch, _>| Ok(self.table.complete(batch?)?);
        let bytes = self.bytes()?;
        self.reader(&bytes, None, None)?.map(complete).collect()
    }

    fn group(&self) -> &Group {
        &self.footer.groups[self.group]
    }

    fn bytes(&self) -> Result<Span, StoreError> {
        let path = &self.file.path;
        Span::read(path, self.group().bytes).map_err(StoreError::io("read", path))
    }

    /// Reads the named columns, all when there is no list, of the selected rows.
    fn reader(
        &self,
        bytes: &Span,
        columns: Option<&[&str]>,
        selection: Option<RowSelection>,
    ) -> Result<ParquetRecordBatchReader, StoreError> {
        let schema = self.footer.arrow.parquet_schema();
        let mask = match columns {
            Some(columns) => ProjectionMask::columns(schema, columns.iter().copied()),
            None => ProjectionMask::all(),
        };
        let footer = self.footer.arrow.clone();
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes.clone(), footer);
        let mut reader = builder
            .with_row_groups(vec![self.group])
            .with_projection(mask)
            .with_batch_size(BATCH_ROWS);
        if let Some(selection) = selection {
            reader = reader
                .with_row_selection(selection)
                .with_row_selection_policy(RowSelectionPolicy::Selectors);
        }
        Ok(reader.build()?)
    }
}

/// The bytes of one row group, read at once.
#[derive(Clone)]
struct Span {
    start: u64,
    bytes: Bytes,
}

impl Span {
    fn read(path: &Path, (start, len): (u64, usize)) -> io::Result<Self> {
        let mut bytes = vec![0; len];
        File::open(path)?.read_exact_at(&mut bytes, start)?;
        Ok(Self {
            start,
            bytes: bytes.into(),
        })
    }

    fn from(&self, start: u64) -> Result<usize, ParquetError> {
        let from = start.checked_sub(self.start);
        let from = from.and_then(|from| usize::try_from(from).ok());
        from.filter(|from| *from <= self.bytes.len())
            .ok_or_else(|| ParquetError::EOF(format!("offset {start} is not in the row group")))
    }
}

impl Length for Span {
    fn len(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl ChunkReader for Span {
    type T = Cursor<Bytes>;

    fn get_read(&self, start: u64) -> Result<Cursor<Bytes>, ParquetError> {
        Ok(Cursor::new(self.bytes.slice(self.from(start)?..)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let from = self.from(start)?;
        let to = from.checked_add(length);
        let to = to.filter(|to| *to <= self.bytes.len());
        let to = to.ok_or_else(|| ParquetError::EOF(format!("{length} bytes from {start} on")))?;
        Ok(self.bytes.slice(from..to))
    }
}
