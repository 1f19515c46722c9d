//! The native histograms of the selected series, and what is known of counter resets between them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use arrow::{
    array::{AsArray, BooleanArray},
    compute::filter_record_batch,
    datatypes::Int64Type,
    record_batch::RecordBatch,
};
use demarc_proto::SeriesId;
use demarc_store::{
    CounterReset, Histogram as StoredHistogram, SeriesEntry, Snapshot, StoreError, Table, Wanted,
};

use super::{Detail, Interval, RawHistogram};
use crate::{
    QueryError,
    promql::{eval::Eval, native::Histogram, value::is_absent},
};

/// How far before the first wanted histogram others are read, to know whether it follows a counter reset.
const RESET_LOOKBACK_MS: i64 = 300_000;

/// The histograms of each series, by its place: their times, ascending, each once.
pub(super) type Found = BTreeMap<usize, Vec<(i64, StoredHistogram)>>;

/// The place of each series that is looked for.
type Places = HashMap<SeriesId, usize>;

type Placed = Vec<(usize, i64, StoredHistogram)>;

impl Eval<'_> {
    /// The histograms of `series` within `interval` and shortly before.
    pub(in crate::promql) fn stored_histograms(
        &self,
        snapshot: &Snapshot,
        series: &[Arc<SeriesEntry>],
        interval: Interval,
    ) -> Result<Found, QueryError> {
        let head = snapshot.head(Table::Histograms);
        let has_files = !snapshot.files(Table::Histograms).is_empty();
        if series.is_empty() || (head.is_empty() && !has_files) {
            return Ok(Found::new());
        }
        let interval = Interval {
            min: interval.min.saturating_sub(RESET_LOOKBACK_MS),
            max: interval.max,
        };
        let places: Places = series.iter().map(|one| one.id).zip(0..).collect();
        let mut placed = Vec::new();
        if has_files {
            let range = interval.millis();
            let parts = snapshot.parts(Table::Histograms, &Wanted::new(series), range)?;
            placed = self.reading.crew.map(parts.len(), |at| {
                self.placed(&parts[at].batches()?, &places, interval)
            })?;
        }
        placed.push(self.placed(&head, &places, interval)?);
        let mut found = Found::new();
        for (place, time, histogram) in placed.into_iter().flatten() {
            found.entry(place).or_default().push((time, histogram));
        }
        for histograms in found.values_mut() {
            super::keep_last(histograms, |(time, _)| *time);
        }
        Ok(found)
    }

    fn placed(
        &self,
        batches: &[RecordBatch],
        places: &Places,
        interval: Interval,
    ) -> Result<Placed, QueryError> {
        let mut placed = Placed::new();
        for batch in batches {
            self.check_alive()?;
            let before = placed.len();
            collect(batch, places, interval, &mut placed)?;
            let count = placed.len() - before;
            self.count(count)?;
            let bytes = count * size_of::<StoredHistogram>();
            self.reading.budget.take_bytes(bytes)?;
        }
        Ok(placed)
    }
}

fn shape(column: &str) -> QueryError {
    QueryError::Evaluation(format!("the column {column} is missing or of another type"))
}

fn collect(
    batch: &RecordBatch,
    places: &Places,
    interval: Interval,
    placed: &mut Placed,
) -> Result<(), QueryError> {
    let ids = batch.column_by_name("series_id");
    let ids = ids.and_then(|column| column.as_binary_opt::<i32>());
    let ids = ids.ok_or_else(|| shape("series_id"))?;
    let times = batch.column_by_name("time");
    let times = times.and_then(|column| column.as_primitive_opt::<Int64Type>());
    let times = times.ok_or_else(|| shape("time"))?;
    let place = |row: usize| {
        let time = times.value(row);
        let is_within = interval.min <= time && time <= interval.max;
        let id = is_within.then(|| SeriesId::from_bytes(ids.value(row)))??;
        places.get(&id).copied()
    };
    let found: Vec<Option<usize>> = (0..batch.num_rows()).map(place).collect();
    let mask: BooleanArray = found.iter().map(|place| Some(place.is_some())).collect();
    if mask.true_count() == 0 {
        return Ok(());
    }
    let kept = filter_record_batch(batch, &mask).map_err(StoreError::from)?;
    let read = StoredHistogram::from_batch(&kept)?;
    let found = found.into_iter().flatten().zip(read);
    placed.extend(found.map(|(place, (_, time, histogram))| (place, time.0, histogram)));
    Ok(())
}

/// Says of each histogram what a reader of Prometheus' storage knows of counter resets before it: within a run of growing
/// histograms there is none, and of the first of a run nothing is known. Where only counts and sums are read, the buckets
/// are compared now, as nobody can later.
pub(super) fn with_resets(
    histograms: &[(i64, StoredHistogram)],
    floats: &[(i64, f64)],
    detail: Detail,
) -> Vec<RawHistogram> {
    let mut found: Vec<RawHistogram> = Vec::with_capacity(histograms.len());
    let mut before: Option<(i64, Histogram)> = None;
    for (time, stored) in histograms {
        let mut histogram = Histogram::from_stored(stored);
        let is_stale = is_absent(histogram.sum);
        if histogram.reset != CounterReset::Gauge {
            histogram.reset = match &before {
                _ if is_stale => CounterReset::Unknown,
                Some((earlier, last)) if continues(&histogram, last, floats, (*earlier, *time)) => {
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
fn continues(
    now: &Histogram,
    last: &Histogram,
    floats: &[(i64, f64)],
    (earlier, time): (i64, i64),
) -> bool {
    let next = floats.partition_point(|(at, _)| *at <= earlier);
    let is_interrupted = floats.get(next).is_some_and(|(at, _)| *at < time);
    last.reset != CounterReset::Gauge && !is_interrupted && now.continues(last)
}
