//! What the ends of data files say of their row groups, kept in memory for the files that were read last.

use std::{
    collections::HashMap,
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::datatypes::{DataType, Field, Schema};
use demarc_proto::SeriesId;
use parking_lot::Mutex;
use parquet::{
    arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions},
    file::{
        metadata::{ColumnChunkMetaData, RowGroupMetaData},
        statistics::Statistics,
    },
};

use crate::{StoreError, Table};

/// Memory that footers take at most.
const MAX_BYTES: usize = 64 << 20;

/// What the end of a file says.
#[derive(Debug)]
pub(crate) struct Footer {
    pub(super) arrow: ArrowReaderMetadata,
    pub(super) groups: Vec<Group>,
}

/// What is known of the rows of a row group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) rows: usize,
    /// Where its bytes begin, and how many there are.
    pub(super) bytes: (u64, usize),
    /// Not above the least and not below the greatest metric.
    pub(super) metrics: Option<(String, String)>,
    /// The least and the greatest id, where all rows are of one metric.
    pub(super) ids: Option<(SeriesId, SeriesId)>,
    /// The first and the last time.
    pub(super) times: Option<(i64, i64)>,
    /// Whether any value is split.
    pub(super) has_digits: bool,
    /// Whether any value is whole.
    pub(super) has_values: bool,
    pub(super) has_starts: bool,
}

/// The footers that were used last.
#[derive(Debug, Default)]
pub(crate) struct Footers {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    by_path: HashMap<PathBuf, Kept>,
    bytes: usize,
    uses: u64,
}

#[derive(Debug)]
struct Kept {
    footer: Arc<Footer>,
    bytes: usize,
    used: u64,
}

impl Footers {
    /// The footer of a file of `table`. Data files never change.
    pub(crate) fn of(&self, table: Table, path: &Path) -> Result<Arc<Footer>, StoreError> {
        if let Some(footer) = self.known.lock().find(path) {
            return Ok(footer);
        }
        let footer = Arc::new(Footer::read(table, path)?);
        self.known.lock().keep(path, &footer);
        Ok(footer)
    }

    /// Forgets files that are no more.
    pub(crate) fn forget_all_but(&self, exists: impl Fn(&PathBuf) -> bool) {
        let mut known = self.known.lock();
        known.by_path.retain(|path, _| exists(path));
        known.bytes = known.by_path.values().map(|kept| kept.bytes).sum();
    }
}

impl Known {
    fn find(&mut self, path: &Path) -> Option<Arc<Footer>> {
        self.uses += 1;
        let kept = self.by_path.get_mut(path)?;
        kept.used = self.uses;
        Some(Arc::clone(&kept.footer))
    }

    fn keep(&mut self, path: &Path, footer: &Arc<Footer>) {
        let bytes = footer.memory_bytes();
        let kept = Kept {
            footer: Arc::clone(footer),
            bytes,
            used: self.uses,
        };
        self.bytes += bytes;
        if let Some(same) = self.by_path.insert(path.to_path_buf(), kept) {
            self.bytes -= same.bytes;
        }
        while self.bytes > MAX_BYTES && self.by_path.len() > 1 {
            let oldest = self.by_path.iter().min_by_key(|(_, kept)| kept.used);
            let Some(oldest) = oldest.map(|(path, _)| path.clone()) else {
                return;
            };
            self.bytes -= self.by_path.remove(&oldest).map_or(0, |kept| kept.bytes);
        }
    }
}

impl Footer {
    fn read(table: Table, path: &Path) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(StoreError::io("open", path))?;
        let options = || ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let mut arrow = ArrowReaderMetadata::load(&file, options())?;
        if table == Table::Samples {
            let schema = Arc::new(with_dictionary(arrow.schema()));
            let metadata = Arc::clone(arrow.metadata());
            arrow = ArrowReaderMetadata::try_new(metadata, options().with_schema(schema))?;
        }
        let groups = arrow.metadata().row_groups().iter().map(Group::of);
        Ok(Self {
            groups: groups.collect(),
            arrow,
        })
    }

    fn memory_bytes(&self) -> usize {
        let names = |group: &Group| {
            let names = group.metrics.as_ref();
            names.map_or(0, |(a, b)| a.capacity() + b.capacity())
        };
        let groups: usize = self.groups.iter().map(names).sum();
        groups
            + self.groups.capacity() * size_of::<Group>()
            + self.arrow.metadata().memory_size()
            + size_of::<Self>()
    }
}

/// The columns with ids as the dictionaries in which files hold them: each id is looked at once instead of once per row.
fn with_dictionary(schema: &Schema) -> Schema {
    let field = |field: &Arc<Field>| match field.data_type() {
        DataType::Binary if field.name() == "series_id" => {
            let ids = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Binary));
            Arc::new(Field::clone(field).with_data_type(ids))
        }
        _ => Arc::clone(field),
    };
    Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>())
}

impl Group {
    fn of(group: &RowGroupMetaData) -> Self {
        let column = |name: &str| {
            let columns = group.columns().iter();
            let mut named = columns.filter(|one| one.column_path().string() == name);
            named.next()
        };
        let rows = usize::try_from(group.num_rows()).unwrap_or(0);
        let has_any = |name: &str| column(name).is_some_and(|one| has_any(one, rows));
        let metrics = column("metric").and_then(texts);
        let is_one_metric = metrics.as_ref().is_some_and(|(a, b)| a == b);
        Self {
            rows,
            bytes: bytes(group),
            ids: column("series_id").filter(|_| is_one_metric).and_then(ids),
            metrics,
            times: column("time").and_then(times),
            has_digits: has_any("value_digits"),
            has_values: has_any("value"),
            has_starts: has_any("start_time"),
        }
    }
}

fn bytes(group: &RowGroupMetaData) -> (u64, usize) {
    let ranges = || group.columns().iter().map(ColumnChunkMetaData::byte_range);
    let start = ranges().map(|(start, _)| start).min().unwrap_or(0);
    let end = ranges().map(|(start, len)| start + len).max().unwrap_or(0);
    (start, usize::try_from(end - start).unwrap_or(0))
}

/// Whether any row may have a value.
fn has_any(column: &ColumnChunkMetaData, rows: usize) -> bool {
    let nulls = column.statistics().and_then(Statistics::null_count_opt);
    nulls.is_none_or(|nulls| nulls < rows as u64)
}

fn texts(column: &ColumnChunkMetaData) -> Option<(String, String)> {
    let statistics = column.statistics()?;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    let least = text(statistics.min_bytes_opt()?)?;
    Some((least, text(statistics.max_bytes_opt()?)?))
}

fn ids(column: &ColumnChunkMetaData) -> Option<(SeriesId, SeriesId)> {
    let statistics = column.statistics()?;
    let least = SeriesId::from_bytes(statistics.min_bytes_opt()?)?;
    Some((least, SeriesId::from_bytes(statistics.max_bytes_opt()?)?))
}

fn times(column: &ColumnChunkMetaData) -> Option<(i64, i64)> {
    match column.statistics()? {
        Statistics::Int64(times) => Some((*times.min_opt()?, *times.max_opt()?)),
        _ => None,
    }
}
