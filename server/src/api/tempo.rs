//! Traces by id as Grafana's Tempo data source asks for them. It cannot search here.
//!
//! Source: Grafana Tempo, "HTTP API: Query V2", "Query", "Query Echo endpoint"; `tempopb.TraceByIDResponse`, `tempopb.Trace`.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::{
        HeaderMap,
        header::{ACCEPT, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use demarc_proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde_json::{Value as Body, json};

use super::trace::resources;
use crate::{app::App, status::ApiError, tenant::Tenant};

const PROTOBUF: &str = "application/protobuf";
/// Digits of a trace's id; leading zeros may be missing.
const ID_DIGITS: usize = 32;

/// The data source's health check.
pub(crate) async fn echo() -> &'static str {
    "echo"
}

/// `tempopb.TraceByIDResponse`
#[derive(Clone, PartialEq, Message)]
struct Found {
    #[prost(message, optional, tag = "1")]
    trace: Option<ExportTraceServiceRequest>,
}

pub(crate) async fn found(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let spans = resources(&app, tenant, &padded(&id)).await?;
    if wants_protobuf(&headers) {
        let trace = Some(trace(spans)?);
        return Ok(protobuf(&Found { trace }));
    }
    Ok(Json(json!({"trace": {"resourceSpans": spans}})).into_response())
}

/// As [`found`], of the first version of the API.
pub(crate) async fn plain(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let spans = resources(&app, tenant, &padded(&id)).await?;
    if wants_protobuf(&headers) {
        return Ok(protobuf(&trace(spans)?));
    }
    Ok(Json(json!({"batches": spans})).into_response())
}

fn padded(id: &str) -> String {
    format!("{id:0>ID_DIGITS$}")
}

fn wants_protobuf(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    accepted.is_some_and(|accepted| accepted.contains(PROTOBUF))
}

/// `tempopb.Trace`, which has the one field of an OTLP request.
fn trace(spans: Vec<Body>) -> Result<ExportTraceServiceRequest, ApiError> {
    serde_json::from_value(json!({"resourceSpans": spans}))
        .map_err(|error| ApiError::internal(&error))
}

fn protobuf(message: &impl Message) -> Response {
    ([(CONTENT_TYPE, PROTOBUF)], message.encode_to_vec()).into_response()
}
