//! Writes the incident report of one reader, in Chinese or English, as one HTML file without anything beside it.
//!
//! [`Incident`](demarc_incident::Incident) cut to its [`Audience`](demarc_incident::Audience) -> `page` -> HTML
//!
//! Invariants: same input, same bytes; nothing beyond what the audience may see; every fact with the query that shows it.
//!
//! Reading order: [`Language`], `words` (all fixed texts), `page` (the model), `render`.

mod error;
mod language;
mod page;
mod render;
mod words;

pub use error::ReportError;
pub use language::Language;
pub use render::{ReportConfig, render};
