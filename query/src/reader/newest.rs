//! The newest samples of series, and exemplars: rows as they were stored, beside what PromQL makes of them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use arrow::{
    array::{Array, AsArray, BinaryArray, MapArray},
    datatypes::{Float64Type, Int64Type},
    record_batch::RecordBatch,
};
use datafusion::{
    common::ScalarValue,
    prelude::{Expr, col, lit},
};
use demarc_proto::{Labels, METRIC_NAME, Millis, SeriesId};
use demarc_store::{Histogram as StoredHistogram, Sample, Snapshot, Table};
use futures::TryStreamExt;

use super::{Reader, discover::matcher_sets};
use crate::{
    Point, PointValue, QueryError, promql,
    reading::{Reading, Selected},
};

/// The bits of the NaN that says "this series ended". Source: Prometheus, `model/value`.
const STALE_MARKER: u64 = 0x7ff0_0000_0000_0002;
/// Selections of at most this many series are also filtered by their ids in the scan.
const MAX_ID_FILTER: usize = 4096;

/// One exemplar, as the Prometheus HTTP API knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct ExemplarPoint {
    /// `trace_id`, `span_id`, and what else the sender said.
    pub labels: Labels,
    /// The value.
    pub value: f64,
    /// When it was measured.
    pub time: Millis,
}

/// The exemplars of one series, by time.
#[derive(Clone, Debug, PartialEq)]
pub struct ExemplarSeries {
    /// The series.
    pub labels: Labels,
    /// At least one.
    pub exemplars: Vec<ExemplarPoint>,
}

/// Something that sends metrics: series with the same `job` and `instance`.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// `job` and `instance`, and the tenant where there are several.
    pub labels: Labels,
    /// Its newest sample within the lookback: of `up` where it has that, else of `target_info`, else of any series.
    pub newest: Option<Sample>,
    /// Whether that sample is of `up` and says that it is down.
    pub is_down: bool,
}

impl Reader<'_> {
    /// The newest sample of each selected series that is no older than the lookback, by labels. A native histogram stands where
    /// no number is newer.
    pub async fn newest(
        &self,
        selectors: Vec<String>,
        at: Millis,
    ) -> Result<Vec<(Labels, Point)>, QueryError> {
        for selector in &selectors {
            self.checked(selector)?;
        }
        let work = move |reading: Reading| async move {
            let mut wanted = HashMap::new();
            for matchers in matcher_sets(&selectors)? {
                let found = reading.select(&matchers, None)?;
                wanted.extend(found.into_iter().map(|one| (one.entry.id, one)));
            }
            let samples = newest(&reading, &wanted, at).await?;
            let mut points: HashMap<SeriesId, Point> = samples
                .into_iter()
                .map(|(id, sample)| (id, number(sample)))
                .collect();
            for (id, point) in newest_histograms(&reading, &wanted, at).await? {
                let known = points.get(&id);
                if known.is_none_or(|known| known.time < point.time) {
                    points.insert(id, point);
                }
            }
            points.retain(|_, point| !is_stale(point));
            let labelled = |(id, point)| (wanted[&id].labels(), point);
            let mut found: Vec<(Labels, Point)> = points.into_iter().map(labelled).collect();
            found.sort_by(|a, b| a.0.cmp(&b.0));
            Ok(found)
        };
        self.run("discover", work).await
    }

    /// What sends metrics, by labels.
    pub async fn sources(&self, at: Millis) -> Result<Vec<Source>, QueryError> {
        let work = move |reading: Reading| async move {
            let speakers = speakers(reading.select(&[], None)?);
            let wanted: HashMap<SeriesId, Selected> = speakers
                .values()
                .map(|one| (one.entry.id, one.clone()))
                .collect();
            let samples = newest(&reading, &wanted, at).await?;
            let sources = speakers.into_iter().map(|(labels, speaker)| {
                let newest = samples.get(&speaker.entry.id).copied();
                let is_up = speaker.entry.labels.metric() == "up";
                let is_down = is_up && newest.is_some_and(|sample| sample.value == 0.0);
                Source {
                    labels,
                    newest,
                    is_down,
                }
            });
            Ok(sources.collect())
        };
        self.run("discover", work).await
    }

    /// The exemplars of the series that any selector of `query` selects, from `start` to `end`, by labels.
    pub async fn exemplars(
        &self,
        query: &str,
        (start, end): (Millis, Millis),
    ) -> Result<Vec<ExemplarSeries>, QueryError> {
        let query = self.checked(query)?;
        let work = move |reading: Reading| async move {
            let expr = promql::parse(&query)?;
            let mut wanted = HashMap::new();
            for selector in expr.selectors() {
                let found = reading.select(&selector.matchers, None)?;
                wanted.extend(found.into_iter().map(|one| (one.entry.id, one)));
            }
            let mut found: HashMap<SeriesId, Vec<ExemplarPoint>> = HashMap::new();
            for snapshot in &reading.snapshots {
                let filter = filter(&wanted, start.0, end.0);
                for batch in scan(&reading, snapshot, Table::Exemplars, filter).await? {
                    reading.budget.take_samples(batch.num_rows())?;
                    exemplars_of(&batch, &wanted, &mut found)?;
                }
            }
            let mut series: Vec<ExemplarSeries> = found
                .into_iter()
                .map(|(id, mut exemplars)| {
                    exemplars.sort_by_key(|one| one.time);
                    let labels = wanted[&id].labels();
                    ExemplarSeries { labels, exemplars }
                })
                .collect();
            series.sort_by(|a, b| a.labels.cmp(&b.labels));
            Ok(series)
        };
        self.run("exemplars", work).await
    }
}

