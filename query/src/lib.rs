//! Answers PromQL, SQL and trace lookups over one tenant's [`demarc_store::Snapshot`].
//!
//! text -> parse -> plan -> DataFusion scans of head and files -> [`Answer`] | [`Frame`] | spans
//!
//! Invariants: never writes; every entry point takes a tenant and is bound by [`QueryConfig`]; a query sees one snapshot.
//!
//! Reading order: [`Engine`], `table` (a snapshot's table as a DataFusion table), `promql` (the evaluator), `sql`.

mod config;
mod engine;
mod error;
pub mod promql;
pub mod promql_script;
mod session;
mod table;

pub use config::QueryConfig;
pub use engine::{Engine, Frame, Metadata, RangeParams};
pub use error::QueryError;
pub use promql::{Answer, Point, PointValue, Value};
