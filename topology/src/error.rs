//! Why the topology cannot be opened, or kept.

/// Why the topology cannot be opened, or kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TopologyError {
    /// The responsibility file is not what it should be.
    #[error("responsibility file: {0}")]
    Responsibility(String),
    /// The store could not read or write.
    #[error("keep topology")]
    Store(#[from] demarc_store::StoreError),
}
