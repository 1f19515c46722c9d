//! Why rules cannot be read or evaluated.

/// Why rules cannot be read or evaluated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RulesError {
    /// The rule file is not what it should be.
    #[error("rule file: {0}")]
    File(String),
    /// A rule's query failed.
    #[error("evaluate rule")]
    Query(#[from] demarc_query::QueryError),
    /// Results could not be written.
    #[error("write results of rules")]
    Store(#[from] demarc_store::StoreError),
}
