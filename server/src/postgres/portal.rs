//! Prepared statements, and statements with their parameters and their rows.

use arrow::{
    array::ArrayRef,
    datatypes::{Field, Schema, SchemaRef},
    record_batch::{RecordBatch, RecordBatchOptions},
};
use demarc_query::{Dialect, Frame, Statement};

use super::{
    command::Command,
    error::Fault,
    message::{Outgoing, text},
    parameter::Expected,
    value::{Column, Format, Kind},
};

/// A statement that waits for its parameters.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    pub(super) command: Command,
    pub(super) text: String,
    pub(super) parameters: Vec<Expected>,
    /// The columns of its answer; `None` of a command.
    pub(super) schema: Option<SchemaRef>,
}

/// A statement with its parameters.
#[derive(Debug)]
pub(super) struct Portal {
    pub(super) prepared: Prepared,
    pub(super) row: Option<RecordBatch>,
    formats: Vec<Format>,
    /// Rows that were not sent yet, once it has run.
    pub(super) rest: Option<Rest>,
}

/// Rows that were not sent yet.
#[derive(Debug)]
pub(super) struct Rest {
    frame: Frame,
    batch: usize,
    row: usize,
}

impl Portal {
    pub(super) fn new(
        prepared: Prepared,
        formats: &[Format],
        values: &[Option<Vec<u8>>],
        results: Vec<Format>,
    ) -> Result<Self, Fault> {
        let (wanted, given) = (prepared.parameters.len(), values.len());
        if wanted != given {
            return Err(Fault::of_command(
                "08P01",
                format!("{given} parameters: the statement has {wanted}"),
            ));
        }
        let mut columns = Vec::new();
        for (at, (expected, value)) in prepared.parameters.iter().zip(values).enumerate() {
            let format = format_of(formats, at);
            columns.push(expected.column(at + 1, format, value.as_deref())?);
        }
        Ok(Self {
            row: (!columns.is_empty()).then(|| row(columns)).transpose()?,
            prepared,
            formats: results,
            rest: None,
        })
    }

    /// The statement of a query without parameters, whose values all come as text.
    pub(super) fn simple(text: String, command: Command) -> Self {
        Self {
            prepared: Prepared {
                command,
                text,
                parameters: Vec::new(),
                schema: None,
            },
            row: None,
            formats: Vec::new(),
            rest: None,
        }
    }

    pub(super) fn statement(&self) -> Statement {
        Statement {
            text: self.prepared.text.clone(),
            dialect: Dialect::Postgres,
            parameters: self.row.clone(),
        }
    }

    pub(super) fn ran(&mut self, frame: Frame) {
        self.rest = Some(Rest {
            frame,
            batch: 0,
            row: 0,
        });
    }

    /// Describes the columns of its answer.
    pub(super) fn describe(&self, schema: &Schema, out: &mut Outgoing) {
        describe(schema, &self.formats, out);
    }

    /// The next batch of rows, at most `max` of them, ready to be written; `None` after the last.
    pub(super) fn next(&mut self, max: usize) -> Result<Option<Rows>, Fault> {
        let (schema, formats) = (self.prepared.schema.clone(), &self.formats);
        let Some(rest) = self.rest.as_mut() else {
            return Ok(None);
        };
        let Some(batch) = rest.frame.batches.get(rest.batch) else {
            return Ok(None);
        };
        let count = max.min(batch.num_rows() - rest.row);
        let part = batch.slice(rest.row, count);
        rest.row += count;
        if rest.row == batch.num_rows() {
            (rest.batch, rest.row) = (rest.batch + 1, 0);
        }
        let told = schema.unwrap_or_else(|| part.schema());
        Rows::new(&part, &told, formats).map(Some)
    }

    /// Whether all rows were sent.
    pub(super) fn is_done(&self) -> bool {
        let left = self.rest.as_ref();
        left.is_none_or(|rest| rest.batch >= rest.frame.batches.len())
    }
}

/// The format of one of many: all in text, all in the only one named, or each in its own.
fn format_of(formats: &[Format], at: usize) -> Format {
    match formats {
        [] => Format::Text,
        [one] => *one,
        many => many.get(at).copied().unwrap_or_default(),
    }
}

fn row(columns: Vec<ArrayRef>) -> Result<RecordBatch, Fault> {
    let fields = columns.iter().enumerate();
    let fields = fields
        .map(|(at, column)| Field::new(format!("${}", at + 1), column.data_type().clone(), true));
    let schema = Schema::new(fields.collect::<Vec<Field>>());
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    RecordBatch::try_new_with_options(schema.into(), columns, &options)
        .map_err(|error| Fault::of_command("XX000", error.to_string()))
}

/// Describes columns whose values come in these formats.
pub(super) fn describe(schema: &Schema, formats: &[Format], out: &mut Outgoing) {
    out.message(b'T', |out| {
        let count = u16::try_from(schema.fields().len()).unwrap_or(u16::MAX);
        out.extend_from_slice(&count.to_be_bytes());
        for (at, field) in schema.fields().iter().enumerate() {
            let kind = Kind::of(field.data_type());
            text(out, field.name());
            // Of no table, and so of none of its columns.
            out.extend_from_slice(&[0; 6]);
            out.extend_from_slice(&kind.number().to_be_bytes());
            out.extend_from_slice(&kind.width().to_be_bytes());
            out.extend_from_slice(&(-1_i32).to_be_bytes());
            let format = format_of(formats, at) == Format::Binary;
            out.extend_from_slice(&i16::from(format).to_be_bytes());
        }
    });
}

/// Rows that are ready to be written.
#[derive(Debug)]
pub(super) struct Rows {
    columns: Vec<Column>,
    pub(super) count: usize,
}

impl Rows {
    /// `told` is what the client was told of the columns.
    fn new(batch: &RecordBatch, told: &Schema, formats: &[Format]) -> Result<Self, Fault> {
        let schema = batch.schema();
        let mut columns = Vec::new();
        for (at, values) in batch.columns().iter().enumerate() {
            let field = &schema.fields()[at];
            let kind = Kind::of(told.fields().get(at).unwrap_or(field).data_type());
            let column = Column::new((field, values), kind, format_of(formats, at));
            columns.push(column.map_err(|error| {
                Fault::of_command("22000", format!("column {}: {error}", field.name()))
            })?);
        }
        Ok(Self {
            columns,
            count: batch.num_rows(),
        })
    }

    pub(super) fn write(&self, out: &mut Outgoing, row: usize) {
        out.message(b'D', |out| {
            let count = u16::try_from(self.columns.len()).unwrap_or(u16::MAX);
            out.extend_from_slice(&count.to_be_bytes());
            self.columns
                .iter()
                .for_each(|column| column.write(out, row));
        });
    }
}
