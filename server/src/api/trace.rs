//! One trace by id, as OTLP/JSON.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{Path, State},
};
use demarc_proto::{AttrValue, Attributes, TenantId, TraceId};
use demarc_query::Options;
use demarc_store::{SpanKind, SpanRow, SpanStatus};
use serde_json::{Value as Body, json};

use crate::{app::App, status::ApiError, tenant::Tenant};

pub(crate) async fn trace(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
) -> Result<Json<Body>, ApiError> {
    let resources = resources(&app, tenant, &id).await?;
    Ok(Json(json!({"resourceSpans": resources})))
}

/// The spans of a trace by resource and scope, as OTLP/JSON has them.
pub(super) async fn resources(
    app: &App,
    tenant: TenantId,
    id: &str,
) -> Result<Vec<Body>, ApiError> {
    let id = TraceId::from_hex(id)
        .map_err(|error| ApiError::bad_request(format!("trace id {error}")))?;
    let reader = app.engine.reader(tenant.into(), Options::default())?;
    let spans = reader.trace(id).await?;
    if spans.is_empty() {
        return Err(ApiError::not_found(format!("trace {id} is not there")));
    }
    let mut by_resource: BTreeMap<String, Vec<&SpanRow>> = BTreeMap::new();
    for span in &spans {
        by_resource
            .entry(format!("{:?}", span.resource))
            .or_default()
            .push(span);
    }
    let resources = by_resource.values();
    Ok(resources.map(|spans| resource_spans(spans)).collect())
}

fn resource_spans(spans: &[&SpanRow]) -> Body {
    let mut by_scope: BTreeMap<&str, Vec<Body>> = BTreeMap::new();
    for span in spans {
        by_scope
            .entry(&span.scope)
            .or_default()
            .push(span_body(span));
    }
    let scopes: Vec<Body> = by_scope
        .into_iter()
        .map(|(name, spans)| json!({"scope": {"name": name}, "spans": spans}))
        .collect();
    let resource = spans.first().map(|span| attributes(&span.resource));
    json!({"resource": {"attributes": resource}, "scopeSpans": scopes})
}

fn span_body(span: &SpanRow) -> Body {
    let events: Vec<Body> = span
        .events
        .iter()
        .map(|event| {
            json!({"timeUnixNano": event.time.0.to_string(), "name": event.name,
                   "attributes": attributes(&event.attributes)})
        })
        .collect();
    let links: Vec<Body> = span
        .links
        .iter()
        .map(|link| {
            json!({"traceId": link.trace_id.to_hex(), "spanId": link.span_id.to_hex(),
                   "attributes": attributes(&link.attributes)})
        })
        .collect();
    let kind = match span.kind {
        SpanKind::Unspecified => 0,
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
    };
    let code = match span.status {
        SpanStatus::Unset => 0,
        SpanStatus::Ok => 1,
        SpanStatus::Error => 2,
    };
    json!({
        "traceId": span.trace_id.to_hex(),
        "spanId": span.span_id.to_hex(),
        "parentSpanId": span.parent_span_id.map_or_else(String::new, |id| id.to_hex()),
        "traceState": span.trace_state,
        "name": span.name,
        "kind": kind,
        "startTimeUnixNano": span.start.0.to_string(),
        "endTimeUnixNano": span.start.0.saturating_add(span.duration_ns).to_string(),
        "attributes": attributes(&span.attributes),
        "events": events,
        "links": links,
        "status": {"code": code, "message": span.status_message},
    })
}

fn attributes(attributes: &Attributes) -> Vec<Body> {
    let value = |value: &AttrValue| match value {
        AttrValue::Str(text) | AttrValue::Json(text) => json!({"stringValue": text}),
        AttrValue::Int(number) => json!({"intValue": number.to_string()}),
        // JSON has no other numbers.
        AttrValue::Double(number) if !number.is_finite() => {
            json!({"stringValue": number.to_string()})
        }
        AttrValue::Double(number) => json!({"doubleValue": number}),
        AttrValue::Bool(truth) => json!({"boolValue": truth}),
    };
    attributes
        .iter()
        .map(|(key, one)| json!({"key": key, "value": value(one)}))
        .collect()
}
