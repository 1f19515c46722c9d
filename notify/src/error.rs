//! Why a message was not delivered.

/// Why a message was not delivered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotifyError {
    /// The receiver could not be reached.
    #[error("post to receiver {receiver:?}")]
    Unreachable {
        /// The receiver.
        receiver: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The receiver answered, but took nothing.
    #[error("receiver {receiver:?} answered {status}")]
    Refused {
        /// The receiver.
        receiver: String,
        /// What it answered.
        status: u16,
    },
}

impl NotifyError {
    /// Whether the same message may be taken later. Source: Alertmanager, "Webhook receiver" (5xx and 429 are tried again).
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => *status >= 500 || *status == 429,
        }
    }
}