/// Of each source the series that speaks for it.
fn speakers(series: Vec<Selected>) -> BTreeMap<Labels, Selected> {
    let rank = |one: &Selected| match one.entry.labels.metric() {
        "up" => 0,
        "target_info" => 1,
        _ => 2,
    };
    let mut speakers: BTreeMap<Labels, Selected> = BTreeMap::new();
    for one in series {
        let mut source = one.labels();
        source.retain(|name| matches!(name, "job" | "instance" | "__tenant_id__"));
        if source.get("job").is_empty() {
            continue;
        }
        match speakers.get_mut(&source) {
            Some(known) if rank(&one) < rank(known) => *known = one,
            Some(_) => {}
            None => drop(speakers.insert(source, one)),
        }
    }
    speakers
}

async fn newest(
    reading: &Reading,
    wanted: &HashMap<SeriesId, Selected>,
    at: Millis,
) -> Result<HashMap<SeriesId, Sample>, QueryError> {
    let mut newest: HashMap<SeriesId, Sample> = HashMap::new();
    if wanted.is_empty() {
        return Ok(newest);
    }
    let first = first(reading, at);
    for snapshot in &reading.snapshots {
        let filter = filter(wanted, first, at.0);
        for batch in scan(reading, snapshot, Table::Samples, filter).await? {
            reading.budget.check()?;
            let (ids, times, values) = (ids(&batch)?, times(&batch)?, values(&batch)?);
            for row in 0..batch.num_rows() {
                let id = SeriesId::from_bytes(ids.value(row)).ok_or_else(shape)?;
                let sample = Sample::new(Millis(times.value(row)), values.value(row));
                let is_newer = newest
                    .get(&id)
                    .is_none_or(|known| known.time <= sample.time);
                if is_newer && wanted.contains_key(&id) {
                    newest.insert(id, sample);
                }
            }
        }
    }
    Ok(newest)
}

/// As [`newest`], of native histograms.
async fn newest_histograms(
    reading: &Reading,
    wanted: &HashMap<SeriesId, Selected>,
    at: Millis,
) -> Result<HashMap<SeriesId, Point>, QueryError> {
    let mut newest: HashMap<SeriesId, (Millis, StoredHistogram)> = HashMap::new();
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    let first = first(reading, at);
    for snapshot in &reading.snapshots {
        let filter = filter(wanted, first, at.0);
        for batch in scan(reading, snapshot, Table::Histograms, filter).await? {
            reading.budget.check()?;
            for (id, time, histogram) in StoredHistogram::from_batch(&batch)? {
                let is_newer = newest.get(&id).is_none_or(|known| known.0 <= time);
                if is_newer && wanted.contains_key(&id) {
                    newest.insert(id, (time, histogram));
                }
            }
        }
    }
    let point = |(time, stored): (Millis, StoredHistogram)| Point {
        time,
        value: PointValue::Histogram(Arc::new(promql::Histogram::from_stored(&stored))),
    };
    let points = newest.into_iter();
    Ok(points.map(|(id, found)| (id, point(found))).collect())
}

