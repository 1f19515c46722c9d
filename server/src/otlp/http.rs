//! OTLP over HTTP: protobuf and JSON, gzip.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use demarc_ingest::{
    Encoding, IngestError, Receipt, decode_logs, decode_metrics, decode_traces,
    encode_logs_response, encode_metrics_response, encode_traces_response,
};
use demarc_proto::TenantId;
use prost::Message;
use tower_http::decompression::RequestDecompressionLayer;

use crate::{
    app::App,
    status::{chain, otlp_http},
    telemetry,
    tenant::{self},
};

/// The three paths that OTLP/HTTP names.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/v1/traces", post(traces))
        .route("/v1/metrics", post(metrics))
        .route("/v1/logs", post(logs))
        .layer(RequestDecompressionLayer::new())
        .with_state(app)
}

async fn traces(State(app): State<Arc<App>>, headers: HeaderMap, body: Body) -> Response {
    let call = match Call::read(&app, &headers, body).await {
        Ok(call) => call,
        Err(refusal) => return *refusal,
    };
    let work = async {
        let request = decode_traces(call.encoding, &call.body)?;
        app.ingest.traces(&call.tenant, request).await
    };
    let result = telemetry::unless_own(&call.tenant, work).await;
    call.answer(result, encode_traces_response)
}

async fn metrics(State(app): State<Arc<App>>, headers: HeaderMap, body: Body) -> Response {
    let call = match Call::read(&app, &headers, body).await {
        Ok(call) => call,
        Err(refusal) => return *refusal,
    };
    let work = async {
        let request = decode_metrics(call.encoding, &call.body)?;
        app.ingest.metrics(&call.tenant, request).await
    };
    let result = telemetry::unless_own(&call.tenant, work).await;
    call.answer(result, encode_metrics_response)
}

async fn logs(State(app): State<Arc<App>>, headers: HeaderMap, body: Body) -> Response {
    let call = match Call::read(&app, &headers, body).await {
        Ok(call) => call,
        Err(refusal) => return *refusal,
    };
    let work = async {
        let request = decode_logs(call.encoding, &call.body)?;
        app.ingest.logs(&call.tenant, request).await
    };
    let result = telemetry::unless_own(&call.tenant, work).await;
    call.answer(result, encode_logs_response)
}

/// A request, read as far as all signals have it in common.
struct Call {
    tenant: TenantId,
    encoding: Encoding,
    body: axum::body::Bytes,
}

impl Call {
    async fn read(app: &App, headers: &HeaderMap, body: Body) -> Result<Self, Box<Response>> {
        let encoding = encoding(headers)?;
        let refuse = |status, message: String| Box::new(refusal(encoding, status, message));
        let tenant = tenant::of(headers.get(tenant::HEADER).map(|value| value.as_bytes()))
            .map_err(|message| refuse(StatusCode::BAD_REQUEST, message))?;
        let limit = app.ingest.config().max_body_bytes;
        let body = axum::body::to_bytes(body, limit).await.map_err(|error| {
            if chain(&error).contains("length limit") {
                let message = format!("body: more than {limit} bytes; send smaller batches");
                refuse(StatusCode::PAYLOAD_TOO_LARGE, message)
            } else {
                refuse(StatusCode::BAD_REQUEST, format!("body: {}", chain(&error)))
            }
        })?;
        Ok(Self {
            tenant,
            encoding,
            body,
        })
    }

    fn answer(
        &self,
        result: Result<Receipt, IngestError>,
        encode: fn(Encoding, &Receipt) -> Vec<u8>,
    ) -> Response {
        match result {
            Ok(receipt) => {
                let body = encode(self.encoding, &receipt);
                ([(header::CONTENT_TYPE, media_type(self.encoding))], body).into_response()
            }
            Err(error) => refusal(self.encoding, otlp_http(&error), chain(&error)),
        }
    }
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Box<Response>> {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let media = value
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    match media {
        "application/x-protobuf" => Ok(Encoding::Protobuf),
        "application/json" => Ok(Encoding::Json),
        _ => {
            let message = format!(
                "Content-Type {media:?}: must be application/x-protobuf or application/json"
            );
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            Err(Box::new(refusal(Encoding::Json, status, message)))
        }
    }
}

fn media_type(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Protobuf => "application/x-protobuf",
        Encoding::Json => "application/json",
    }
}

/// `google.rpc.Status`, which OTLP/HTTP demands as the body of a failure.
#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

fn refusal(encoding: Encoding, status: StatusCode, message: String) -> Response {
    let code = if status.is_client_error() {
        tonic::Code::InvalidArgument
    } else {
        tonic::Code::Unavailable
    };
    let code = code as i32;
    let body = match encoding {
        Encoding::Protobuf => RpcStatus { code, message }.encode_to_vec(),
        Encoding::Json => serde_json::json!({"code": code, "message": message})
            .to_string()
            .into_bytes(),
    };
    (status, [(header::CONTENT_TYPE, media_type(encoding))], body).into_response()
}
