//! What clients of PostgreSQL expect to find besides tables: its catalog, its functions, its settings, its ways of writing.
//!
//! As much as psql, drivers and Grafana ask for. Where a question has no counterpart here, the answer is empty.
//!
//! Source: PostgreSQL, "System Catalogs"; "System Information Functions".

mod catalog;
mod function;
mod kind;
mod rewrite;
mod setting;

use std::sync::Arc;

use datafusion::{common::plan_datafusion_err, prelude::SessionContext};

pub use kind::PgType;
pub use setting::SETTINGS;

pub(super) use rewrite::rewrite;

use super::Relation;
use crate::QueryError;

/// The schema of PostgreSQL's catalog.
pub(super) const PG_CATALOG: &str = "pg_catalog";
/// The number of the first relation. Source: PostgreSQL, `FirstNormalObjectId`.
const FIRST_OID: i64 = 16_384;

/// Tables and views, each with its number.
type Numbered = Arc<[(i64, Relation)]>;

/// Adds the catalog and the functions to a session over the tables and views of `tenant`.
pub(super) fn add(
    context: &SessionContext,
    tenant: &str,
    relations: Vec<Relation>,
) -> Result<(), QueryError> {
    let numbered: Numbered = (FIRST_OID..).zip(relations).collect();
    let database = context
        .catalog(tenant)
        .ok_or_else(|| plan_datafusion_err!("no catalog {tenant}"))?;
    let catalog = catalog::PgCatalog::new(tenant, Arc::clone(&numbered));
    database.register_schema(PG_CATALOG, Arc::new(catalog))?;
    for function in function::all(tenant, &numbered) {
        context.register_udf(function);
    }
    Ok(())
}
