//! Why a whole request is refused. Bad rows are no errors: see [`crate::Receipt`].

use std::fmt;

/// The three kinds of telemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Metric points.
    Metrics,
    /// Log records.
    Logs,
}

impl Signal {
    /// The word in OTLP paths.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
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
    /// The rows could not be made durable.
    #[error("append to store")]
    Store(#[from] demarc_store::StoreError),
}

impl IngestError {
    /// Whether the sender should send the same bytes again.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_retryable())
    }
}
