//! The leaves' data: all samples of the selected series within a span of time, from head and files.

use std::{cell::LazyCell, collections::HashMap, ops::Deref, sync::Arc};

use arrow::{
    array::{Array, AsArray, BooleanArray, Int64Array},
    compute::filter_record_batch,
    datatypes::{Float64Type, Int64Type},
    record_batch::RecordBatch,
};
use datafusion::{
    common::ScalarValue,
    prelude::{Expr as Filter, col, lit},
};
use demarc_proto::{Matcher, Millis, Nanos, SeriesId, TimeRange};
use demarc_store::{CounterReset, Histogram as StoredHistogram, SeriesEntry, Snapshot, Table};
use futures::TryStreamExt;

use super::{
    eval::Eval,
    native::Histogram,
    value::{SeriesLabels, is_absent},
};
use crate::{QueryError, reading::with_tenant, table::SnapshotTable};

/// Selections of at most this many series are also filtered by their ids in the scan.
const MAX_ID_FILTER: usize = 64;
/// How far before the first wanted histogram others are read, to know whether it follows a counter reset.
const RESET_LOOKBACK_MS: i64 = 300_000;

/// One series, as stored or as a subquery made it: times in milliseconds, ascending, each once.
#[derive(Clone, Debug)]
pub(super) struct RawSeries {
    pub(super) labels: SeriesLabels,
    pub(super) drop_name: bool,
    pub(super) floats: Vec<(i64, f64)>,
    /// Where any is known: when each float began to count; 0 where it is not known.
    pub(super) starts: Option<Vec<i64>>,
    pub(super) histograms: Vec<RawHistogram>,
}

/// A histogram at a time.
#[derive(Clone, Debug)]
pub(super) struct RawHistogram {
    pub(super) time: i64,
    /// When it began to count; 0 where it is not known.
    pub(super) start: i64,
    pub(super) value: Arc<Histogram>,
}

/// What of histograms is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    /// All of it.
    Whole,
    /// Count and sum, and what is known of counter resets.
    CountAndSum,
}

/// Closed span of time in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interval {
    pub(super) min: i64,
    pub(super) max: i64,
}

impl Interval {
    /// As a half-open range of nanoseconds; `None` when it is empty.
    fn range(self) -> Option<TimeRange> {
        let nanos = |millis: i64| Nanos(millis.saturating_mul(1_000_000));
        TimeRange::new(nanos(self.min), nanos(self.max.saturating_add(1)))
    }
}

/// The place of each series that is looked for.
type Wanted = HashMap<SeriesId, usize>;

/// The rows of one series while they are read.
#[derive(Default)]
struct Rows {
    floats: Vec<(i64, f64)>,
    /// As long as `floats`, or empty when none is known.
    starts: Vec<i64>,
    histograms: Vec<(i64, StoredHistogram)>,
}

