//! Why there is no report.

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The page could not be written.
    #[error("write report")]
    Page(#[from] askama::Error),
}
