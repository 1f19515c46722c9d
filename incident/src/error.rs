//! Why there is no answer.

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IncidentError {
    /// The question names something that is not there.
    #[error("{0}")]
    Question(String),
    /// Evidence could not be queried.
    #[error("query evidence")]
    Query(#[from] demarc_query::QueryError),
    /// Incidents could not be kept or read.
    #[error("keep incidents")]
    Registry(#[from] sqlx::Error),
    /// A kept document is not what it should be.
    #[error("read kept document")]
    Document(#[from] serde_json::Error),
}
