//! The two encodings of OTLP over HTTP: protobuf, and JSON with hexadecimal ids.
//!
//! Source: OpenTelemetry Protocol specification 1.x, "OTLP/HTTP".

use demarc_proto::otlp::collector::{
    logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse},
    metrics::v1::{
        ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
    },
    trace::v1::{ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse},
};
use prost::Message;
use serde::de::DeserializeOwned;

use crate::{IngestError, Receipt, Signal};

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

fn decode<M: Message + Default + DeserializeOwned>(
    signal: Signal,
    encoding: Encoding,
    body: &[u8],
) -> Result<M, IngestError> {
    match encoding {
        Encoding::Protobuf => {
            M::decode(body).map_err(|source| IngestError::Protobuf { signal, source })
        }
        Encoding::Json => {
            serde_json::from_slice(body).map_err(|source| IngestError::Json { signal, source })
        }
    }
}

/// Writes the response to a trace export.
pub fn encode_traces_response(encoding: Encoding, receipt: &Receipt) -> Vec<u8> {
    let partial_success = is_partial(receipt).then(|| ExportTracePartialSuccess {
        rejected_spans: receipt.rejected_count(),
        error_message: receipt.message(),
    });
    encode(encoding, &ExportTraceServiceResponse { partial_success })
}

/// Writes the response to a metrics export.
pub fn encode_metrics_response(encoding: Encoding, receipt: &Receipt) -> Vec<u8> {
    let partial_success = is_partial(receipt).then(|| ExportMetricsPartialSuccess {
        rejected_data_points: receipt.rejected_count(),
        error_message: receipt.message(),
    });
    encode(encoding, &ExportMetricsServiceResponse { partial_success })
}

/// Writes the response to a log export.
pub fn encode_logs_response(encoding: Encoding, receipt: &Receipt) -> Vec<u8> {
    let partial_success = is_partial(receipt).then(|| ExportLogsPartialSuccess {
        rejected_log_records: receipt.rejected_count(),
        error_message: receipt.message(),
    });
    encode(encoding, &ExportLogsServiceResponse { partial_success })
}

/// OTLP: the field must be unset when everything was accepted.
fn is_partial(receipt: &Receipt) -> bool {
    !receipt.rejected.is_empty()
}

fn encode<M: Message + serde::Serialize>(encoding: Encoding, message: &M) -> Vec<u8> {
    match encoding {
        Encoding::Protobuf => message.encode_to_vec(),
        // Proto3's JSON mapping has no field for a message that is not set; the derived one writes null.
        Encoding::Json if message.encoded_len() == 0 => b"{}".to_vec(),
        Encoding::Json => {
            serde_json::to_vec(message).expect("a response has only numbers and texts")
        }
    }
}
