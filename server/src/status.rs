//! Errors to status codes, here alone.

use std::time::Duration;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use demarc_incident::IncidentError;
use demarc_ingest::IngestError;
use demarc_query::QueryError;
use demarc_report::ReportError;
use demarc_store::StoreError;
use demarc_topology::TopologyError;
use tonic::Code;

use crate::{body::Unread, otlp::Failure};

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

    /// A parameter whose value cannot be right.
    pub(crate) fn parameter(name: &str, fault: impl std::fmt::Display) -> Self {
        Self::bad_request(format!("invalid parameter {name:?}: {fault}"))
    }

    /// The fault of a query or selector that came as the parameter `name`.
    pub(crate) fn of_text(name: &str, fault: QueryError) -> Self {
        match fault {
            QueryError::Parse(fault) => Self::parameter(name, fault),
            fault @ QueryError::Unsupported { .. } => Self::parameter(name, fault),
            fault => fault.into(),
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
        let message = chain(error);
        tracing::error!(error = message, "request failed");
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            kind: "internal",
            message,
        }
    }

    /// Not now, perhaps later.
    pub(crate) fn unavailable(error: &dyn std::error::Error) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            kind: "unavailable",
            message: chain(error),
        }
    }
}

/// The form in which the Prometheus HTTP API tells of errors.
#[derive(serde::Serialize)]
struct Fault {
    status: &'static str,
    #[serde(rename = "errorType")]
    kind: &'static str,
    #[serde(rename = "error")]
    message: String,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = Fault {
            status: "error",
            kind: self.kind,
            message: self.message,
        };
        (self.status, Json(body)).into_response()
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        let status = match error.kind() {
            "bad_data" => StatusCode::BAD_REQUEST,
            "timeout" | "unavailable" => StatusCode::SERVICE_UNAVAILABLE,
            // Nobody reads it: whoever asked is gone.
            "canceled" => StatusCode::from_u16(499).expect("499 is a status code"),
            "internal" => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let error = noted(error);
        Self {
            status,
            kind: error.kind(),
            message: chain(&error),
        }
    }
}

/// Logs the fault of a query where something is wrong here.
pub(crate) fn noted(error: QueryError) -> QueryError {
    if error.is_own_fault() {
        tracing::error!(error = chain(&error), "query was not answered");
    }
    error
}

/// What a client of gRPC is told of a query that has no answer.
pub(crate) fn rpc(error: &QueryError) -> tonic::Status {
    let code = match error.kind() {
        "bad_data" => Code::InvalidArgument,
        "timeout" => Code::DeadlineExceeded,
        "unavailable" => Code::Unavailable,
        "canceled" => Code::Cancelled,
        "internal" => Code::Internal,
        _ => Code::ResourceExhausted,
    };
    tonic::Status::new(code, chain(error))
}

/// What a client of PostgreSQL's protocol is told of a query that has no answer. Source: PostgreSQL, "Error Codes".
pub(crate) fn sqlstate(error: &QueryError) -> &'static str {
    match (error.kind(), error) {
        ("bad_data", _) => "42000",
        ("timeout" | "canceled", _) => "57014",
        ("unavailable", _) => "53300",
        ("internal", _) => "XX000",
        (_, QueryError::Limit { .. }) => "54000",
        _ => "22000",
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

/// What the sender of an OTLP or remote-write request is told. Source: OTLP specification, "Failures" (which codes are
/// tried again); Prometheus, "Remote-Write 2.0", "Retries".
pub(crate) fn otlp(error: &IngestError) -> Failure {
    let retry_after = error.retry_after();
    let (code, http) = match error {
        IngestError::RateLimited { .. } => (Code::ResourceExhausted, StatusCode::TOO_MANY_REQUESTS),
        // Without a delay, RESOURCE_EXHAUSTED says that the same request will not fit later either.
        IngestError::TooLarge { .. }
        | IngestError::TooMuchMemory { .. }
        | IngestError::Store(StoreError::TooLarge { .. }) => {
            (Code::ResourceExhausted, StatusCode::PAYLOAD_TOO_LARGE)
        }
        IngestError::TooManyTenants { .. } => (Code::PermissionDenied, StatusCode::FORBIDDEN),
        IngestError::Store(StoreError::Closed) => {
            (Code::Unavailable, StatusCode::SERVICE_UNAVAILABLE)
        }
        _ if retry_after.is_some() => (Code::Unavailable, StatusCode::SERVICE_UNAVAILABLE),
        IngestError::Store(_) | IngestError::Task { .. } => {
            (Code::Internal, StatusCode::INTERNAL_SERVER_ERROR)
        }
        _ => (Code::InvalidArgument, StatusCode::BAD_REQUEST),
    };
    let message = chain(error);
    if is_own_fault(error) {
        tracing::error!(error = message, "rows were not taken");
    }
    Failure {
        code,
        http,
        message,
        retry_after,
    }
}

/// Whether something is wrong here, and not with what was sent.
fn is_own_fault(error: &IngestError) -> bool {
    match error {
        IngestError::Store(error) => {
            !matches!(error, StoreError::TooLarge { .. } | StoreError::Closed)
        }
        IngestError::Task { .. } => true,
        _ => false,
    }
}

/// What the sender is told when the work on its request broke off.
pub(crate) fn died(error: &tokio::task::JoinError) -> Failure {
    Failure {
        code: Code::Internal,
        http: StatusCode::INTERNAL_SERVER_ERROR,
        ..Failure::bad_request(error.to_string())
    }
}

/// What the sender of a request whose body was not read is told.
pub(crate) fn unread(reason: Unread) -> Failure {
    match reason {
        Unread::Refused(error) => otlp(&error),
        Unread::Slow(message) => Failure {
            code: Code::DeadlineExceeded,
            http: StatusCode::REQUEST_TIMEOUT,
            ..Failure::bad_request(message)
        },
        Unread::Broken(message) => Failure::bad_request(message),
    }
}

/// Says in the head when to try again.
pub(crate) fn retry_after(answer: &mut Response, delay: Option<Duration>) {
    if let Some(delay) = delay {
        let seconds = HeaderValue::from(delay.as_secs().max(1));
        answer.headers_mut().insert(header::RETRY_AFTER, seconds);
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
