//! SQL: one statement that reads, over one tenant's tables and views.
//!
//! text -> `parse` (one statement, and one that reads) -> DataFusion's plan -> `isolation` (every scan is of this tenant) -> rows
mod isolation;
mod parse;
mod postgres;
mod view;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::{
    dataframe::DataFrame, execution::context::SQLOptions, prelude::SessionContext,
    sql::parser::Statement as Parsed,
};
use demarc_store::Table;
use tokio::sync::OnceCell;

pub use parse::{Dialect, split_statements};
pub use postgres::{PgType, SETTINGS};

use crate::{QueryError, reading::Reading};

/// A table or view that SQL may name.
#[derive(Clone, Debug)]
pub struct Relation {
    /// Its name, in the schema [`SCHEMA`].
    pub name: String,
    /// What it is.
    pub kind: RelationKind,
    /// Its columns.
    pub columns: SchemaRef,
}

/// Whether rows are stored or made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelationKind {
    /// They are stored.
    Table,
    /// They are made of others.
    View,
}

impl RelationKind {
    /// As `information_schema.tables` and Flight SQL say it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Table => "TABLE",
            Self::View => "VIEW",
        }
    }
}

/// The schema of all tables and views.
pub const SCHEMA: &str = "public";

/// A session over the tables and views of the only tenant that is read.
pub(crate) async fn session(
    reading: &Reading,
    dialect: Dialect,
) -> Result<SessionContext, QueryError> {
    let snapshot = &reading.snapshots[0];
    let tenant = snapshot.tenant().as_str();
    let context = view::with_views(&reading.session(snapshot)?, tenant)?;
    view::remove_unbounded(&context);
    if dialect == Dialect::Postgres {
        postgres::add(&context, tenant, relations(&context).await?)?;
    }
    let rule = isolation::OneTenant::new(snapshot.tenant().clone());
    context.add_analyzer_rule(Arc::new(rule));
    Ok(context)
}

/// The plan of a statement, ready to run.
pub(crate) async fn plan(
    context: &SessionContext,
    (text, dialect): (&str, Dialect),
) -> Result<DataFrame, QueryError> {
    let mut statement = parse::statement(text, dialect)?;
    if dialect == Dialect::Postgres {
        postgres::rewrite(&mut statement);
    }
    let statement = Parsed::Statement(Box::new(statement));
    let plan = context.state().statement_to_plan(statement).await?;
    let read_only = SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false);
    read_only.verify_plan(&plan)?;
    Ok(DataFrame::new(context.state(), plan))
}

/// All tables, then all views. They are the same for every tenant.
pub(crate) async fn relations(context: &SessionContext) -> Result<Vec<Relation>, QueryError> {
    static RELATIONS: OnceCell<Vec<Relation>> = OnceCell::const_new();
    let found = RELATIONS.get_or_try_init(|| described(context)).await?;
    Ok(found.clone())
}

async fn described(context: &SessionContext) -> Result<Vec<Relation>, QueryError> {
    let tables = Table::ALL.into_iter().map(Table::name);
    let tables = tables.map(|name| (name, RelationKind::Table));
    let views = view::names().map(|name| (name, RelationKind::View));
    let mut relations = Vec::new();
    for (name, kind) in tables.chain(views) {
        relations.push(Relation {
            name: name.to_owned(),
            kind,
            columns: context.table_provider(name).await?.schema(),
        });
    }
    Ok(relations)
}
