//! What one reader sees: the files, the head and the series of one tenant at one moment.

mod sources;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::array::RecordBatch;
use demarc_proto::{METRIC_NAME, Matcher, Millis, SeriesId, TenantId, TimeRange};
use roaring::RoaringBitmap;

use crate::{
    MetricKind, SeriesEntry, StoreError, Table, data_file,
    day::Day,
    head::{InMemory, SampleHead, SeriesHead, Settled, TableHead, runs},
    index::{Selected, Selection, SeriesIndex},
    integrity::Integrity,
    rows::{SampleBatches, Samples, SeriesBatches},
    scan::{Footer, Groups},
};

pub use self::sources::Stretch as SampleStretch;

/// One committed Parquet file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFile {
    /// Absolute path on the local disk.
    pub path: PathBuf,
    /// Its size.
    pub size_bytes: u64,
    /// Its rows.
    pub rows: u64,
    /// The UTC day of its rows, `YYYY-MM-DD`.
    pub date: String,
    /// Smallest value of the table's time column, where the log knows it.
    pub min_time: Option<i64>,
    /// Largest value of the table's time column, where the log knows it.
    pub max_time: Option<i64>,
    /// Checksum of the whole file; `None` when another program wrote it.
    pub(crate) crc32: Option<u32>,
    /// Shared by all copies of this entry: while a snapshot holds one, the file is not deleted.
    pub(crate) lease: Arc<()>,
}

/// Which samples of the head are wanted.
#[derive(Clone, Debug, Default)]
pub struct SampleFilter {
    /// Only those of these series; `None` for all.
    pub series: Option<Vec<SeriesId>>,
    /// The first and the last time, both inclusive; `None` for all times.
    pub range: Option<(Millis, Millis)>,
}

impl SampleFilter {
    fn holds(&self, time: i64) -> bool {
        self.range
            .is_none_or(|(first, last)| first.0 <= time && time <= last.0)
    }
}

/// What is known of a metric: kind, help and unit, as some of its series say.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MetricMetadata {
    /// What kind of metric it is.
    pub kind: MetricKind,
    /// What it means, empty when unknown.
    pub help: String,
    /// The unit, empty when unknown.
    pub unit: String,
}

/// What one reader sees: the files, the head and the series of one tenant at one moment. Cheap to make and to clone.
///
/// Every row that was acknowledged before the snapshot was made is either in a file or in the head, never in both.
#[derive(Clone, Debug)]
pub struct Snapshot {
    tenant: TenantId,
    tables: Arc<[TableHead; Table::ALL.len()]>,
    samples: SampleHead,
    series: SeriesHead,
    index: Arc<SeriesIndex>,
    /// The number after that of the last series that there was.
    visible: u32,
    settled: Settled,
    integrity: Arc<Integrity>,
}

impl Snapshot {
    pub(crate) fn new(
        tenant: &TenantId,
        tables: [TableHead; Table::ALL.len()],
        (samples, series): (SampleHead, SeriesHead),
        index: Arc<SeriesIndex>,
    ) -> Self {
        Self {
            tenant: tenant.clone(),
            tables: Arc::new(tables),
            samples,
            series,
            visible: index.end(),
            index,
            settled: Settled::default(),
            integrity: Arc::default(),
        }
    }

    /// The same, with what is known of the order in which samples came.
    pub(crate) fn settled_as(self, settled: Settled) -> Self {
        Self { settled, ..self }
    }

    /// The same, with what is known of its files.
    pub(crate) fn checked_by(self, integrity: Arc<Integrity>) -> Self {
        Self { integrity, ..self }
    }

    /// Whose rows these are.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The last time of which the samples and histograms are settled, and the version of the tenant's data: another one as soon
    /// as samples from that time or before come, or any go.
    pub fn settled(&self) -> (Millis, u64) {
        (Millis(self.settled.until()), self.settled.version())
    }

