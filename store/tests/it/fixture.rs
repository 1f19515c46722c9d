//! Rows of every table, and ways to read them back.

use std::{path::Path, sync::Arc};

use arrow::array::RecordBatch;
use demarc_proto::{
    AttrValue, Attributes, EntityId, Labels, ManualClock, Millis, Nanos, OwnerId, SpanId, TenantId,
    TraceId,
};
use demarc_store::{
    Buckets, CUSTOM_BUCKETS, ChangeRow, CounterReset, EntityRow, Exemplar, Histogram, LogRow,
    MetricKind, MetricRows, RelationRow, Rows, Sample, Snapshot, SpanEvent, SpanKind, SpanLink,
    SpanRow, SpanStatus, Store, StoreConfig, Table,
};

/// 2026-11-23T00:00:00Z.
pub(crate) const DAY_MS: i64 = 1_795_392_000_000;

pub(crate) async fn open(dir: &Path) -> Arc<Store> {
    open_with(dir, StoreConfig::default()).await
}

pub(crate) async fn open_with(dir: &Path, config: StoreConfig) -> Arc<Store> {
    open_at(dir, config, &clock()).await
}

pub(crate) async fn open_at(
    dir: &Path,
    config: StoreConfig,
    clock: &Arc<ManualClock>,
) -> Arc<Store> {
    Store::open(dir, config, clock.clone()).await.unwrap()
}

/// The tables that rows are appended to.
pub(crate) const WRITTEN: [Table; 9] = [
    Table::Series,
    Table::Samples,
    Table::Histograms,
    Table::Exemplars,
    Table::Spans,
    Table::Logs,
    Table::Entities,
    Table::Relations,
    Table::Changes,
];

/// Stands at [`DAY_MS`].
pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Millis(DAY_MS).to_nanos()))
}

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

pub(crate) fn nanos(ms: i64) -> Nanos {
    Millis(DAY_MS + ms).to_nanos()
}

fn attributes(pairs: &[(&str, &str)]) -> Attributes {
    pairs
        .iter()
        .map(|(key, value)| (*key, AttrValue::from(*value)))
        .collect()
}

pub(crate) fn trace_id(number: u64) -> TraceId {
    TraceId::from_bytes(&u128::from(number + 1).to_be_bytes()).unwrap()
}

pub(crate) fn span_id(number: u64) -> SpanId {
    SpanId::from_bytes(&(number + 1).to_be_bytes()).unwrap()
}

pub(crate) fn gauge(name: &str, job: &str, values: &[(i64, f64)]) -> MetricRows {
    let sample = |(ms, value): &(i64, f64)| Sample::new(Millis(DAY_MS + ms), *value);
    MetricRows {
        labels: Labels::from_pairs([("__name__", name), ("job", job)]),
        kind: MetricKind::Gauge,
        unit: "s".to_owned(),
        help: "What it means".to_owned(),
        samples: values.iter().map(sample).collect(),
        ..MetricRows::default()
    }
}

pub(crate) fn histogram() -> Histogram {
    Histogram {
        count: 6.0,
        sum: 1.5,
        schema: 3,
        zero_threshold: 1e-128,
        zero_count: 1.0,
        positive: Buckets {
            offset: -2,
            counts: vec![1.0, 0.0, 3.0],
        },
        negative: Buckets {
            offset: 0,
            counts: vec![1.0],
        },
        start: Some(Millis(DAY_MS)),
        custom_bounds: Vec::new(),
        reset: CounterReset::NotReset,
    }
}

/// A histogram whose buckets have bounds of their own, and of which the sender says no more.
pub(crate) fn custom_histogram() -> Histogram {
    Histogram {
        count: 3.0,
        sum: 4.5,
        schema: CUSTOM_BUCKETS,
        positive: Buckets {
            offset: 0,
            counts: vec![1.0, 0.0, 2.0],
        },
        custom_bounds: vec![0.5, 2.5],
        ..Histogram::default()
    }
}

