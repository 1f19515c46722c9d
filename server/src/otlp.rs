//! OTLP on the sockets: gRPC and HTTP, both on either port.

mod grpc;
mod http;
mod rpc_status;

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
};

pub(crate) use rpc_status::Failure;

use crate::app::App;

/// The paths that OTLP/HTTP and OTLP/gRPC name.
pub(crate) fn router(app: Arc<App>) -> Router {
    http::router(Arc::clone(&app))
        .merge(grpc::router(app))
        .fallback(no_such_path)
}

async fn no_such_path(uri: Uri, headers: HeaderMap) -> Response {
    if grpc::is_grpc(&headers) {
        return grpc::unimplemented(uri.path());
    }
    let sentence = "must be /v1/traces, /v1/metrics or /v1/logs\n";
    (StatusCode::NOT_FOUND, sentence).into_response()
}
