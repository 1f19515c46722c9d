//! The two encodings of OTLP over HTTP: protobuf, and JSON with hexadecimal ids.
//!
//! Source: OpenTelemetry Protocol specification 1.x, "OTLP/HTTP".

use std::borrow::Cow;

use demarc_proto::otlp::collector::{
    logs::v1::ExportLogsServiceRequest,
    metrics::v1::ExportMetricsServiceRequest,
    trace::v1::{ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse},
};
use prost::Message;
use serde_json::json;

use crate::{IngestError, Receipt, Signal, attribute::cut, json};

/// How a request is written, and so its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `application/x-protobuf`
    Protobuf,
    /// `application/json`
    Json,
}

/// Reads an `ExportTraceServiceRequest`.
pub fn decode_traces(
    encoding: Encoding,
    body: &[u8],
) -> Result<ExportTraceServiceRequest, IngestError> {
    decode(Signal::Traces, encoding, body)
}

/// Reads an `ExportMetricsServiceRequest`.
pub fn decode_metrics(
    encoding: Encoding,
    body: &[u8],
) -> Result<ExportMetricsServiceRequest, IngestError> {
    decode(Signal::Metrics, encoding, body)
}

/// Reads an `ExportLogsServiceRequest`.
pub fn decode_logs(
    encoding: Encoding,
    body: &[u8],
) -> Result<ExportLogsServiceRequest, IngestError> {
    decode(Signal::Logs, encoding, body)
}

fn decode<M: Message + Default>(
    signal: Signal,
    encoding: Encoding,
    body: &[u8],
) -> Result<M, IngestError> {
    let body = match encoding {
        Encoding::Protobuf => Cow::Borrowed(body),
        Encoding::Json => Cow::Owned(
            json::to_protobuf(signal, body)
                .map_err(|source| IngestError::Json { signal, source })?,
        ),
    };
    M::decode(body.as_ref()).map_err(|source| IngestError::Protobuf { signal, source })
}

/// Most bytes of a message: a sender need not take answers beyond 4 MiB, and nobody reads that much.
const MAX_MESSAGE_BYTES: usize = 16 << 10;

/// Writes the response to an export. OTLP: `partial_success` must be unset when there is nothing to say.
pub fn encode_response(signal: Signal, encoding: Encoding, receipt: &Receipt) -> Vec<u8> {
    let rejected = receipt.rejected_count();
    let words = cut(receipt.message(), MAX_MESSAGE_BYTES);
    let is_partial = receipt.is_partial();
    match encoding {
        // The responses of all signals have the same fields.
        Encoding::Protobuf => ExportTraceServiceResponse {
            partial_success: is_partial.then_some(ExportTracePartialSuccess {
                rejected_spans: rejected,
                error_message: words,
            }),
        }
        .encode_to_vec(),
        Encoding::Json if !is_partial => b"{}".to_vec(),
        Encoding::Json => {
            let count = match signal {
                Signal::Traces => "rejectedSpans",
                Signal::Logs => "rejectedLogRecords",
                Signal::Metrics | Signal::RemoteWrite => "rejectedDataPoints",
            };
            // Proto3's JSON mapping writes 64-bit numbers as texts, and leaves out a number that is zero.
            let body = match rejected {
                0 => json!({"partialSuccess": {"errorMessage": words}}),
                _ => {
                    json!({"partialSuccess": {count: rejected.to_string(), "errorMessage": words}})
                }
            };
            body.to_string().into_bytes()
        }
    }
}
