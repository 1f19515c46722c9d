//! OTLP on the sockets: gRPC and HTTP, both on either port.

mod grpc;
mod http;
mod rpc_status;

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderMap, HeaderValue, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use demarc_ingest::{Payload, Signal, encode_response};
use demarc_proto::TenantId;

pub(crate) use rpc_status::Failure;

use crate::{app::App, status, telemetry, tenant};

/// The paths that OTLP/HTTP and OTLP/gRPC name.
pub(crate) fn router(app: Arc<App>) -> Router {
    http::router(Arc::clone(&app))
        .merge(grpc::router(app))
        .fallback(no_such_path)
}

/// Takes a request's rows in; its tenant is named in the head. Goes on when the sender gives up: what is half done would be counted
/// twice when it is sent again.
async fn take(
    app: &Arc<App>,
    headers: &HeaderMap,
    signal: Signal,
    payload: Payload,
) -> Result<Vec<u8>, Failure> {
    let tenant = named(headers)?;
    let app = Arc::clone(app);
    let encoding = payload.encoding;
    let work = tokio::spawn(async move {
        let work = app.ingest.otlp(&tenant, signal, payload);
        telemetry::unless_own(&tenant, work).await
    });
    let receipt = work
        .await
        .map_err(|error| status::died(&error))?
        .map_err(|error| status::otlp(&error))?;
    Ok(encode_response(signal, encoding, &receipt))
}

/// The tenant that is named in the head.
fn named(headers: &HeaderMap) -> Result<TenantId, Failure> {
    let name = headers.get(tenant::HEADER).map(HeaderValue::as_bytes);
    tenant::of(name).map_err(Failure::bad_request)
}

async fn no_such_path(uri: Uri, headers: HeaderMap) -> Response {
    if grpc::is_grpc(&headers) {
        return grpc::unimplemented(uri.path());
    }
    let sentence = "must be /v1/traces, /v1/metrics or /v1/logs\n";
    (StatusCode::NOT_FOUND, sentence).into_response()
}
