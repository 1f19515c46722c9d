//! From the bytes of an OTLP request to its receipt.

use std::borrow::Cow;

use bytes::Bytes;
use demarc_proto::TenantId;

use crate::{
    Admission, Compression, Encoding, Ingest, IngestError, Receipt, Signal,
    ingest::Points,
    json,
    log::{self, Records},
    scan::Scan,
    trace::{self, Traces},
};

/// Larger bodies are read on a thread of their own, so that they hold up nobody else's answer.
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
pub(crate) enum Read {
    Traces(Box<Traces>),
    Metrics(Box<Points>),
    Logs(Records),
}

/// A request that was read, with what it took.
pub(crate) struct Taken {
    pub(crate) read: Read,
    pub(crate) repaired: usize,
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
        let (owner, bytes) = (tenant.clone(), payload.body.len());
        let read = move |ingest: &Self| ingest.read(&owner, signal, payload);
        let taken = self.apart(bytes, read).await??;
        let mut receipt = match taken.read {
            Read::Traces(read) => self.take_traces(tenant, *read).await?,
            Read::Metrics(read) => self.take_points(tenant, *read).await?,
            Read::Logs(read) => self.take_logs(tenant, read).await?,
        };
        drop(taken.admission);
        receipt.repaired = taken.repaired as u64;
        receipt.count(signal);
        Ok(receipt)
    }

    /// Works on a request of so many bytes: here, or on a thread of its own when that takes long.
    pub(crate) async fn apart<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, IngestError> {
        // It is there for as long as someone calls it; until its maker has it, it is not called.
        let Some(ingest) = self.itself.upgrade().filter(|_| bytes > LONG_BYTES) else {
            return Ok(work(self));
        };
        let done = tokio::task::spawn_blocking(move || work(&ingest)).await;
        done.map_err(|error| IngestError::Task {
            reason: error.to_string(),
        })
    }

    pub(crate) fn read(
        &self,
        tenant: &TenantId,
        signal: Signal,
        payload: Payload,
    ) -> Result<Taken, IngestError> {
        let Payload {
            encoding,
            compression,
            body,
            mut admission,
        } = payload;
        let limit = self.config().max_body_bytes;
        let body = match compression {
            Compression::Identity if body.len() <= limit => body,
            _ => {
                let mut grow = |bytes| admission.grow(bytes);
                compression.decompress(&body, limit, &mut grow)?.into()
            }
        };
        let (mut text, mut repaired) = match encoding {
            Encoding::Protobuf => (body, 0),
            Encoding::Json => from_json(signal, &body)?,
        };
        let scan = Scan::protobuf(signal, &text)?;
        admission.grow(scan.memory_bytes)?;
        if scan.bad_texts() > 0 {
            let mut copy = text.to_vec();
            scan.repair(&mut copy);
            repaired += scan.bad_texts();
            text = copy.into();
        }
        self.take_bytes(tenant, text.len())?;
        let read = match signal {
            Signal::Traces => {
                Read::Traces(Box::new(trace::read(&text, &self.rules(tenant, signal))?))
            }
            Signal::Metrics | Signal::RemoteWrite => {
                Read::Metrics(Box::new(self.read_metrics(tenant, &text)?))
            }
            Signal::Logs => Read::Logs(log::read(&text, &self.rules(tenant, signal))?),
        };
        Ok(Taken {
            read,
            repaired,
            admission,
        })
    }
}

/// The request in protobuf, and how many texts of it were repaired.
fn from_json(signal: Signal, body: &[u8]) -> Result<(Bytes, usize), IngestError> {
    let text = String::from_utf8_lossy(body);
    let repaired = usize::from(matches!(text, Cow::Owned(_)));
    let bytes = json::to_protobuf(signal, text.as_bytes())
        .map_err(|source| IngestError::Json { signal, source })?;
    Ok((bytes.into(), repaired))
}