impl Eval<'_> {
    /// All samples of the series that satisfy `matchers`, stale markers among them, sorted by labels.
    pub(super) fn load(
        &self,
        matchers: &[Matcher],
        metric: Option<&str>,
        interval: Interval,
        detail: Detail,
    ) -> Result<Vec<RawSeries>, QueryError> {
        let mut series = Vec::new();
        for (snapshot, matchers) in self.reading.matched(matchers)? {
            let mut of_tenant = self.load_from(snapshot, &matchers, metric, interval, detail)?;
            if self.reading.is_federated() {
                for one in &mut of_tenant {
                    one.labels = with_tenant(&one.labels, snapshot.tenant()).into();
                }
            }
            series.extend(of_tenant);
        }
        if self.reading.is_federated() {
            series.sort_by(|a, b| a.labels.cmp(&b.labels));
        }
        Ok(series)
    }

    /// As [`Self::load`], of one tenant.
    fn load_from(
        &self,
        snapshot: &Snapshot,
        matchers: &[Matcher],
        metric: Option<&str>,
        interval: Interval,
        detail: Detail,
    ) -> Result<Vec<RawSeries>, QueryError> {
        let Some(range) = interval.range() else {
            return Ok(Vec::new());
        };
        let entries = snapshot.select(matchers, Some(range))?;
        self.reading.budget.take_series(entries.len())?;
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<SeriesId> = entries.iter().map(|one| one.id).collect();
        let wanted: LazyCell<Wanted, _> =
            LazyCell::new(|| (0..).zip(&ids).map(|(at, id)| (*id, at)).collect());
        let mut rows: Vec<Rows> = Vec::new();
        rows.resize_with(entries.len(), Rows::default);
        let (samples, histograms) = (Table::Samples, Table::Histograms);
        self.scan((snapshot, samples), &wanted, metric, interval, |batch| {
            collect_floats(batch, &wanted, interval, &mut rows)
        })?;
        let times = (Millis(interval.min), Millis(interval.max));
        let mut count = 0;
        snapshot.head_points(&ids, times, |place, time, value, start| {
            rows[place].push(time, value, start.unwrap_or(0));
            count += 1;
        });
        self.count(count)?;
        let with_lookback = Interval {
            min: interval.min.saturating_sub(RESET_LOOKBACK_MS),
            max: interval.max,
        };
        let tables = (snapshot, histograms);
        self.scan(tables, &wanted, metric, with_lookback, |batch| {
            collect_histograms(batch, &wanted, with_lookback, &mut rows)
        })?;
        for batch in snapshot.head(histograms) {
            self.check_alive()?;
            self.count(collect_histograms(
                &batch,
                &wanted,
                with_lookback,
                &mut rows,
            )?)?;
        }
        let mut series = Vec::new();
        for (entry, rows) in entries.into_iter().zip(rows) {
            if let Some(one) = finish(entry, rows, interval, detail) {
                series.push(one);
            }
        }
        Ok(series)
    }

    /// Hands every batch of the files that can hold wanted rows to `take`, oldest writes first.
    fn scan(
        &self,
        (snapshot, table): (&Snapshot, Table),
        wanted: &impl Deref<Target = Wanted>,
        metric: Option<&str>,
        interval: Interval,
        mut take: impl FnMut(&RecordBatch) -> Result<usize, QueryError>,
    ) -> Result<(), QueryError> {
        let overlaps = |min: Option<i64>, max: Option<i64>| {
            min.is_none_or(|min| min <= interval.max) && max.is_none_or(|max| max >= interval.min)
        };
        let files = snapshot.files(table);
        if files
            .iter()
            .any(|file| overlaps(file.min_time, file.max_time))
        {
            for batch in self.scan_files((snapshot, table), wanted, metric, interval)? {
                self.count(take(&batch)?)?;
            }
        }
        Ok(())
    }

    fn scan_files(
        &self,
        (snapshot, table): (&Snapshot, Table),
        wanted: &Wanted,
        metric: Option<&str>,
        interval: Interval,
    ) -> Result<Vec<RecordBatch>, QueryError> {
        let mut filter = col("time")
            .gt_eq(lit(interval.min))
            .and(col("time").lt_eq(lit(interval.max)));
        if let Some(metric) = metric {
            filter = filter.and(col("metric").eq(lit(metric)));
        }
        if wanted.len() <= MAX_ID_FILTER {
            filter = filter.and(col("series_id").in_list(ids(wanted), false));
        }
        let limit = self.config.max_samples;
        self.runtime.block_on(async {
            let context = self.reading.session(snapshot)?;
            let source = SnapshotTable::files_only(snapshot, table);
            let mut frame = context.read_table(Arc::new(source))?.filter(filter)?;
            if table == Table::Samples {
                frame = frame.select_columns(&["series_id", "time", "value", "start_time"])?;
            }
            let mut stream = frame.execute_stream().await?;
            let (mut batches, mut rows) = (Vec::new(), 0);
            while let Some(batch) = stream.try_next().await? {
                self.check_alive()?;
                rows += batch.num_rows();
                if rows > limit {
                    return Err(super::eval::too_many_samples(limit));
                }
                batches.push(batch);
            }
            Ok(batches)
        })
    }
}

