//! OTLP log records to rows.

use std::sync::Arc;

use demarc_proto::{Attributes, Nanos, SpanId, TraceId, otlp::logs::v1 as otlp};
use demarc_store::LogRow;

use crate::{
    Limits,
    attribute::{attributes, cut, text},
    receipt::Refusal,
    resource::service_name,
    template::template_id,
    time::Bounds,
};

/// What the records of one scope share.
pub(crate) struct LogContext<'a> {
    pub(crate) limits: &'a Limits,
    pub(crate) now: Nanos,
    pub(crate) bounds: Bounds,
    pub(crate) resource: &'a Arc<Attributes>,
    pub(crate) scope: &'a str,
}

/// Checks one record and takes it over. A record without a time gets the time it was observed, else now.
pub(crate) fn record(record: otlp::LogRecord, context: &LogContext<'_>) -> Result<LogRow, Refusal> {
    let observed = match record.observed_time_unix_nano {
        0 => context.now,
        at => context.bounds.check("observed_time_unix_nano", at)?,
    };
    let at = match record.time_unix_nano {
        0 => observed,
        at => context.bounds.check("time_unix_nano", at)?,
    };
    let body = cut(text(record.body), context.limits.max_value_bytes);
    let attributes = attributes(record.attributes, context.limits)?;
    // Before `event_name` was a field, the event's name was an attribute.
    let event_name = match record.event_name.as_str() {
        "" => attributes.str("event.name").unwrap_or_default().to_owned(),
        name => name.to_owned(),
    };
    Ok(LogRow {
        time: at,
        observed_time: observed,
        severity_number: record.severity_number,
        severity_text: record.severity_text,
        template_id: template_id(&body),
        body,
        event_name,
        trace_id: TraceId::from_bytes(&record.trace_id),
        span_id: SpanId::from_bytes(&record.span_id),
        service: service_name(context.resource).to_owned(),
        scope: context.scope.to_owned(),
        resource: Arc::clone(context.resource),
        attributes,
    })
}