    /// Those of `files`, of `table`, that are as they were written: to be called before files are read. A damaged file is left
    /// out, and the store puts it aside, counts it and names it ([`crate::Store::damage`]). Reads a file through when it is
    /// asked for the first time or when it has changed since.
    pub async fn intact(
        &self,
        table: Table,
        files: Vec<DataFile>,
    ) -> Result<Vec<DataFile>, StoreError> {
        let (integrity, tenant) = (self.integrity.clone(), self.tenant.clone());
        let checked = tokio::task::spawn_blocking(move || integrity.intact(table, &tenant, files));
        checked.await.map_err(StoreError::task)
    }

    /// As [`Snapshot::intact`], where blocking is allowed.
    pub(crate) fn intact_now(&self, table: Table, files: Vec<DataFile>) -> Vec<DataFile> {
        self.integrity.intact(table, &self.tenant, files)
    }

    /// What the end of a file of `table` says.
    pub(crate) fn footer(&self, table: Table, path: &Path) -> Result<Arc<Footer>, StoreError> {
        self.integrity.footers.of(table, path)
    }

    /// Row groups of samples that are kept decoded.
    pub(crate) fn decoded(&self) -> &Arc<Groups> {
        &self.integrity.decoded
    }

    /// What of `table` is missing within `range` because a file is damaged: the UTC day, `YYYY-MM-DD`, and the file's name. To be
    /// asked after the files were read.
    pub fn losses(&self, table: Table, range: TimeRange) -> Vec<(String, String)> {
        self.integrity.losses(table, &self.tenant, Day::span(range))
    }

    /// The committed files of `table`, oldest first.
    pub fn files(&self, table: Table) -> Vec<DataFile> {
        self.tables[table.index()].files.to_vec()
    }

    /// The rows of `table` that are in no file yet. Never an empty batch.
    pub fn head(&self, table: Table) -> Vec<RecordBatch> {
        match table {
            Table::Samples => self.head_samples(&SampleFilter::default()),
            Table::Series => self.head_of_series(),
            _ => {
                let head = &self.tables[table.index()];
                let batches = head.frozen.iter().chain(head.active.iter());
                batches.cloned().collect()
            }
        }
    }

    fn head_of_series(&self) -> Vec<RecordBatch> {
        let pieces = self.series.pieces();
        let batches = pieces.flat_map(|rows| SeriesBatches::new(&self.index, rows));
        batches
            .map(|batch| batch.expect("each row fitted into a batch when it was appended"))
            .collect()
    }

    /// The rows of `samples` that are in no file yet and pass `filter`, in the order of writing but each batch sorted.
    pub fn head_samples(&self, filter: &SampleFilter) -> Vec<RecordBatch> {
        self.head_sample_batches(filter).collect()
    }

    /// As [`Self::head_samples`], each batch made when it is asked for: as rows they take several times the memory.
    pub fn head_sample_batches(
        &self,
        filter: &SampleFilter,
    ) -> impl Iterator<Item = RecordBatch> + Send + use<> {
        let wanted = filter.series.as_ref().map(|ids| {
            let known = ids.iter().filter_map(|id| self.index.find(*id));
            known.map(|series| series.0).collect::<RoaringBitmap>()
        });
        let (index, filter) = (self.index.clone(), filter.clone());
        let runs: Vec<Arc<Samples>> = self.runs().cloned().collect();
        runs.into_iter().flat_map(move |run| {
            let mut points = match &wanted {
                Some(wanted) => run.of_any(wanted),
                None => run.points().to_vec(),
            };
            points.retain(|point| filter.holds(point.time));
            SampleBatches::new(index.clone(), run, points)
        })
    }

    /// Times (milliseconds, ascending, each once) and values of one series that are in no file yet, from the first to the
    /// last of `range`, both inclusive. A few microseconds, however much there is.
    pub fn head_series(&self, id: SeriesId, range: (Millis, Millis)) -> Vec<(i64, f64)> {
        let Some(series) = self.index.find(id) else {
            return Vec::new();
        };
        runs::of_series(self.runs(), series, (range.0.0, range.1.0))
    }

