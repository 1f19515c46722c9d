//! OTLP over gRPC: the three unary calls.
//!
//! Spoken here rather than by tonic's server, because OTLP's senders act on codes that tonic's decoder cannot be told: it
//! answers a message that is too long with OUT_OF_RANGE and a broken one with INTERNAL, which senders take for "send it
//! again". Source: gRPC, "gRPC over HTTP2"; OTLP specification, "OTLP/gRPC".

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use demarc_ingest::{Compression, Encoding, IngestError, Payload, Signal};
use http_body::Frame;
use tonic::Code;

use super::{named, rpc_status::Failure, take};
use crate::{app::App, body, status};

/// Before each message: one byte that says whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// The paths of the three services.
pub(crate) fn router(app: Arc<App>) -> Router {
    let path = |signal: &str, service: &str| {
        format!("/opentelemetry.proto.collector.{signal}.v1.{service}/Export")
    };
    Router::new()
        .route(&path("trace", "TraceService"), post(traces))
        .route(&path("metrics", "MetricsService"), post(metrics))
        .route(&path("logs", "LogsService"), post(logs))
        .with_state(app)
}

/// What any other path of a gRPC request is answered with.
pub(crate) fn unimplemented(path: &str) -> Response {
    refusal(&Failure {
        code: Code::Unimplemented,
        ..Failure::bad_request(format!("{path}: there is no such method"))
    })
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
    if !is_grpc(headers) {
        return (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Content-Type: must be application/grpc",
        )
            .into_response();
    }
    match accept(app, signal, headers, body).await {
        Ok(message) => answer(&message),
        Err(failure) => refusal(&failure),
    }
}

/// Whether the request is one of gRPC, by its `Content-Type`.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let media = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    matches!(
        media,
        Some(b"application/grpc" | b"application/grpc+proto" | b"application/grpc;proto")
    )
}

async fn accept(
    app: &Arc<App>,
    signal: Signal,
    headers: &HeaderMap,
    body: Body,
) -> Result<Vec<u8>, Failure> {
    // Nothing is read of a request that names nobody.
    named(headers)?;
    let named = headers.get("grpc-encoding").map(HeaderValue::to_str);
    let named = named.transpose().unwrap_or(Some("?")).unwrap_or_default();
    let compression = Compression::named(named).filter(|found| *found != Compression::Snappy);
    let compression = compression.ok_or_else(|| Failure {
        code: Code::Unimplemented,
        ..Failure::bad_request(format!(
            "grpc-encoding {named:?}: must be gzip, zstd or identity"
        ))
    })?;
    let mut admission = app.ingest.admission();
    let limit = app.ingest.config().max_body_bytes;
    let body = body::read(
        headers,
        body,
        limit.saturating_add(PREFIX_BYTES),
        &mut admission,
    )
    .await
    .map_err(status::unread)?;
    let (is_compressed, body) = message(&body, limit)?;
    let compression = if is_compressed {
        compression
    } else {
        Compression::Identity
    };
    let payload = Payload {
        encoding: Encoding::Protobuf,
        compression,
        body,
        admission,
    };
    take(app, headers, signal, payload).await
}

/// The one message of a unary call, and whether it is compressed.
fn message(body: &Bytes, limit_bytes: usize) -> Result<(bool, Bytes), Failure> {
    let Some((prefix, _)) = body.split_first_chunk::<PREFIX_BYTES>() else {
        return Err(Failure::bad_request("the call carries no message"));
    };
    let [flag, length @ ..] = *prefix;
    let length = u32::from_be_bytes(length) as usize;
    if length > limit_bytes {
        return Err(status::otlp(&IngestError::TooLarge { limit_bytes }));
    }
    let body = body.slice(PREFIX_BYTES..);
    if length != body.len() || flag > 1 {
        let sentence = format!(
            "message prefix {flag}, {length}: must be 0 or 1, and the length of the {} bytes that follow",
            body.len()
        );
        return Err(Failure::bad_request(sentence));
    }
    Ok((flag == 1, body))
}

fn answer(message: &[u8]) -> Response {
    let mut framed = Vec::with_capacity(PREFIX_BYTES + message.len());
    let length = u32::try_from(message.len()).expect("an answer is a few kilobytes at most");
    framed.push(0);
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(message);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Body::new(Framed {
        data: Some(framed.into()),
        trailers: Some(trailers),
    });
    let mut answer = Response::new(body);
    name_encodings(answer.headers_mut());
    answer
}

/// An answer without a message: its status stands in the head.
fn refusal(failure: &Failure) -> Response {
    let mut answer = Response::new(Body::empty());
    let headers = answer.headers_mut();
    name_encodings(headers);
    headers.insert("grpc-status", HeaderValue::from(failure.code as i32));
    if let Ok(message) = HeaderValue::from_str(&percent_encoded(&failure.message)) {
        headers.insert("grpc-message", message);
    }
    let details = BASE64_STANDARD_NO_PAD.encode(failure.protobuf());
    if let Ok(details) = HeaderValue::from_str(&details) {
        headers.insert("grpc-status-details-bin", details);
    }
    answer
}

fn name_encodings(headers: &mut HeaderMap) {
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    headers.insert(
        "grpc-accept-encoding",
        HeaderValue::from_static("gzip,zstd,identity"),
    );
}

/// Most bytes of a message in a head: peers refuse heads beyond 8 KiB.
const MAX_MESSAGE_BYTES: usize = 1024;

fn percent_encoded(message: &str) -> String {
    let mut encoded = String::new();
    for byte in message.bytes().take(MAX_MESSAGE_BYTES) {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// A message and the trailers after it.
struct Framed {
    data: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl http_body::Body for Framed {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let data = self.data.take().map(Frame::data);
        let frame = data.or_else(|| self.trailers.take().map(Frame::trailers));
        Poll::Ready(frame.map(Ok))
    }
}