fn ids(wanted: &Wanted) -> Vec<Filter> {
    wanted
        .keys()
        .map(|id| lit(ScalarValue::Binary(Some(id.to_bytes().to_vec()))))
        .collect()
}

fn shape(column: &str) -> QueryError {
    QueryError::Evaluation(format!("the column {column} is missing or of another type"))
}

/// Which row of a batch belongs to which wanted series.
struct Places<'a> {
    ids: &'a arrow::array::BinaryArray,
    times: &'a Int64Array,
    /// Rows of one series follow each other in files and mostly in the head: its place is looked up once per run.
    run: Option<(&'a [u8], Option<usize>)>,
}

impl<'a> Places<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self, QueryError> {
        let ids = batch.column_by_name("series_id");
        let ids = ids.and_then(|column| column.as_binary_opt::<i32>());
        let times = batch.column_by_name("time");
        let times = times.and_then(|column| column.as_primitive_opt::<Int64Type>());
        Ok(Self {
            ids: ids.ok_or_else(|| shape("series_id"))?,
            times: times.ok_or_else(|| shape("time"))?,
            run: None,
        })
    }

    fn place(&mut self, row: usize, wanted: &Wanted, interval: Interval) -> Option<usize> {
        let time = self.times.value(row);
        if time < interval.min || time > interval.max {
            return None;
        }
        let bytes = self.ids.value(row);
        match self.run {
            Some((id, place)) if id == bytes => place,
            _ => {
                let id = SeriesId::from_bytes(bytes);
                let place = id.and_then(|id| wanted.get(&id)).copied();
                self.run = Some((bytes, place));
                place
            }
        }
    }
}

fn collect_floats(
    batch: &RecordBatch,
    wanted: &Wanted,
    interval: Interval,
    rows: &mut [Rows],
) -> Result<usize, QueryError> {
    let mut places = Places::of(batch)?;
    let values = batch.column_by_name("value");
    let values = values
        .and_then(|column| column.as_primitive_opt::<Float64Type>())
        .ok_or_else(|| shape("value"))?;
    let starts = batch.column_by_name("start_time");
    let starts = starts.and_then(|column| column.as_primitive_opt::<Int64Type>());
    let starts = starts.filter(|column| column.null_count() < column.len());
    let mut count = 0;
    for row in 0..batch.num_rows() {
        if let Some(place) = places.place(row, wanted, interval) {
            let start = starts.map_or(0, |column| {
                if column.is_valid(row) {
                    column.value(row)
                } else {
                    0
                }
            });
            let sample = (places.times.value(row), values.value(row), start);
            rows[place].push(sample.0, sample.1, sample.2);
            count += 1;
        }
    }
    Ok(count)
}

fn collect_histograms(
    batch: &RecordBatch,
    wanted: &Wanted,
    interval: Interval,
    rows: &mut [Rows],
) -> Result<usize, QueryError> {
    let mut places = Places::of(batch)?;
    let found: Vec<Option<usize>> = (0..batch.num_rows())
        .map(|row| places.place(row, wanted, interval))
        .collect();
    let mask: BooleanArray = found.iter().map(|place| Some(place.is_some())).collect();
    if mask.true_count() == 0 {
        return Ok(0);
    }
    let kept = filter_record_batch(batch, &mask).map_err(demarc_store::StoreError::from)?;
    let read = StoredHistogram::from_batch(&kept)?;
    for ((_, time, histogram), place) in read.into_iter().zip(found.into_iter().flatten()) {
        rows[place].histograms.push((time.0, histogram));
    }
    Ok(kept.num_rows())
}