    /// The samples in memory from the first to the last of `range`, both inclusive, that are in no file or from
    /// [`Snapshot::in_memory_since`] on.
    pub fn in_memory(&self, range: (Millis, Millis)) -> InMemory<'_> {
        InMemory::new(&self.samples, (range.0.0, range.1.0))
    }

    /// Samples of files from this time on are in memory as well, where [`Snapshot::in_memory`] finds them.
    pub fn in_memory_since(&self) -> Millis {
        Millis(self.samples.recent.since())
    }

    fn runs(&self) -> impl Iterator<Item = &Arc<Samples>> {
        self.samples.frozen.iter().chain(self.samples.active.iter())
    }

    /// All rows of `table`, files before head: for small tables.
    #[tracing::instrument(skip_all, err, fields(tenant = %self.tenant, %table))]
    pub async fn read(&self, table: Table) -> Result<Vec<RecordBatch>, StoreError> {
        let files = self.intact(table, self.files(table)).await?;
        let mut batches = Vec::new();
        if !files.is_empty() {
            let read = tokio::task::spawn_blocking(move || read_files(table, &files)).await;
            batches = read.map_err(StoreError::task)??;
        }
        batches.extend(self.head(table));
        Ok(batches)
    }

    /// The series that satisfy all `matchers`, sorted by their labels; with a `range`, only those with values on the UTC
    /// days that it touches. Without any matcher: all series.
    pub fn select(
        &self,
        matchers: &[Matcher],
        range: Option<TimeRange>,
    ) -> Result<Vec<Arc<SeriesEntry>>, StoreError> {
        Ok(self.select_numbered(matchers, range)?.entries)
    }

    /// As [`Snapshot::select`], with the numbers of the series.
    pub fn select_numbered(
        &self,
        matchers: &[Matcher],
        range: Option<TimeRange>,
    ) -> Result<Selected, StoreError> {
        self.index.select(&self.selection(matchers, range))
    }

    fn selection<'a>(&self, matchers: &'a [Matcher], range: Option<TimeRange>) -> Selection<'a> {
        Selection {
            matchers,
            days: range.map(Day::span),
            visible: self.visible,
        }
    }

    /// The names of the labels of the series that [`Snapshot::select`] finds, sorted.
    pub fn label_names(
        &self,
        matchers: &[Matcher],
        range: Option<TimeRange>,
    ) -> Result<Vec<String>, StoreError> {
        self.index.label_names(&self.selection(matchers, range))
    }

    /// The values that the label `name` has in the series that [`Snapshot::select`] finds, sorted.
    pub fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        range: Option<TimeRange>,
    ) -> Result<Vec<String>, StoreError> {
        self.index
            .label_values(name, &self.selection(matchers, range))
    }

    /// What is known of each metric, by its name; all of them, or only `metric`.
    pub fn metadata(&self, metric: Option<&str>) -> BTreeMap<String, Vec<MetricMetadata>> {
        let matchers: Vec<Matcher> = metric
            .map(|metric| Matcher::equal(METRIC_NAME, metric))
            .into_iter()
            .collect();
        let series = self
            .select(&matchers, None)
            .expect("only a regular expression can be wrong, and there is none");
        let mut metadata: BTreeMap<String, BTreeSet<MetricMetadata>> = BTreeMap::new();
        for entry in series {
            let metric = metadata.entry(entry.labels.metric().to_owned());
            metric.or_default().insert(MetricMetadata {
                kind: entry.kind,
                help: entry.help.clone(),
                unit: entry.unit.clone(),
            });
        }
        let sorted = metadata.into_iter();
        sorted
            .map(|(metric, known)| (metric, known.into_iter().collect()))
            .collect()
    }
}

fn read_files(table: Table, files: &[DataFile]) -> Result<Vec<RecordBatch>, StoreError> {
    let mut batches = Vec::new();
    for file in files {
        batches.extend(data_file::read(table, &file.path)?);
    }
    Ok(batches)
}
