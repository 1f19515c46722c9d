//! OTLP spans to rows.

use std::sync::Arc;

use demarc_proto::{Attributes, Nanos, SpanId, TraceId, otlp::trace::v1 as otlp};
use demarc_store::{SpanEvent, SpanKind, SpanLink, SpanRow, SpanStatus};

use crate::{
    Limits,
    attribute::{attributes, cut},
    receipt::Refusal,
    resource::service_name,
    time::Bounds,
};

/// What the spans of one scope share.
pub(crate) struct SpanContext<'a> {
    pub(crate) limits: &'a Limits,
    pub(crate) bounds: Bounds,
    pub(crate) resource: &'a Arc<Attributes>,
    pub(crate) scope: &'a str,
}

/// Checks one span and takes it over.
pub(crate) fn span(span: otlp::Span, context: &SpanContext<'_>) -> Result<SpanRow, Refusal> {
    let trace_id = TraceId::from_bytes(&span.trace_id)
        .ok_or_else(|| bad_id("trace_id", 16, &span.trace_id))?;
    let span_id =
        SpanId::from_bytes(&span.span_id).ok_or_else(|| bad_id("span_id", 8, &span.span_id))?;
    let parent_span_id = parent(&span.parent_span_id)?;
    let (start, duration_ns) = times(&span, context.bounds)?;
    let status = span.status.unwrap_or_default();
    let max = context.limits.max_value_bytes;
    Ok(SpanRow {
        trace_id,
        span_id,
        parent_span_id,
        trace_state: cut(span.trace_state, max),
        name: cut(span.name, max),
        kind: kind(span.kind),
        start,
        duration_ns,
        status: match status.code {
            1 => SpanStatus::Ok,
            2 => SpanStatus::Error,
            _ => SpanStatus::Unset,
        },
        status_message: cut(status.message, max),
        service: service_name(context.resource).to_owned(),
        scope: context.scope.to_owned(),
        resource: Arc::clone(context.resource),
        attributes: attributes(span.attributes, context.limits)?,
        events: events(span.events, context.limits)?,
        links: links(span.links, context.limits)?,
    })
}

fn bad_id(field: &str, bytes: usize, got: &[u8]) -> Refusal {
    let got = const_hex::encode(&got[..got.len().min(32)]);
    let sentence = format!("{field} \"{got}\": must be {bytes} bytes, not all zero");
    Refusal::new("bad_id", sentence)
}

fn parent(bytes: &[u8]) -> Result<Option<SpanId>, Refusal> {
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    SpanId::from_bytes(bytes)
        .map(Some)
        .ok_or_else(|| bad_id("parent_span_id", 8, bytes))
}

fn times(span: &otlp::Span, bounds: Bounds) -> Result<(Nanos, i64), Refusal> {
    let start = bounds.check("start_time_unix_nano", span.start_time_unix_nano)?;
    let end = bounds.check("end_time_unix_nano", span.end_time_unix_nano)?;
    if end < start {
        let sentence = format!("end_time_unix_nano {end}: must not be before the start, {start}");
        return Err(Refusal::new("ends_before_start", sentence));
    }
    Ok((start, end.0 - start.0))
}

fn kind(kind: i32) -> SpanKind {
    match kind {
        1 => SpanKind::Internal,
        2 => SpanKind::Server,
        3 => SpanKind::Client,
        4 => SpanKind::Producer,
        5 => SpanKind::Consumer,
        _ => SpanKind::Unspecified,
    }
}

fn events(events: Vec<otlp::span::Event>, limits: &Limits) -> Result<Vec<SpanEvent>, Refusal> {
    let row = |event: otlp::span::Event| {
        Ok(SpanEvent {
            time: Nanos(i64::try_from(event.time_unix_nano).unwrap_or(i64::MAX)),
            name: cut(event.name, limits.max_value_bytes),
            attributes: attributes(event.attributes, limits)?,
        })
    };
    events.into_iter().map(row).collect()
}

fn links(links: Vec<otlp::span::Link>, limits: &Limits) -> Result<Vec<SpanLink>, Refusal> {
    let mut rows = Vec::new();
    for link in links {
        // A link that points nowhere says nothing; the span itself is good.
        let ids = (
            TraceId::from_bytes(&link.trace_id),
            SpanId::from_bytes(&link.span_id),
        );
        if let (Some(trace_id), Some(span_id)) = ids {
            let attributes = attributes(link.attributes, limits)?;
            rows.push(SpanLink {
                trace_id,
                span_id,
                attributes,
            });
        }
    }
    Ok(rows)
}