/// Sorts the rows of a series; of two at one time, the later written counts.
fn finish(
    entry: Arc<SeriesEntry>,
    mut rows: Rows,
    interval: Interval,
    detail: Detail,
) -> Option<RawSeries> {
    rows.sort_floats();
    keep_last(&mut rows.histograms, |(time, _)| *time);
    let mut histograms = with_resets(&rows, detail);
    histograms.retain(|one| one.time >= interval.min);
    if rows.floats.is_empty() && histograms.is_empty() {
        return None;
    }
    Some(RawSeries {
        labels: SeriesLabels::Stored(entry),
        drop_name: false,
        starts: (!rows.starts.is_empty()).then_some(rows.starts),
        floats: rows.floats,
        histograms,
    })
}

impl Rows {
    fn push(&mut self, time: i64, value: f64, start: i64) {
        if start != 0 || !self.starts.is_empty() {
            self.starts.resize(self.floats.len(), 0);
            self.starts.push(start);
        }
        self.floats.push((time, value));
    }

    fn sort_floats(&mut self) {
        if self.starts.is_empty() {
            keep_last(&mut self.floats, |(time, _)| *time);
            return;
        }
        let both = self.floats.iter().zip(&self.starts);
        let mut both: Vec<((i64, f64), i64)> = both.map(|(one, start)| (*one, *start)).collect();
        keep_last(&mut both, |((time, _), _)| *time);
        (self.floats, self.starts) = both.into_iter().unzip();
    }
}

fn keep_last<T>(rows: &mut Vec<T>, time: impl Fn(&T) -> i64) {
    let is_sorted = rows.windows(2).all(|pair| time(&pair[0]) < time(&pair[1]));
    if is_sorted {
        return;
    }
    // A stable sort keeps the order of writing among equal times.
    rows.sort_by_key(|row| time(row));
    rows.reverse();
    rows.dedup_by_key(|row| time(row));
    rows.reverse();
}

/// Says of each histogram what a reader of Prometheus' storage knows of counter resets before it: within a run of growing
/// histograms there is none, and of the first of a run nothing is known. Where only counts and sums are read, the buckets
/// are compared now, as nobody can later.
fn with_resets(rows: &Rows, detail: Detail) -> Vec<RawHistogram> {
    let mut found: Vec<RawHistogram> = Vec::with_capacity(rows.histograms.len());
    let mut before: Option<(i64, Histogram)> = None;
    for (time, stored) in &rows.histograms {
        let mut histogram = Histogram::from_stored(stored);
        let is_stale = is_absent(histogram.sum);
        if histogram.reset != CounterReset::Gauge {
            histogram.reset = match &before {
                _ if is_stale => CounterReset::Unknown,
                Some((earlier, last)) if continues(&histogram, last, rows, *earlier, *time) => {
                    CounterReset::NotReset
                }
                _ => CounterReset::Unknown,
            };
            if detail == Detail::CountAndSum
                && histogram.reset == CounterReset::Unknown
                && let Some((_, last)) = &before
                && !is_stale
            {
                histogram.reset = if histogram.is_reset_since(last) {
                    CounterReset::Reset
                } else {
                    CounterReset::NotReset
                };
            }
        }
        let value = match detail {
            Detail::Whole => histogram.clone(),
            Detail::CountAndSum => histogram.without_buckets(),
        };
        found.push(RawHistogram {
            time: *time,
            start: stored.start.map_or(0, |start| start.0),
            value: Arc::new(value),
        });
        before = (!is_stale).then_some((*time, histogram));
    }
    found
}

/// Whether a histogram goes on from the one before it, with no plain number between them.
fn continues(now: &Histogram, last: &Histogram, rows: &Rows, earlier: i64, time: i64) -> bool {
    let next = rows.floats.partition_point(|(at, _)| *at <= earlier);
    let is_interrupted = rows.floats.get(next).is_some_and(|(at, _)| *at < time);
    last.reset != CounterReset::Gauge && !is_interrupted && now.continues(last)
}
