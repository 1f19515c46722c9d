//! From the bytes of an OTLP request to its receipt.

use std::borrow::Cow;

use bytes::Bytes;
use demarc_proto::TenantId;

use crate::{
    Admission, Compression, Encoding, Ingest, IngestError, Receipt, Signal, json,
    log::{self, Records},
    rules::Rules,
    scan::Scan,
    trace::{self, Traces},
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

/// What a request brought.
enum Read {
    Traces(Box<Traces>),
    Metrics(Bytes),
    Logs(Records),
}

/// A decoded request with what it took.
struct Decoded {
    read: Read,
    bytes: usize,
    repaired: usize,
    // Held until the rows are written.
    admission: Admission,
}

impl Ingest {
    /// Takes an OTLP request. When it returns, the accepted rows are durable and can be queried.
    #[tracing::instrument(skip_all, err(level = "debug"), fields(%tenant, %signal, body_bytes = payload.body.len()))]
    pub async fn otlp(
        &self,
        tenant: &TenantId,
        signal: Signal,
        payload: Payload,
    ) -> Result<Receipt, IngestError> {
        let limit = self.config().max_body_bytes;
        let rules = self.rules(tenant, signal);
        let decoded = if payload.body.len() > LONG_BYTES {
            let work = move || decode(signal, payload, limit, &rules);
            tokio::task::spawn_blocking(work)
                .await
                .map_err(|error| IngestError::Task {
                    reason: error.to_string(),
                })??
        } else {
            decode(signal, payload, limit, &rules)?
        };
        self.take_bytes(tenant, decoded.bytes)?;
        let mut receipt = match decoded.read {
            Read::Traces(read) => self.take_traces(tenant, *read).await?,
            Read::Metrics(body) => self.take_metrics(tenant, &body).await?,
            Read::Logs(read) => self.take_logs(tenant, read).await?,
        };
        drop(decoded.admission);
        receipt.repaired = decoded.repaired as u64;
        receipt.count(signal);
        Ok(receipt)
    }
}

fn decode(
    signal: Signal,
    payload: Payload,
    limit: usize,
    rules: &Rules,
) -> Result<Decoded, IngestError> {
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
    let bytes = text.len();
    let read = match signal {
        Signal::Traces => Read::Traces(Box::new(trace::read(&text, rules)?)),
        // Points are read where the tenant's series are known.
        Signal::Metrics | Signal::RemoteWrite => Read::Metrics(text),
        Signal::Logs => Read::Logs(log::read(&text, rules)?),
    };
    Ok(Decoded {
        read,
        bytes,
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
