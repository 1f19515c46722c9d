//! Prepared statements, whole in their handles.

use std::io::Cursor;

use arrow::{
    datatypes::{DataType, Field, Schema},
    error::ArrowError,
    ipc::{reader::StreamReader, writer::IpcWriteOptions, writer::StreamWriter},
    record_batch::RecordBatch,
};
use arrow_flight::{
    IpcMessage, SchemaAsIpc,
    decode::FlightRecordBatchStream,
    error::FlightError,
    sql::{ActionCreatePreparedStatementResult, server::PeekableFlightDataStream},
};
use axum::body::Bytes;
use demarc_query::{Description, Statement};
use futures::TryStreamExt;
use prost::Message;
use tonic::Status;

/// Most bytes of parameters.
const MAX_PARAMETER_BYTES: usize = 1 << 20;

/// What a handle holds.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Prepared {
    #[prost(string, tag = "1")]
    pub(super) text: String,
    /// One row as an Arrow IPC stream; empty before anything was bound.
    #[prost(bytes = "bytes", tag = "2")]
    parameters: Bytes,
}

impl Prepared {
    pub(super) fn of_handle(handle: &[u8]) -> Result<Self, Status> {
        let fault = |_| Status::invalid_argument("handle: this server did not make it");
        Self::decode(handle).map_err(fault)
    }

    pub(super) fn handle(&self) -> Bytes {
        self.encode_to_vec().into()
    }

    /// The statement with the only row of `stream` as its parameters.
    pub(super) async fn bound(self, stream: PeekableFlightDataStream) -> Result<Self, Status> {
        let stream = stream.map_err(FlightError::from);
        let mut batches = FlightRecordBatchStream::new_from_flight_data(stream);
        let mut row: Option<RecordBatch> = None;
        while let Some(batch) = batches.try_next().await? {
            if batch.num_rows() == 0 {
                continue;
            }
            let is_one = row.is_none() && batch.num_rows() == 1;
            if !is_one || batch.get_array_memory_size() > MAX_PARAMETER_BYTES {
                return Err(Status::invalid_argument(format!(
                    "parameters: must be one row of at most {MAX_PARAMETER_BYTES} bytes"
                )));
            }
            row = Some(batch);
        }
        let parameters = match row {
            Some(row) => written(&row).map_err(|error| Status::internal(error.to_string()))?,
            None => Bytes::new(),
        };
        Ok(Self { parameters, ..self })
    }

    pub(super) fn statement(self) -> Result<Statement, Status> {
        let parameters = match self.parameters.is_empty() {
            true => None,
            false => Some(read(&self.parameters).map_err(|error| {
                Status::invalid_argument(format!("handle: parameters: {error}"))
            })?),
        };
        Ok(Statement {
            text: self.text,
            parameters,
            ..Statement::default()
        })
    }
}

/// What the client is told of a new statement.
pub(super) fn created(
    text: String,
    described: &Description,
) -> Result<ActionCreatePreparedStatementResult, Status> {
    let fields = described.parameters.iter().enumerate().map(|(at, known)| {
        // Whatever may be any is asked for as text.
        let kind = known.clone().unwrap_or(DataType::Utf8);
        Field::new(format!("${}", at + 1), kind, true)
    });
    let parameters = Schema::new(fields.collect::<Vec<Field>>());
    let schema = |schema: &Schema| {
        let options = IpcWriteOptions::default();
        let message = IpcMessage::try_from(SchemaAsIpc::new(schema, &options));
        let message = message.map_err(|error| Status::internal(error.to_string()))?;
        Ok::<Bytes, Status>(message.0)
    };
    let statement = Prepared {
        text,
        parameters: Bytes::new(),
    };
    Ok(ActionCreatePreparedStatementResult {
        prepared_statement_handle: statement.handle(),
        dataset_schema: schema(&described.schema)?,
        parameter_schema: schema(&parameters)?,
    })
}

fn written(row: &RecordBatch) -> Result<Bytes, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), &row.schema())?;
    writer.write(row)?;
    Ok(writer.into_inner()?.into())
}

fn read(parameters: &Bytes) -> Result<RecordBatch, ArrowError> {
    let mut reader = StreamReader::try_new(Cursor::new(parameters.clone()), None)?;
    let missing = || ArrowError::IpcError("no row".to_owned());
    reader.next().ok_or_else(missing)?
}
