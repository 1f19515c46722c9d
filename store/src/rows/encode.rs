//! Rows to record batches.

use arrow::{array::RecordBatch, error::ArrowError};
use demarc_proto::{Millis, SeriesId, TenantId};

use super::{
    CUSTOM_BUCKETS, ChangeRow, Columns, CounterReset, EntityRow, Exemplar, Histogram, MetricRows,
    NewSeries, RelationRow, Rows, Samples, SeriesRef,
    column::{
        attributes, bytes, float64, float64_list, int32, int64, optional_bytes,
        optional_float64_list, optional_int64, optional_text, text,
    },
    logs, spans,
};
use crate::{SeriesEntry, SeriesIndex, StoreError, Table, day::Day};

/// Rows as columns, and the series that they belong to.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// None of them is empty, and none is of samples.
    pub(crate) batches: Vec<(Table, RecordBatch)>,
    /// The samples, sorted.
    pub(crate) samples: Samples,
    /// Series that may be new, once for each day on which they have values here.
    pub(crate) series: Vec<NewSeries>,
}

/// Turns `rows` into columns, together with `columns`, which are columns already.
pub(crate) fn encode(
    index: &SeriesIndex,
    tenant: &TenantId,
    columns: Columns,
    rows: &Rows,
) -> Result<Encoded, StoreError> {
    let series: Vec<SeriesRef> = intern(index, tenant, &rows.metrics);
    let mut batches = metric_batches(tenant, &rows.metrics)?;
    let spans = [columns.spans, spans::columns(&rows.spans)?];
    let spans = spans.iter().flatten().map(|spans| spans.batch().clone());
    batches.extend(spans.map(|batch| (Table::Spans, batch)));
    let logs = [columns.logs, logs::columns(&rows.logs)?];
    let logs = logs.iter().flatten().map(|logs| logs.batch().clone());
    batches.extend(logs.map(|batch| (Table::Logs, batch)));
    batches.extend(batch_of(Table::Entities, &rows.entities, entities)?);
    batches.extend(batch_of(Table::Relations, &rows.relations, relations)?);
    batches.extend(batch_of(Table::Changes, &rows.changes, changes)?);
    let mut samples = columns.samples;
    samples.sort();
    let mut edges = samples
        .points()
        .first()
        .into_iter()
        .chain(samples.points().last());
    if !edges.all(|point| index.has(point.series)) {
        return Err(StoreError::Forgotten);
    }
    for (series, rows) in series.iter().zip(&rows.metrics) {
        for sample in &rows.samples {
            samples.push_sample(*series, sample);
        }
    }
    samples.sort();
    let mut first_times = index.unknown(&samples);
    for (series, rows) in series.iter().zip(&rows.metrics) {
        for time in other_times(rows) {
            let day = Day::of_millis(time);
            if !index.is_known(*series, day) {
                let first = first_times.entry((*series, day)).or_insert(time.0);
                *first = time.0.min(*first);
            }
        }
    }
    let series = first_times.into_iter();
    let series = series.map(|((series, day), first)| NewSeries {
        series,
        day,
        first_seen: Millis(first),
    });
    Ok(Encoded {
        batches,
        samples,
        series: series.collect(),
    })
}

/// One table's rows as columns; nothing where there are no rows.
fn batch_of<R>(
    table: Table,
    rows: &[R],
    columns: impl Fn(&[R]) -> Result<RecordBatch, ArrowError>,
) -> Result<Option<(Table, RecordBatch)>, ArrowError> {
    if rows.is_empty() {
        return Ok(None);
    }
    Ok(Some((table, columns(rows)?)))
}

fn intern(index: &SeriesIndex, tenant: &TenantId, metrics: &[MetricRows]) -> Vec<SeriesRef> {
    let entry = |rows: &MetricRows| SeriesEntry {
        id: SeriesId::of(tenant, &rows.labels),
        labels: rows.labels.clone(),
        kind: rows.kind,
        unit: rows.unit.clone(),
        help: rows.help.clone(),
    };
    let one = |rows| index.intern(entry(rows));
    metrics.iter().map(one).collect()
}

/// The times of the values that are no plain samples.
fn other_times(rows: &MetricRows) -> impl Iterator<Item = Millis> {
    let histograms = rows.histograms.iter().map(|(time, _)| *time);
    let exemplars = rows.exemplars.iter().map(|exemplar| exemplar.time);
    histograms.chain(exemplars)
}

/// One value of a series with what identifies the series.
struct Point<'a, V> {
    series_id: [u8; 16],
    metric: &'a str,
    time: Millis,
    value: &'a V,
}

