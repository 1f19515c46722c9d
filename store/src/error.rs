//! What can go wrong in the store.

use std::{io, path::PathBuf};

use crate::Table;

/// Why the store could not do what it was asked to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store was closed; nothing was written.
    #[error("the store is closed")]
    Closed,
    /// The thread that writes the write-ahead log has died; nothing was written, and nothing will be until a restart.
    #[error("the writer of the write-ahead log has died: nothing is taken until a restart")]
    WriterDied,
    /// Another process works on the same directory.
    #[error("{} is in use by another process", dir.display())]
    InUse {
        /// The store's directory.
        dir: PathBuf,
    },
    /// The write-ahead log did not take the rows; none of them is kept.
    #[error("write-ahead log refused the rows: {reason}")]
    WalWrite {
        /// The first error of the group commit.
        reason: String,
    },
    /// Memory holds as many rows as it may, because they could not be written to files; nothing was written.
    #[error("too many rows wait to be written to files")]
    Overfull,
    /// The tenant was deleted while the samples were on their way, and the numbers of their series mean nothing any more; nothing
    /// was written. Asked again for its series, the store has new numbers.
    #[error("the tenant was deleted meanwhile: its series have to be told anew")]
    Forgotten,
    /// One append has more rows than a record of the write-ahead log can hold.
    #[error("{bytes} bytes are too many for one append")]
    TooLarge {
        /// The rows' encoded size.
        bytes: usize,
    },
    /// A file of the store could not be read or written.
    #[error("{action} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A Delta log could not be read or extended.
    #[error("delta log of {table}")]
    Delta {
        /// The table of the log.
        table: Table,
        /// Why it failed.
        source: Box<deltalake::DeltaTableError>,
    },
    /// A Delta log says something that the store does not write.
    #[error("delta log of {table}: {reason}")]
    Log {
        /// The table of the log.
        table: Table,
        /// What is wrong.
        reason: String,
    },
    /// A data file could not be written or read.
    #[error("parquet file")]
    Parquet(#[from] parquet::errors::ParquetError),
    /// Columns do not have the shape that the schema says.
    #[error("record batch")]
    Arrow(#[from] arrow::error::ArrowError),
    /// A matcher's regular expression is wrong.
    #[error("regular expression {pattern:?}")]
    Regex {
        /// The expression as given.
        pattern: String,
        /// Why it is wrong.
        source: Box<regex::Error>,
    },
    /// A stored value breaks the rules of its column.
    #[error("table {table}, column {column}: {reason}")]
    Value {
        /// The table.
        table: Table,
        /// The column.
        column: &'static str,
        /// What is wrong with the value.
        reason: String,
    },
    /// A background task of the store died.
    #[error("a task of the store ended early: {reason}")]
    Task {
        /// What the runtime says of it.
        reason: String,
    },
}

impl StoreError {
    /// Whether the same call may succeed later, unchanged.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Overfull
                | Self::Forgotten
                | Self::WriterDied
                | Self::WalWrite { .. }
                | Self::Io { .. }
                | Self::Delta { .. }
                | Self::Parquet(_)
        )
    }

    /// Turns an I/O error into one that says what was tried on which path.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// Turns the death of a task into an error.
    pub(crate) fn task(error: tokio::task::JoinError) -> Self {
        Self::Task {
            reason: error.to_string(),
        }
    }

    /// Turns a Delta error into one that names the table.
    pub(crate) fn delta(table: Table) -> impl FnOnce(deltalake::DeltaTableError) -> Self {
        move |source| Self::Delta {
            table,
            source: Box::new(source),
        }
    }
}