/// The first time that is no older than the lookback.
fn first(reading: &Reading, at: Millis) -> i64 {
    let lookback = (reading.config.lookback_seconds * 1000.0) as i64;
    at.0.saturating_sub(lookback).saturating_add(1)
}

fn number(sample: Sample) -> Point {
    Point {
        time: sample.time,
        value: PointValue::Float(sample.value),
    }
}

fn is_stale(point: &Point) -> bool {
    let value = match &point.value {
        PointValue::Float(value) => *value,
        PointValue::Histogram(histogram) => histogram.sum,
    };
    value.to_bits() == STALE_MARKER
}

fn filter(wanted: &HashMap<SeriesId, Selected>, first: i64, last: i64) -> Expr {
    let within = col("time")
        .gt_eq(lit(first))
        .and(col("time").lt_eq(lit(last)));
    if wanted.len() > MAX_ID_FILTER {
        return within;
    }
    let id = |id: &SeriesId| lit(ScalarValue::Binary(Some(id.to_bytes().to_vec())));
    within.and(col("series_id").in_list(wanted.keys().map(id).collect(), false))
}

async fn scan(
    reading: &Reading,
    snapshot: &Snapshot,
    table: Table,
    filter: Expr,
) -> Result<Vec<RecordBatch>, QueryError> {
    let frame = reading.session(snapshot)?.table(table.name()).await?;
    let mut stream = frame.filter(filter)?.execute_stream().await?;
    let mut batches = Vec::new();
    while let Some(batch) = stream.try_next().await? {
        reading.budget.take_bytes(batch.get_array_memory_size())?;
        batches.push(batch);
    }
    Ok(batches)
}

fn shape() -> QueryError {
    QueryError::Evaluation("stored rows have columns of another type".to_owned())
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a dyn Array, QueryError> {
    batch
        .column_by_name(name)
        .map(AsRef::as_ref)
        .ok_or_else(shape)
}

fn ids(batch: &RecordBatch) -> Result<&BinaryArray, QueryError> {
    column(batch, "series_id")?
        .as_binary_opt()
        .ok_or_else(shape)
}

fn times(batch: &RecordBatch) -> Result<&arrow::array::Int64Array, QueryError> {
    let column = column(batch, "time")?;
    column.as_primitive_opt::<Int64Type>().ok_or_else(shape)
}

fn values(batch: &RecordBatch) -> Result<&arrow::array::Float64Array, QueryError> {
    let column = column(batch, "value")?;
    column.as_primitive_opt::<Float64Type>().ok_or_else(shape)
}

fn exemplars_of(
    batch: &RecordBatch,
    wanted: &HashMap<SeriesId, Selected>,
    found: &mut HashMap<SeriesId, Vec<ExemplarPoint>>,
) -> Result<(), QueryError> {
    let (ids, times, values) = (ids(batch)?, times(batch)?, values(batch)?);
    let attributes = column(batch, "attributes")?
        .as_map_opt()
        .ok_or_else(shape)?;
    for row in 0..batch.num_rows() {
        let id = SeriesId::from_bytes(ids.value(row)).ok_or_else(shape)?;
        if !wanted.contains_key(&id) {
            continue;
        }
        let mut pairs = pairs(attributes, row)?;
        for name in ["trace_id", "span_id"] {
            let column: &BinaryArray = column(batch, name)?.as_binary_opt().ok_or_else(shape)?;
            if column.is_valid(row) {
                let hex: String = column
                    .value(row)
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect();
                pairs.push((name.to_owned(), hex));
            }
        }
        let labels = Labels::from_pairs(pairs);
        let (value, time) = (values.value(row), Millis(times.value(row)));
        let point = ExemplarPoint {
            labels,
            value,
            time,
        };
        found.entry(id).or_default().push(point);
    }
    Ok(())
}

fn pairs(map: &MapArray, row: usize) -> Result<Vec<(String, String)>, QueryError> {
    let entries = map.value(row);
    let keys = entries.column(0).as_string_opt::<i32>().ok_or_else(shape)?;
    let values = entries.column(1).as_string_opt::<i32>().ok_or_else(shape)?;
    let pairs = keys.iter().zip(values.iter());
    // Labels of exemplars have no name of a metric.
    let pair = |(key, value): (Option<&str>, Option<&str>)| {
        Some((
            key.filter(|key| *key != METRIC_NAME)?.to_owned(),
            value?.to_owned(),
        ))
    };
    Ok(pairs.filter_map(pair).collect())
}
