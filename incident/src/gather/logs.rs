//! Reads what is needed of log lines: which service said what in which request.

use demarc_proto::{EntityId, Nanos, TenantId, TimeRange};
use demarc_query::Engine;

use super::{
    forest::{Forest, Phase},
    spans::Columns,
    template::{Names, is_error, template},
};
use crate::{Event, IncidentError};

/// The severity number from which on a line is an error. Source: OpenTelemetry, "Logs data model".
const ERROR: i64 = 17;
/// Lines without a trace of the same service within so long count as one request.
const REQUEST_NS: i64 = 10_000_000_000;

/// One log line, cut down.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) service: EntityId,
    pub(crate) trace: Vec<u8>,
    pub(crate) span: Vec<u8>,
    pub(crate) template: String,
    pub(crate) is_error: bool,
    pub(crate) phase: Phase,
}

impl Line {
    /// What the line says of its span.
    pub(crate) fn event(&self) -> Event {
        if self.is_error {
            Event::ErrorLine(self.template.clone())
        } else {
            Event::Line(self.template.clone())
        }
    }
}

/// A line as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    time: Nanos,
    service: EntityId,
    trace: Vec<u8>,
    span: Vec<u8>,
    template: String,
    is_error: bool,
}

/// Lines that were written within `range`, the newest `limit` of them. `names`: names of entities.
pub(crate) async fn read(
    engine: &Engine,
    tenant: &TenantId,
    (range, limit): (TimeRange, usize),
    names: &Names,
) -> Result<Vec<Record>, IncidentError> {
    let sql = format!(
        "SELECT time, severity_number, body, trace_id, span_id, service, resource_attributes FROM logs \
         WHERE time >= {} AND time < {} AND event_name = '' ORDER BY time DESC LIMIT {limit}",
        range.start(),
        range.end()
    );
    let mut records = Vec::new();
    for batch in &engine.sql(tenant, &sql).await?.batches {
        let columns = Columns::of(batch);
        for row in 0..batch.num_rows() {
            let body = columns.text("body", row).unwrap_or_default();
            let severity = columns.number("severity_number", row);
            let is_error = severity >= ERROR || (severity == 0 && is_error(&body));
            records.push(Record {
                time: Nanos(columns.number("time", row)),
                service: columns.service(tenant, row),
                trace: columns.bytes("trace_id", row).unwrap_or_default(),
                span: columns.bytes("span_id", row).unwrap_or_default(),
                template: template(&body, is_error, names),
                is_error,
            });
        }
    }
    Ok(records)
}

/// The lines of the time before and of the disturbance: each of the time of its trace, else of its own.
pub(crate) fn phased(records: &[Record], forest: &Forest<'_>, window: &super::Window) -> Vec<Line> {
    let mut traces = std::collections::HashMap::new();
    for (span, phase) in forest.spans.iter().zip(&forest.phases) {
        traces.insert(span.trace.as_slice(), *phase);
    }
    let phase = |record: &Record| match traces.get(record.trace.as_slice()) {
        Some(phase) => *phase,
        None => window.phase(record.time, false),
    };
    let mut lines = Vec::new();
    for record in records {
        let Some(phase) = phase(record) else {
            continue;
        };
        let trace = match record.trace.as_slice() {
            [] => record.time.0.div_euclid(REQUEST_NS).to_be_bytes().to_vec(),
            trace => trace.to_vec(),
        };
        lines.push(Line {
            service: record.service.clone(),
            trace,
            span: record.span.clone(),
            template: record.template.clone(),
            is_error: record.is_error,
            phase,
        });
    }
    lines
}
