//! Answers PromQL, SQL and trace lookups over one tenant's [`demarc_store::Snapshot`].
//!
//! PromQL -> parse -> evaluator over memory and files -> [`Answer`]; SQL and ids -> DataFusion -> [`Frame`] | spans
//!
//! Invariants: never writes; every entry point takes a tenant and is bound by [`QueryConfig`]; a query sees one snapshot per
//! tenant; it runs on threads of its own and stops when its time is over or nobody waits for it.
//!
//! Reading order: [`Engine`], [`Reader`] (who asks), `workers`, `crew` and `budget` (when, and how much), `reading` (what a query
//! sees), `table` (a snapshot's table as a DataFusion table), `promql` (the
//! evaluator), `results` (what is kept of answers).

mod budget;
mod config;
mod crew;
mod engine;
mod error;
mod memory;
mod metric;
pub mod promql;
pub mod promql_script;
mod reader;
mod reading;
mod results;
mod session;
mod sql;
mod table;
mod tenants;
mod workers;

pub use config::{QueryConfig, TenantLimits};
pub use engine::Engine;
pub use error::QueryError;
pub use promql::{Answer, Point, PointValue, Value};
pub use reader::{
    Census, Counting, Description, ExemplarPoint, ExemplarSeries, Found, Frame, Metadata, Options,
    RangeParams, Reader, Reply, Reuse, RowStream, Source, Statement, Stats, Where, selects,
};
pub use sql::{
    Dialect, PgType, Relation, RelationKind, SCHEMA, SETTINGS as POSTGRES_SETTINGS,
    split_statements,
};
pub use tenants::Tenants;
