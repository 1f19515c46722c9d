//! Errors to status codes, here alone.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use demarc_incident::IncidentError;
use demarc_ingest::IngestError;
use demarc_query::QueryError;
use demarc_report::ReportError;
use demarc_topology::TopologyError;
use serde_json::json;

/// What the HTTP API answers when it cannot do what was asked, in the form of the Prometheus HTTP API.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    kind: &'static str,
    message: String,
}

impl ApiError {
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            kind: "bad_data",
            message: message.into(),
        }
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            kind: "not_found",
            message: message.into(),
        }
    }

    pub(crate) fn internal(error: &dyn std::error::Error) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            kind: "internal",
            message: chain(error),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({"status": "error", "errorType": self.kind, "error": self.message});
        (self.status, Json(body)).into_response()
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        let status = match error.kind() {
            "bad_data" => StatusCode::BAD_REQUEST,
            "timeout" => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self {
            status,
            kind: error.kind(),
            message: chain(&error),
        }
    }
}

impl From<IncidentError> for ApiError {
    fn from(error: IncidentError) -> Self {
        match error {
            IncidentError::Question(message) => Self::bad_request(message),
            IncidentError::Query(error) => error.into(),
            error => Self::internal(&error),
        }
    }
}

impl From<TopologyError> for ApiError {
    fn from(error: TopologyError) -> Self {
        match error {
            TopologyError::Store(error) => Self::internal(&error),
            error => Self::bad_request(error.to_string()),
        }
    }
}

impl From<ReportError> for ApiError {
    fn from(error: ReportError) -> Self {
        Self::internal(&error)
    }
}

/// The status of an OTLP/HTTP answer. Source: OTLP specification, "OTLP/HTTP Response" (which statuses are tried again).
pub(crate) fn otlp_http(error: &IngestError) -> StatusCode {
    match error {
        error if error.is_retryable() => StatusCode::SERVICE_UNAVAILABLE,
        IngestError::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// The status of an OTLP/gRPC answer. Source: OTLP specification, "OTLP/gRPC Response".
pub(crate) fn otlp_grpc(error: &IngestError) -> tonic::Status {
    match error {
        error if error.is_retryable() => tonic::Status::unavailable(chain(error)),
        IngestError::Store(_) => tonic::Status::internal(chain(error)),
        _ => tonic::Status::invalid_argument(chain(error)),
    }
}

/// An error with all that caused it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
