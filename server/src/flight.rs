//! Arrow Flight SQL: what `POST /api/v1/sql` answers, for ADBC, JDBC and ODBC drivers.
//!
//! Nothing is kept between calls: a ticket holds the statement, the handle of a prepared statement holds its text and its
//! parameters. So no client can leave anything behind, and none can reach what another prepared.
//!
//! Source: Apache Arrow, "Arrow Flight SQL".

mod metadata;
mod prepared;

use std::{pin::Pin, sync::Arc};

use arrow::{
    datatypes::{Schema, SchemaRef},
    record_batch::RecordBatch,
};
use arrow_flight::{
    Action, FlightDescriptor, FlightEndpoint, FlightInfo, Ticket,
    encode::FlightDataEncoderBuilder,
    error::FlightError,
    flight_service_server::{FlightService, FlightServiceServer},
    sql::{
        ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest,
        ActionCreatePreparedStatementResult, CommandGetCatalogs, CommandGetDbSchemas,
        CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables, CommandPreparedStatementQuery,
        CommandStatementQuery, DoPutPreparedStatementResult, ProstMessageExt, SqlInfo,
        TicketStatementQuery,
        server::{FlightSqlService, PeekableFlightDataStream},
    },
};
use axum::Router;
use demarc_query::{Dialect, Options, Reader, Statement};
use futures::{Stream, TryStreamExt, stream};
use prost::Message;
use tonic::{Request, Response, Status, metadata::MetadataMap, service::Routes};

use self::prepared::Prepared;
use crate::{api::sql, app::App, status, tenant};

type Rows = Pin<Box<dyn Stream<Item = Result<arrow_flight::FlightData, Status>> + Send>>;
type Info = Result<Response<FlightInfo>, Status>;

/// The service, as routes of a gRPC socket.
pub(crate) fn router(app: Arc<App>) -> Router {
    let service = FlightServiceServer::new(Flight { app });
    Routes::new(service).into_axum_router()
}

struct Flight {
    app: Arc<App>,
}

impl Flight {
    fn reader(&self, metadata: &MetadataMap) -> Result<Reader<'_>, Status> {
        let named = metadata.get(tenant::HEADER);
        let tenant = tenant::of(named.map(|value| value.as_bytes()));
        let tenant = tenant.map_err(Status::invalid_argument)?;
        let reader = self.app.engine.reader(tenant.into(), Options::default());
        reader.map_err(|error| status::rpc(&error))
    }

    /// The columns of a statement's answer, and where to fetch it.
    async fn promise(
        &self,
        request: &Request<FlightDescriptor>,
        text: &str,
        ticket: impl ProstMessageExt,
    ) -> Info {
        let reader = self.reader(request.metadata())?;
        let described = reader.describe(text, Dialect::Standard, Vec::new()).await;
        let described = described.map_err(|error| status::rpc(&error))?;
        info(request, &described.schema, ticket)
    }

    async fn answer(
        &self,
        request: &Request<Ticket>,
        statement: Statement,
    ) -> Result<Response<Rows>, Status> {
        let reader = self.reader(request.metadata())?;
        let found = reader.rows(statement).await;
        let found = found.map_err(|error| status::rpc(&error))?;
        let schema = Arc::clone(found.schema());
        Ok(rows(
            schema,
            sql::batches(found, |error| FlightError::from(status::rpc(&error))),
        ))
    }
}

/// An answer that is fetched from this server in one piece.
fn info(
    request: &Request<FlightDescriptor>,
    schema: &Schema,
    ticket: impl ProstMessageExt,
) -> Info {
    let ticket = Ticket::new(ticket.as_any().encode_to_vec());
    let info = FlightInfo::new()
        .try_with_schema(schema)
        .map_err(|error| Status::internal(error.to_string()))?
        .with_endpoint(FlightEndpoint::new().with_ticket(ticket))
        .with_descriptor(request.get_ref().clone());
    Ok(Response::new(info))
}

/// Batches as they come; an error among them is the status of the call.
fn rows(
    schema: SchemaRef,
    batches: impl Stream<Item = Result<RecordBatch, FlightError>> + Send + 'static,
) -> Response<Rows> {
    let encoded = FlightDataEncoderBuilder::new()
        .with_schema(schema)
        .build(batches);
    Response::new(Box::pin(encoded.map_err(Status::from)))
}

/// An answer that is there.
fn row(batch: RecordBatch) -> Response<Rows> {
    rows(batch.schema(), stream::iter([Ok(batch)]))
}

#[tonic::async_trait]
impl FlightSqlService for Flight {
    type FlightService = Self;

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Info {
        let ticket = TicketStatementQuery {
            statement_handle: query.query.clone().into(),
        };
        self.promise(&request, &query.query, ticket).await
    }

    async fn do_get_statement(
        &self,
        ticket: TicketStatementQuery,
        request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        let text = String::from_utf8(ticket.statement_handle.into());
        let text = text.map_err(|_| Status::invalid_argument("ticket: must be UTF-8"))?;
        let statement = Statement {
            text,
            ..Statement::default()
        };
        self.answer(&request, statement).await
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let reader = self.reader(request.metadata())?;
        let described = reader
            .describe(&query.query, Dialect::Standard, Vec::new())
            .await;
        prepared::created(
            query.query,
            &described.map_err(|error| status::rpc(&error))?,
        )
    }

    async fn do_put_prepared_statement_query(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        let statement = Prepared::of_handle(&query.prepared_statement_handle)?;
        let bound = statement.bound(request.into_inner()).await?;
        Ok(DoPutPreparedStatementResult {
            prepared_statement_handle: Some(bound.handle()),
        })
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Info {
        let statement = Prepared::of_handle(&query.prepared_statement_handle)?;
        self.promise(&request, &statement.text, query).await
    }

    async fn do_get_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        let statement = Prepared::of_handle(&query.prepared_statement_handle)?;
        self.answer(&request, statement.statement()?).await
    }

    async fn do_action_close_prepared_statement(
        &self,
        _: ActionClosePreparedStatementRequest,
        _: Request<Action>,
    ) -> Result<(), Status> {
        Ok(())
    }

    async fn get_flight_info_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Info {
        info(&request, &query.into_builder().schema(), query)
    }

    async fn do_get_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        let reader = self.reader(request.metadata())?;
        metadata::catalogs(&reader, query).map(row)
    }

    async fn get_flight_info_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Info {
        info(&request, &query.clone().into_builder().schema(), query)
    }

    async fn do_get_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        let reader = self.reader(request.metadata())?;
        metadata::schemas(&reader, query).map(row)
    }

    async fn get_flight_info_tables(
        &self,
        query: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Info {
        info(&request, &query.clone().into_builder().schema(), query)
    }

    async fn do_get_tables(
        &self,
        query: CommandGetTables,
        request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        let reader = self.reader(request.metadata())?;
        metadata::tables(&reader, query).await.map(row)
    }

    async fn get_flight_info_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Info {
        info(&request, &query.into_builder().schema(), query)
    }

    async fn do_get_table_types(
        &self,
        query: CommandGetTableTypes,
        _: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        metadata::table_types(query).map(row)
    }

    async fn get_flight_info_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Info {
        let known = metadata::server()?;
        info(
            &request,
            &query.clone().into_builder(&known).schema(),
            query,
        )
    }

    async fn do_get_sql_info(
        &self,
        query: CommandGetSqlInfo,
        _: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        metadata::server_info(query).map(row)
    }

    async fn register_sql_info(&self, _: i32, _: &SqlInfo) {}
}
