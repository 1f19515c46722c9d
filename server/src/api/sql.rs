//! SQL over a tenant's tables: as JSON, or as an Arrow IPC stream for whoever accepts it.
//!
//! Rows are sent as they are found. What goes wrong after the first of them ends the answer before its end: a chunked body
//! without its last chunk, which every client takes for an error, and no closing brackets in JSON.

mod form;

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use demarc_query::{Options, QueryError, RowStream, Statement};
use futures::{Stream, StreamExt, TryStreamExt, stream};

pub(crate) use self::form::ARROW;
use self::form::Form;
use crate::{
    app::App,
    status::{self, ApiError},
    tenant::Tenant,
};

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
    let statement = Statement {
        text: query,
        ..Statement::default()
    };
    let reader = app.engine.reader(tenant.into(), Options::default())?;
    let rows = reader.rows(statement).await?;
    let form = Form::accepted(text(header::ACCEPT), rows.schema());
    let form = form.map_err(|error| ApiError::internal(&error))?;
    let media_type = form.media_type();
    let body = Body::from_stream(written(rows, form));
    Ok(([(header::CONTENT_TYPE, media_type)], body).into_response())
}

/// The batches of an answer, each when it is asked for.
pub(crate) fn batches<E>(
    rows: RowStream,
    fault: impl Fn(QueryError) -> E,
) -> impl Stream<Item = Result<RecordBatch, E>> {
    let next = |mut rows: RowStream| async move {
        let batch = rows.next().await?;
        Ok::<_, QueryError>(batch.map(|batch| (batch, rows)))
    };
    stream::try_unfold(rows, next).map_err(fault)
}

/// An answer in pieces.
fn written(rows: RowStream, form: Form) -> impl Stream<Item = Result<Vec<u8>, axum::BoxError>> {
    let batches = batches(rows, |error| {
        // It is too late for a status; logged as such all the same.
        axum::BoxError::from(status::chain(&status::noted(error)))
    });
    let ended = batches
        .map(|batch| batch.map(Some))
        .chain(stream::iter([Ok(None)]));
    let state = (Box::pin(ended), form);
    stream::try_unfold(state, |(mut batches, mut form)| async move {
        let Some(next) = batches.try_next().await? else {
            return Ok(None);
        };
        let piece = match next {
            Some(batch) => form.rows(&batch)?,
            None => form.end()?,
        };
        Ok::<_, axum::BoxError>(Some((piece, (batches, form))))
    })
}