pub(crate) fn span(number: u64) -> SpanRow {
    SpanRow {
        trace_id: trace_id(number / 2),
        span_id: span_id(number),
        parent_span_id: (number % 2 == 1).then(|| span_id(number - 1)),
        trace_state: "a=b".to_owned(),
        name: "GET /declare".to_owned(),
        kind: SpanKind::Server,
        start: nanos(number as i64),
        duration_ns: 1_500_000,
        status: SpanStatus::Error,
        status_message: "boom".to_owned(),
        service: "api".to_owned(),
        scope: "lab".to_owned(),
        resource: Arc::new(attributes(&[("service.name", "api"), ("host.name", "h1")])),
        attributes: attributes(&[("http.route", "/declare"), ("税", "务")]),
        events: vec![SpanEvent {
            time: nanos(1),
            name: "exception".to_owned(),
            attributes: Attributes::from_iter([("retries", AttrValue::Int(3))]),
        }],
        links: vec![SpanLink {
            trace_id: trace_id(99),
            span_id: span_id(99),
            attributes: attributes(&[("why", "batch")]),
        }],
    }
}

pub(crate) fn log(number: u64) -> LogRow {
    LogRow {
        time: nanos(number as i64),
        observed_time: nanos(number as i64 + 1),
        severity_number: 17,
        severity_text: "ERROR".to_owned(),
        body: format!("line {number}"),
        event_name: "process.exit".to_owned(),
        template_id: -7,
        trace_id: Some(trace_id(1)),
        span_id: None,
        service: "api".to_owned(),
        scope: String::new(),
        resource: Arc::new(attributes(&[("service.name", "api")])),
        attributes: attributes(&[("process.exit.code", "137")]),
    }
}

pub(crate) fn entity(number: u64) -> EntityRow {
    EntityRow {
        id: EntityId(format!("service:tax/api{number}")),
        kind: "service".to_owned(),
        layer: "application".to_owned(),
        owner: (number == 0).then(|| OwnerId("tax-bureau".to_owned())),
        attributes: attributes(&[("service.version", "1.2")]),
        valid_from: nanos(0),
        valid_to: (number == 0).then(|| nanos(10)),
    }
}

pub(crate) fn relation() -> RelationRow {
    RelationRow {
        from: EntityId("service:tax/web".to_owned()),
        to: EntityId("service:tax/api".to_owned()),
        kind: "calls".to_owned(),
        provenance: "spans".to_owned(),
        confidence: 0.9,
        owner: None,
        calls: 10,
        errors: 1,
        client_duration_ns: 1000,
        server_duration_ns: 900,
        valid_from: nanos(0),
        valid_to: None,
    }
}

pub(crate) fn change() -> ChangeRow {
    ChangeRow {
        time: nanos(5),
        kind: "deployment".to_owned(),
        entity: Some(EntityId("service:tax/api".to_owned())),
        who: String::new(),
        what: "api 1.1 -> 1.2".to_owned(),
        attributes: attributes(&[("service.version.previous", "1.1")]),
    }
}

/// At least one row of every table.
pub(crate) fn all_tables() -> Rows {
    let mut gauge = gauge(
        "queue_seconds",
        "api",
        &[(2, 0.5), (1, f64::NAN), (3, -1.0)],
    );
    gauge.exemplars.push(Exemplar {
        time: Millis(DAY_MS + 2),
        value: 0.5,
        trace_id: Some(trace_id(0)),
        span_id: None,
        attributes: attributes(&[("user", "x")]),
    });
    let native = MetricRows {
        labels: Labels::from_pairs([("__name__", "latency_seconds"), ("job", "api")]),
        kind: MetricKind::Histogram,
        histograms: vec![
            (Millis(DAY_MS + 1), histogram()),
            (Millis(DAY_MS + 2), custom_histogram()),
        ],
        ..MetricRows::default()
    };
    Rows {
        metrics: vec![gauge, native],
        spans: (0..4).map(span).collect(),
        logs: (0..3).map(log).collect(),
        entities: (0..2).map(entity).collect(),
        relations: vec![relation()],
        changes: vec![change()],
    }
}

/// How many rows [`all_tables`] puts into each table.
pub(crate) fn expected_rows(table: Table) -> usize {
    match table {
        Table::Series | Table::Entities | Table::Histograms => 2,
        Table::Samples | Table::Logs => 3,
        Table::Spans => 4,
        Table::Exemplars | Table::Relations | Table::Changes => 1,
        Table::Samples5m | Table::Samples1h => 0,
    }
}

pub(crate) fn row_count(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

/// Decodes all rows of a table.
pub(crate) async fn rows_of<R>(
    snapshot: &Snapshot,
    table: Table,
    decode: impl Fn(&RecordBatch) -> Result<Vec<R>, demarc_store::StoreError>,
) -> Vec<R> {
    let batches = snapshot.read(table).await.unwrap();
    batches
        .iter()
        .flat_map(|batch| decode(batch).unwrap())
        .collect()
}
