//! The forms that an answer to SQL may have, written piece by piece.

use arrow::{
    datatypes::{Schema, SchemaRef},
    error::ArrowError,
    ipc::writer::StreamWriter,
    json::{WriterBuilder, writer::JsonArray},
    record_batch::RecordBatch,
};
use serde_json::json;

/// The media type of an Arrow IPC stream.
pub(crate) const ARROW: &str = "application/vnd.apache.arrow.stream";

/// An answer that is being written.
pub(super) enum Form {
    /// `{"status": "success", "data": {"columns": [...], "rows": [...]}}`
    Json { begun: Vec<u8>, rows: Rows },
    /// An Arrow IPC stream.
    Arrow(Box<StreamWriter<Vec<u8>>>),
}

/// How many rows of JSON there are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    None,
    Some,
}

impl Form {
    /// The form that a client accepts.
    pub(super) fn accepted(accept: &str, schema: &SchemaRef) -> Result<Self, ArrowError> {
        if accept.contains(ARROW) {
            let writer = StreamWriter::try_new(Vec::new(), schema)?;
            return Ok(Self::Arrow(Box::new(writer)));
        }
        Ok(Self::Json {
            begun: begin(schema),
            rows: Rows::None,
        })
    }

    pub(super) fn media_type(&self) -> &'static str {
        match self {
            Self::Json { .. } => "application/json",
            Self::Arrow(_) => ARROW,
        }
    }

    /// The next piece, which holds these rows.
    pub(super) fn rows(&mut self, batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
        match self {
            Self::Json { begun, rows } => {
                let mut piece = std::mem::take(begun);
                let written = json_array(batch)?;
                // Without the brackets.
                let inner = written.get(1..written.len().saturating_sub(1));
                if let Some(inner) = inner.filter(|inner| !inner.is_empty()) {
                    if *rows == Rows::Some {
                        piece.push(b',');
                    }
                    piece.extend_from_slice(inner);
                    *rows = Rows::Some;
                }
                Ok(piece)
            }
            Self::Arrow(writer) => {
                writer.write(batch)?;
                Ok(std::mem::take(writer.get_mut()))
            }
        }
    }

    /// The last piece.
    pub(super) fn end(&mut self) -> Result<Vec<u8>, ArrowError> {
        match self {
            Self::Json { begun, .. } => {
                let mut piece = std::mem::take(begun);
                piece.extend_from_slice(b"]}}");
                Ok(piece)
            }
            Self::Arrow(writer) => {
                writer.finish()?;
                Ok(std::mem::take(writer.get_mut()))
            }
        }
    }
}

fn begin(schema: &Schema) -> Vec<u8> {
    let fields = schema.fields().iter();
    let columns = fields
        .map(|field| json!({"name": field.name(), "type": field.data_type().to_string()}))
        .collect::<serde_json::Value>();
    format!("{{\"status\":\"success\",\"data\":{{\"columns\":{columns},\"rows\":[").into_bytes()
}

fn json_array(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let options = WriterBuilder::new().with_explicit_nulls(true);
    let mut writer = options.build::<_, JsonArray>(Vec::new());
    writer.write(batch)?;
    writer.finish()?;
    Ok(writer.into_inner())
}