fn metric_batches(
    tenant: &TenantId,
    metrics: &[MetricRows],
) -> Result<Vec<(Table, RecordBatch)>, ArrowError> {
    let mut histograms: Vec<Point<'_, Histogram>> = Vec::new();
    let mut exemplars: Vec<Point<'_, Exemplar>> = Vec::new();
    for rows in metrics {
        let series_id = SeriesId::of(tenant, &rows.labels).to_bytes();
        let metric = rows.labels.metric();
        histograms.extend(rows.histograms.iter().map(|(time, value)| Point {
            series_id,
            metric,
            time: *time,
            value,
        }));
        exemplars.extend(rows.exemplars.iter().map(|value| Point {
            series_id,
            metric,
            time: value.time,
            value,
        }));
    }
    let mut batches = Vec::new();
    if !histograms.is_empty() {
        batches.push((Table::Histograms, histogram_batch(&histograms)?));
    }
    if !exemplars.is_empty() {
        batches.push((Table::Exemplars, exemplar_batch(&exemplars)?));
    }
    Ok(batches)
}

fn histogram_batch(points: &[Point<'_, Histogram>]) -> Result<RecordBatch, ArrowError> {
    RecordBatch::try_new(
        Table::Histograms.schema(),
        vec![
            bytes(points, |point| &point.series_id),
            text(points, |point| point.metric),
            int64(points, |point| point.time.0),
            float64(points, |point| point.value.count),
            float64(points, |point| point.value.sum),
            int32(points, |point| point.value.schema),
            float64(points, |point| point.value.zero_threshold),
            float64(points, |point| point.value.zero_count),
            int32(points, |point| point.value.positive.offset),
            float64_list(points, |point| &point.value.positive.counts),
            int32(points, |point| point.value.negative.offset),
            float64_list(points, |point| &point.value.negative.counts),
            optional_int64(points, |point| point.value.start.map(|start| start.0)),
            optional_float64_list(points, |point| {
                let bounds = point.value.custom_bounds.as_slice();
                (point.value.schema == CUSTOM_BUCKETS).then_some(bounds)
            }),
            optional_text(points, |point| match point.value.reset {
                CounterReset::Unknown => None,
                known => Some(known.as_str()),
            }),
        ],
    )
}

fn exemplar_batch(points: &[Point<'_, Exemplar>]) -> Result<RecordBatch, ArrowError> {
    RecordBatch::try_new(
        Table::Exemplars.schema(),
        vec![
            bytes(points, |point| &point.series_id),
            text(points, |point| point.metric),
            int64(points, |point| point.time.0),
            float64(points, |point| point.value.value),
            optional_bytes(points, |point| {
                point.value.trace_id.as_ref().map(|id| id.as_bytes())
            }),
            optional_bytes(points, |point| {
                point.value.span_id.as_ref().map(|id| id.as_bytes())
            }),
            attributes(points, |point| &point.value.attributes)?,
        ],
    )
}

fn entities(rows: &[EntityRow]) -> Result<RecordBatch, ArrowError> {
    RecordBatch::try_new(
        Table::Entities.schema(),
        vec![
            text(rows, |row| row.id.as_str()),
            text(rows, |row| &row.kind),
            text(rows, |row| &row.layer),
            optional_text(rows, |row| row.owner.as_ref().map(|owner| owner.as_str())),
            attributes(rows, |row| &row.attributes)?,
            int64(rows, |row| row.valid_from.0),
            optional_int64(rows, |row| row.valid_to.map(|time| time.0)),
        ],
    )
}

fn relations(rows: &[RelationRow]) -> Result<RecordBatch, ArrowError> {
    RecordBatch::try_new(
        Table::Relations.schema(),
        vec![
            text(rows, |row| row.from.as_str()),
            text(rows, |row| row.to.as_str()),
            text(rows, |row| &row.kind),
            text(rows, |row| &row.provenance),
            float64(rows, |row| row.confidence),
            optional_text(rows, |row| row.owner.as_ref().map(|owner| owner.as_str())),
            int64(rows, |row| row.calls),
            int64(rows, |row| row.errors),
            int64(rows, |row| row.client_duration_ns),
            int64(rows, |row| row.server_duration_ns),
            int64(rows, |row| row.valid_from.0),
            optional_int64(rows, |row| row.valid_to.map(|time| time.0)),
        ],
    )
}

fn changes(rows: &[ChangeRow]) -> Result<RecordBatch, ArrowError> {
    RecordBatch::try_new(
        Table::Changes.schema(),
        vec![
            int64(rows, |row| row.time.0),
            text(rows, |row| &row.kind),
            optional_text(rows, |row| row.entity.as_ref().map(|id| id.as_str())),
            text(rows, |row| &row.who),
            text(rows, |row| &row.what),
            attributes(rows, |row| &row.attributes)?,
        ],
    )
}
