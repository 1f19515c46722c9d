//! Why a query has no answer.

use std::time::Duration;

use datafusion::error::DataFusionError;

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The text is no query.
    #[error(transparent)]
    Parse(#[from] crate::promql::ParseError),
    /// A parameter cannot be right.
    #[error("{0}")]
    Parameter(String),
    /// The language has it, this engine does not.
    #[error("{what} is not supported yet")]
    Unsupported {
        /// What was asked for.
        what: String,
    },
    /// The query is valid, its data does not allow an answer.
    #[error("{0}")]
    Evaluation(String),
    /// The query costs more than it may.
    #[error("the query would load more than {limit} {what}; narrow its range or its selectors")]
    Limit {
        /// What it would load.
        what: &'static str,
        /// How many it may.
        limit: usize,
    },
    /// The query ran longer than it may.
    #[error("the query ran longer than {0:?}")]
    Timeout(Duration),
    /// Whoever asked went away, or the server stops.
    #[error("the query was canceled")]
    Canceled,
    /// Too many queries of the tenant wait already.
    #[error(
        "too many outstanding requests: {queued} queries of this tenant wait already; try again later"
    )]
    Busy {
        /// How many may wait.
        queued: usize,
    },
    /// All queries together hold as much memory as they may.
    #[error(
        "all queries together hold {held} of {limit} bytes (total_memory_bytes); try again later"
    )]
    Memory {
        /// What they hold.
        held: usize,
        /// What they may hold.
        limit: usize,
    },
    /// The process holds nearly as much memory as it may.
    #[error("the query was ended because memory runs short; try again later")]
    Shed,
    /// The engine is at fault.
    #[error("the query failed inside the engine; its log says where")]
    Panicked,
    /// The operating system gives no threads.
    #[error("start threads for queries")]
    Threads(#[source] std::io::Error),
    /// DataFusion could not plan or run it.
    #[error("run query")]
    Execution(#[from] DataFusionError),
    /// The store could not read.
    #[error("read store")]
    Store(#[from] demarc_store::StoreError),
}

impl QueryError {
    /// The `errorType` of the Prometheus HTTP API.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Parse(_) | Self::Parameter(_) | Self::Unsupported { .. } => "bad_data",
            Self::Timeout(_) => "timeout",
            Self::Canceled => "canceled",
            Self::Busy { .. } | Self::Memory { .. } | Self::Shed => "unavailable",
            Self::Panicked | Self::Threads(_) => "internal",
            Self::Store(demarc_store::StoreError::Regex { .. }) => "bad_data",
            Self::Execution(error) if is_callers_fault(error) => "bad_data",
            _ => "execution",
        }
    }
}

impl QueryError {
    /// Whether something is wrong here, and not with what was asked.
    pub fn is_own_fault(&self) -> bool {
        match self {
            Self::Panicked | Self::Threads(_) => true,
            Self::Store(_) => self.kind() != "bad_data",
            Self::Execution(error) => matches!(
                error.find_root(),
                DataFusionError::IoError(_)
                    | DataFusionError::ParquetError(_)
                    | DataFusionError::ObjectStore(_)
                    | DataFusionError::Internal(_)
                    | DataFusionError::External(_)
            ),
            _ => false,
        }
    }
}

/// Whether the query's text is at fault: its syntax, a column or table that is not there, a type that does not fit.
fn is_callers_fault(error: &DataFusionError) -> bool {
    let mut cause = error;
    while let DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) = cause {
        cause = inner;
    }
    matches!(
        cause,
        DataFusionError::SQL(..) | DataFusionError::Plan(_) | DataFusionError::SchemaError(..)
    )
}
