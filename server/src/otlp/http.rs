//! OTLP over HTTP: protobuf and JSON; gzip and zstd.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use demarc_ingest::{Compression, Encoding, Payload, Signal};

use super::{named, rpc_status::Failure, take};
use crate::{app::App, body, status};

/// The three paths that OTLP/HTTP names, also below the prefixes that Prometheus and Mimir put before them.
pub(crate) fn router(app: Arc<App>) -> Router {
    let mut router = Router::new();
    for prefix in ["", "/otlp", "/api/v1/otlp"] {
        router = router
            .route(&format!("{prefix}/v1/traces"), post(traces))
            .route(&format!("{prefix}/v1/metrics"), post(metrics))
            .route(&format!("{prefix}/v1/logs"), post(logs));
    }
    router.with_state(app)
}

async fn traces(State(app): State<Arc<App>>, headers: HeaderMap, body: Body) -> Response {
    export(&app, Signal::Traces, &headers, body).await
}

async fn metrics(State(app): State<Arc<App>>, headers: HeaderMap, body: Body) -> Response {
    export(&app, Signal::Metrics, &headers, body).await
}

async fn logs(State(app): State<Arc<App>>, headers: HeaderMap, body: Body) -> Response {
    export(&app, Signal::Logs, &headers, body).await
}

async fn export(app: &Arc<App>, signal: Signal, headers: &HeaderMap, body: Body) -> Response {
    let encoding = match encoding(headers) {
        Ok(encoding) => encoding,
        Err(failure) => return refusal(Encoding::Json, &failure),
    };
    match accept(app, signal, encoding, headers, body).await {
        Ok(answer) => ([(header::CONTENT_TYPE, media_type(encoding))], answer).into_response(),
        Err(failure) => refusal(encoding, &failure),
    }
}

async fn accept(
    app: &Arc<App>,
    signal: Signal,
    encoding: Encoding,
    headers: &HeaderMap,
    body: Body,
) -> Result<Vec<u8>, Failure> {
    // Nothing is read of a request that names nobody.
    named(headers)?;
    let compression = compression(headers)?;
    let mut admission = app.ingest.admission();
    let limit = app.ingest.config().max_body_bytes;
    let body = body::read(headers, body, limit, &mut admission)
        .await
        .map_err(status::unread)?;
    let payload = Payload {
        encoding,
        compression,
        body,
        admission,
    };
    take(app, headers, signal, payload).await
}

fn compression(headers: &HeaderMap) -> Result<Compression, Failure> {
    let name = text(headers, &header::CONTENT_ENCODING);
    match Compression::named(&name.to_ascii_lowercase()) {
        Some(compression) if compression != Compression::Snappy => Ok(compression),
        _ => Err(Failure {
            http: StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ..Failure::bad_request(format!(
                "Content-Encoding {name:?}: must be gzip, zstd or identity"
            ))
        }),
    }
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Failure> {
    let value = text(headers, &header::CONTENT_TYPE);
    let media = value.split(';').next().unwrap_or_default().trim();
    match media.to_ascii_lowercase().as_str() {
        "application/x-protobuf" => Ok(Encoding::Protobuf),
        "application/json" => Ok(Encoding::Json),
        _ => Err(Failure {
            http: StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ..Failure::bad_request(format!(
                "Content-Type {media:?}: must be application/x-protobuf or application/json"
            ))
        }),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

fn media_type(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Protobuf => "application/x-protobuf",
        Encoding::Json => "application/json",
    }
}

fn refusal(encoding: Encoding, failure: &Failure) -> Response {
    let body = failure.body(encoding);
    let mut answer = (
        failure.http,
        [(header::CONTENT_TYPE, media_type(encoding))],
        body,
    )
        .into_response();
    status::retry_after(&mut answer, failure.retry_after);
    answer
}
