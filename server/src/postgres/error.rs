//! What a client of PostgreSQL's protocol is told when something is wrong.
//!
//! Source: PostgreSQL, "Error and Notice Message Fields"; "PostgreSQL Error Codes".

/// A fault, and whether the connection outlives it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Fault {
    ends: Ends,
    code: &'static str,
    message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Command,
    Connection,
}

impl Fault {
    /// A fault of the command, by the code that PostgreSQL gives its kind.
    pub(super) fn of_command(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            ends: Ends::Command,
            code,
            message: message.into(),
        }
    }

    /// The client does not speak as it should: there is no telling what comes next.
    pub(super) fn protocol(message: impl Into<String>) -> Self {
        Self {
            ends: Ends::Connection,
            code: "08P01",
            message: message.into(),
        }
    }

    /// The connection cannot begin.
    pub(super) fn refused(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            ends: Ends::Connection,
            code,
            message: message.into(),
        }
    }

    pub(super) fn is_fatal(&self) -> bool {
        self.ends == Ends::Connection
    }

    pub(super) fn severity(&self) -> &'static str {
        match self.ends {
            Ends::Command => "ERROR",
            Ends::Connection => "FATAL",
        }
    }

    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }
}
