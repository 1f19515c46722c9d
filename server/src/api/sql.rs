//! SQL over a tenant's tables: as JSON, or as an Arrow IPC stream for whoever accepts it.

use std::sync::Arc;

use arrow::ipc::writer::StreamWriter;
use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use demarc_query::{Frame, Options};
use serde_json::{Value as Body, json};

use crate::{app::App, status::ApiError, tenant::Tenant};

/// The media type of an Arrow IPC stream.
pub(crate) const ARROW: &str = "application/vnd.apache.arrow.stream";

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    query: String,
}

/// The body is `{"query": "..."}`, or the query itself as plain text.
pub(crate) async fn sql(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let query = if text(header::CONTENT_TYPE).starts_with("application/json") {
        let question: Question = serde_json::from_slice(&body).map_err(|error| {
            ApiError::bad_request(format!(
                "body: {error}; must be {{\"query\": \"SELECT ...\"}}"
            ))
        })?;
        question.query
    } else {
        String::from_utf8(body.to_vec())
            .map_err(|_| ApiError::bad_request("body: must be UTF-8"))?
    };
    let reader = app.engine.reader(tenant.into(), Options::default())?;
    let frame = reader.sql(&query).await?;
    if text(header::ACCEPT).contains(ARROW) {
        let bytes = ipc(&frame).map_err(|error| ApiError::internal(&error))?;
        return Ok(([(header::CONTENT_TYPE, ARROW)], bytes).into_response());
    }
    let body = rows(&frame).map_err(|error| ApiError::internal(&error))?;
    Ok(Json(json!({"status": "success", "data": body})).into_response())
}

fn ipc(frame: &Frame) -> Result<Vec<u8>, arrow::error::ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), &frame.schema)?;
    for batch in &frame.batches {
        writer.write(batch)?;
    }
    writer.into_inner()
}

fn rows(frame: &Frame) -> Result<Body, arrow::error::ArrowError> {
    let columns: Vec<Body> = frame
        .schema
        .fields()
        .iter()
        .map(|field| json!({"name": field.name(), "type": field.data_type().to_string()}))
        .collect();
    let options = arrow::json::WriterBuilder::new().with_explicit_nulls(true);
    let mut writer = options.build::<_, arrow::json::writer::JsonArray>(Vec::new());
    for batch in &frame.batches {
        writer.write(batch)?;
    }
    writer.finish()?;
    let written = writer.into_inner();
    let rows: Body = if written.is_empty() {
        json!([])
    } else {
        serde_json::from_slice(&written)
            .map_err(|error| arrow::error::ArrowError::JsonError(error.to_string()))?
    };
    Ok(json!({"columns": columns, "rows": rows}))
}
