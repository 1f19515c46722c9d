//! From the bytes of an OTLP request to its receipt.

use std::borrow::Cow;

use bytes::Bytes;
use demarc_proto::{
    TenantId,
    otlp::collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
};

use crate::{
    Admission, Compression, Encoding, Ingest, IngestError, Receipt, Signal, decode_logs,
    decode_metrics, decode_traces, json, scan::Scan,
};

/// Larger bodies are decoded on a thread of their own, so that they hold up nobody else's answer.
const LONG_BYTES: usize = 256 << 10;

/// A request as it came from a socket.
#[derive(Debug)]
pub struct Payload {
    /// How it is written.
    pub encoding: Encoding,
    /// How it is compressed.
    pub compression: Compression,
    /// Its bytes.
    pub body: Bytes,
    /// The memory that they take; more is taken out of it while they are decoded.
    pub admission: Admission,
}

enum Request {
    Traces(ExportTraceServiceRequest),
    Metrics(ExportMetricsServiceRequest),
    Logs(ExportLogsServiceRequest),
}

/// A decoded request with what it took.
struct Decoded {
    request: Request,
    bytes: usize,
    repaired: usize,
    // Held until the rows are written.
    admission: Admission,
}

impl Ingest {
    /// Takes an OTLP request. When it returns, the accepted rows are durable and can be queried.
    #[tracing::instrument(skip_all, err, fields(%tenant, %signal, body_bytes = payload.body.len()))]
    pub async fn otlp(
        &self,
        tenant: &TenantId,
        signal: Signal,
        payload: Payload,
    ) -> Result<Receipt, IngestError> {
        let limit = self.config().max_body_bytes;
        let decoded = if payload.body.len() > LONG_BYTES {
            let work = move || decode(signal, payload, limit);
            tokio::task::spawn_blocking(work)
                .await
                .map_err(|error| IngestError::Task {
                    reason: error.to_string(),
                })??
        } else {
            decode(signal, payload, limit)?
        };
        self.take_bytes(tenant, decoded.bytes)?;
        let mut receipt = match decoded.request {
            Request::Traces(request) => self.traces(tenant, request).await?,
            Request::Metrics(request) => self.metrics(tenant, request).await?,
            Request::Logs(request) => self.logs(tenant, request).await?,
        };
        drop(decoded.admission);
        receipt.repaired = decoded.repaired as u64;
        receipt.count(signal);
        Ok(receipt)
    }
}

fn decode(signal: Signal, payload: Payload, limit: usize) -> Result<Decoded, IngestError> {
    let Payload {
        encoding,
        compression,
        body,
        mut admission,
    } = payload;
    let body = match compression {
        Compression::Identity if body.len() <= limit => body,
        _ => {
            let mut grow = |bytes| admission.grow(bytes);
            compression.decompress(&body, limit, &mut grow)?.into()
        }
    };
    let (body, mut repaired) = match encoding {
        Encoding::Protobuf => (body, 0),
        Encoding::Json => from_json(signal, &body)?,
    };
    let scan = Scan::protobuf(signal, &body)?;
    admission.grow(scan.memory_bytes)?;
    let mut text = body;
    if scan.bad_texts() > 0 {
        let mut copy = text.to_vec();
        scan.repair(&mut copy);
        repaired += scan.bad_texts();
        text = copy.into();
    }
    let request = match signal {
        Signal::Traces => Request::Traces(decode_traces(Encoding::Protobuf, &text)?),
        Signal::Metrics | Signal::RemoteWrite => {
            Request::Metrics(decode_metrics(Encoding::Protobuf, &text)?)
        }
        Signal::Logs => Request::Logs(decode_logs(Encoding::Protobuf, &text)?),
    };
    Ok(Decoded {
        request,
        bytes: text.len(),
        repaired,
        admission,
    })
}

/// The request in protobuf, and how many texts of it were repaired.
fn from_json(signal: Signal, body: &[u8]) -> Result<(Bytes, usize), IngestError> {
    let text = String::from_utf8_lossy(body);
    let repaired = usize::from(matches!(text, Cow::Owned(_)));
    let bytes = json::to_protobuf(signal, text.as_bytes())
        .map_err(|source| IngestError::Json { signal, source })?;
    Ok((bytes.into(), repaired))
}
