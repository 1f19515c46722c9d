//! What there is to ask for: catalogs, schemas, tables, and what the server is.

use arrow::record_batch::RecordBatch;
use arrow_flight::sql::{
    CommandGetCatalogs, CommandGetDbSchemas, CommandGetSqlInfo, CommandGetTableTypes,
    CommandGetTables, SqlInfo, SqlSupportedTransaction,
    metadata::{SqlInfoData, SqlInfoDataBuilder},
};
use demarc_query::{Reader, RelationKind, SCHEMA};
use tonic::Status;

use crate::status;

type Answer = Result<RecordBatch, Status>;

/// The only catalog bears the tenant's name.
fn catalog(reader: &Reader<'_>) -> String {
    reader.tenants().to_string()
}

pub(super) fn catalogs(reader: &Reader<'_>, query: CommandGetCatalogs) -> Answer {
    let mut builder = query.into_builder();
    builder.append(catalog(reader));
    builder.build().map_err(Status::from)
}

pub(super) fn schemas(reader: &Reader<'_>, query: CommandGetDbSchemas) -> Answer {
    let mut builder = query.into_builder();
    for schema in [SCHEMA, "information_schema"] {
        builder.append(catalog(reader), schema);
    }
    builder.build().map_err(Status::from)
}

pub(super) async fn tables(reader: &Reader<'_>, query: CommandGetTables) -> Answer {
    let relations = reader.relations().await;
    let mut builder = query.into_builder();
    for one in relations.map_err(|error| status::rpc(&error))? {
        let (catalog, kind) = (catalog(reader), one.kind.name());
        builder
            .append(catalog, SCHEMA, one.name, kind, &one.columns)
            .map_err(Status::from)?;
    }
    builder.build().map_err(Status::from)
}

pub(super) fn table_types(query: CommandGetTableTypes) -> Answer {
    let mut builder = query.into_builder();
    for kind in [RelationKind::Table, RelationKind::View] {
        builder.append(kind.name());
    }
    builder.build().map_err(Status::from)
}

pub(super) fn server_info(query: CommandGetSqlInfo) -> Answer {
    let known = server()?;
    query.into_builder(&known).build().map_err(Status::from)
}

/// What the server is and can.
pub(super) fn server() -> Result<SqlInfoData, Status> {
    let mut builder = SqlInfoDataBuilder::new();
    builder.append(SqlInfo::FlightSqlServerName, "Demarc");
    builder.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    builder.append(SqlInfo::FlightSqlServerArrowVersion, arrow::ARROW_VERSION);
    builder.append(SqlInfo::FlightSqlServerReadOnly, true);
    builder.append(SqlInfo::FlightSqlServerSql, true);
    builder.append(SqlInfo::FlightSqlServerSubstrait, false);
    let none = SqlSupportedTransaction::None as i32;
    builder.append(SqlInfo::FlightSqlServerTransaction, none);
    builder.append(SqlInfo::FlightSqlServerCancel, false);
    builder.append(SqlInfo::FlightSqlServerBulkIngestion, false);
    builder.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    builder.append(SqlInfo::SqlDdlCatalog, false);
    builder.append(SqlInfo::SqlDdlSchema, false);
    builder.append(SqlInfo::SqlDdlTable, false);
    builder.append(SqlInfo::SqlCatalogTerm, "tenant");
    builder.append(SqlInfo::SqlSchemaTerm, "schema");
    builder.build().map_err(Status::from)
}
