//! Why a whole request is refused. Bad rows are no errors: see [`crate::Receipt`].

use std::{fmt, io, time::Duration};

use crate::WireError;

/// The kinds of telemetry, by the protocol that brings them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Metric points.
    Metrics,
    /// Log records.
    Logs,
    /// Samples, histograms and exemplars by Prometheus remote-write.
    RemoteWrite,
}

impl Signal {
    /// The word in OTLP paths, and in the label `signal` of metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
            Self::RemoteWrite => "remote_write",
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a request is refused as a whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IngestError {
    /// Not protobuf of the expected message.
    #[error("decode {signal} payload as protobuf")]
    Protobuf {
        /// What was expected.
        signal: Signal,
        /// Where it breaks.
        source: prost::DecodeError,
    },
    /// Not OTLP JSON.
    #[error("decode {signal} payload as OTLP JSON")]
    Json {
        /// What was expected.
        signal: Signal,
        /// Where it breaks.
        source: serde_json::Error,
    },
    /// Not the protobuf message that is expected.
    #[error("decode payload as protobuf")]
    Wire(#[from] WireError),
    /// The compressed bytes are broken, or claim to be what they cannot be.
    #[error("decompress payload")]
    Compression {
        /// Where it breaks.
        source: io::Error,
    },
    /// The body is larger than it may be, before or after decompression.
    #[error("body: more than {limit_bytes} bytes (ingest.max_body_bytes); send smaller batches")]
    TooLarge {
        /// The most that is accepted.
        limit_bytes: usize,
    },
    /// The tenant sends faster than it may.
    #[error("more than {per_second} {what} per second (ingest.limits); send again later")]
    RateLimited {
        /// What is limited.
        what: &'static str,
        /// The limit.
        per_second: u64,
        /// How long to wait.
        retry_after: Duration,
    },
    /// There are as many tenants as there may be.
    #[error("tenant is the first beyond {limit} (ingest.max_tenants)")]
    TooManyTenants {
        /// The most that are accepted.
        limit: usize,
    },
    /// Decoded, the request alone would take more memory than all may.
    #[error(
        "the request would take {bytes} bytes of memory, at most {limit_bytes} (ingest.max_inflight_bytes); send smaller batches"
    )]
    TooMuchMemory {
        /// What it would take.
        bytes: usize,
        /// The most that all requests may take.
        limit_bytes: usize,
    },
    /// More requests are being worked on than memory allows.
    #[error(
        "{limit_bytes} bytes of requests are being worked on (ingest.max_inflight_bytes); send again later"
    )]
    Busy {
        /// The most that is worked on at once.
        limit_bytes: usize,
    },
    /// The thread that decoded the request died.
    #[error("decoding ended early: {reason}")]
    Task {
        /// What the runtime says of it.
        reason: String,
    },
    /// The rows could not be made durable.
    #[error("append to store")]
    Store(#[from] demarc_store::StoreError),
}

impl IngestError {
    /// Whether the sender should send the same bytes again.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_retryable(),
            Self::RateLimited { .. } | Self::Busy { .. } => true,
            _ => false,
        }
    }

    /// How long the sender should wait before it sends the same bytes again; `None` when it should not.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } => Some(*retry_after),
            error if error.is_retryable() => Some(Duration::from_secs(1)),
            _ => None,
        }
    }
}
