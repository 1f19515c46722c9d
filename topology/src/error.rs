//! Why the topology cannot be opened, or kept, or told something.

/// Why the topology cannot be opened, or kept, or told something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TopologyError {
    /// The responsibility file is not what it should be.
    #[error("responsibility file: {0}")]
    Responsibility(String),
    /// A table of mapping rules is not what it should be.
    #[error("mapping rules: {0}")]
    Mapping(String),
    /// An inventory is not what it should be.
    #[error("import: {0}")]
    Import(String),
    /// The store could not read or write.
    #[error("keep topology")]
    Store(#[from] demarc_store::StoreError),
}
