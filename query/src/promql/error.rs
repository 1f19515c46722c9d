//! Why a text is no query, and where.

use std::fmt;

use super::ast::Span;

/// Why a text is no query, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Which part of the text is at fault.
    pub span: Span,
    /// Line and column of its start, both from 1; columns count bytes.
    pub place: (usize, usize),
    /// What is wrong.
    pub message: String,
}

impl ParseError {
    pub(crate) fn new(query: &str, span: Span, message: impl Into<String>) -> Self {
        Self {
            span,
            place: place(query, span.start),
            message: message.into(),
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.place;
        write!(f, "{line}:{column}: parse error: {}", self.message)
    }
}

impl std::error::Error for ParseError {}

/// Line and column of a byte, both from 1.
pub(crate) fn place(query: &str, at: usize) -> (usize, usize) {
    let before = &query.as_bytes()[..at.min(query.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count();
    let start = before.iter().rposition(|byte| *byte == b'\n');
    (
        line + 1,
        before.len() - start.map_or(0, |newline| newline + 1) + 1,
    )
}
