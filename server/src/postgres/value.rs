//! Arrow's values as PostgreSQL's: which type each column has, and how its values are written.
//!
//! Source: PostgreSQL, `pg_type.dat` for the numbers of types; the `send` and `out` functions of each type.

use arrow::{
    array::{Array, ArrayRef, AsArray, StringArray},
    compute::cast,
    datatypes::{
        DataType, Date32Type, FieldRef, Float64Type, Int64Type, Time64MicrosecondType, TimeUnit,
        TimestampMicrosecondType,
    },
    error::ArrowError,
    json::writer::{EncoderOptions, make_encoder},
    util::display::{ArrayFormatter, FormatOptions},
};

pub(super) use demarc_query::PgType as Kind;

use super::text;

/// How a value travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Format {
    #[default]
    Text,
    Binary,
}

/// The Arrow type from which values are written.
fn written_from(kind: Kind) -> DataType {
    match kind {
        Kind::Bool => DataType::Boolean,
        Kind::Bytea => DataType::Binary,
        Kind::Int2 | Kind::Int4 | Kind::Int8 => DataType::Int64,
        Kind::Text | Kind::Json | Kind::Numeric => DataType::Utf8,
        Kind::Float4 | Kind::Float8 => DataType::Float64,
        Kind::Date => DataType::Date32,
        Kind::Time => DataType::Time64(TimeUnit::Microsecond),
        Kind::Timestamp | Kind::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, None),
    }
}

/// A column of a batch, ready to be written value by value.
#[derive(Debug)]
pub(super) struct Column {
    kind: Kind,
    format: Format,
    values: ArrayRef,
}

impl Column {
    /// `kind` is what the client was told; values of another type become that.
    pub(super) fn new(
        (field, values): (&FieldRef, &ArrayRef),
        kind: Kind,
        format: Format,
    ) -> Result<Self, ArrowError> {
        let values = match kind {
            Kind::Json => json(field, values)?,
            Kind::Text | Kind::Numeric if !values.data_type().is_string() => shown(values)?,
            // Without its zone: a zone is for people, the time is the same.
            Kind::TimestampTz => {
                let unit = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
                cast(&cast(values, &unit)?, &written_from(kind))?
            }
            kind => cast(values, &written_from(kind))?,
        };
        let values = cast(&values, &written_from(kind))?;
        Ok(Self {
            kind,
            format,
            values,
        })
    }

    /// Writes the length of a value and the value; a length of -1 is NULL.
    pub(super) fn write(&self, out: &mut Vec<u8>, row: usize) {
        if self.values.is_null(row) {
            out.extend_from_slice(&(-1_i32).to_be_bytes());
            return;
        }
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        match self.format {
            Format::Text => self.write_text(out, row),
            Format::Binary => self.write_binary(out, row),
        }
        let len = i32::try_from(out.len() - start - 4).unwrap_or(i32::MAX);
        out[start..start + 4].copy_from_slice(&len.to_be_bytes());
    }

    fn write_text(&self, out: &mut Vec<u8>, row: usize) {
        match self.kind {
            Kind::Bool => out.push(if self.values.as_boolean().value(row) {
                b't'
            } else {
                b'f'
            }),
            Kind::Int2 | Kind::Int4 | Kind::Int8 => {
                out.extend_from_slice(self.int(row).to_string().as_bytes());
            }
            Kind::Float4 => text::float(out, f64::from(self.float(row) as f32), Kind::Float4),
            Kind::Float8 => text::float(out, self.float(row), Kind::Float8),
            Kind::Text | Kind::Json | Kind::Numeric => {
                out.extend_from_slice(self.values.as_string::<i32>().value(row).as_bytes());
            }
            Kind::Bytea => text::bytes(out, self.values.as_binary::<i32>().value(row)),
            Kind::Date => text::date(out, self.date(row)),
            Kind::Time => text::time(out, self.time(row)),
            Kind::Timestamp => text::timestamp(out, self.micros(row)),
            Kind::TimestampTz => {
                text::timestamp(out, self.micros(row));
                out.extend_from_slice(b"+00");
            }
        }
    }

    fn write_binary(&self, out: &mut Vec<u8>, row: usize) {
        match self.kind {
            Kind::Bool => out.push(u8::from(self.values.as_boolean().value(row))),
            Kind::Int2 => out.extend_from_slice(&(self.int(row) as i16).to_be_bytes()),
            Kind::Int4 => out.extend_from_slice(&(self.int(row) as i32).to_be_bytes()),
            Kind::Int8 => out.extend_from_slice(&self.int(row).to_be_bytes()),
            Kind::Float4 => out.extend_from_slice(&(self.float(row) as f32).to_be_bytes()),
            Kind::Float8 => out.extend_from_slice(&self.float(row).to_be_bytes()),
            Kind::Text | Kind::Json => self.write_text(out, row),
            Kind::Numeric => {
                super::numeric::write(out, self.values.as_string::<i32>().value(row));
            }
            Kind::Bytea => out.extend_from_slice(self.values.as_binary::<i32>().value(row)),
            Kind::Date => {
                let days = self.date(row).saturating_sub(EPOCH_DAYS);
                out.extend_from_slice(&days.to_be_bytes());
            }
            Kind::Time => out.extend_from_slice(&self.time(row).to_be_bytes()),
            Kind::Timestamp | Kind::TimestampTz => {
                let micros = self.micros(row).saturating_sub(EPOCH_MICROS);
                out.extend_from_slice(&micros.to_be_bytes());
            }
        }
    }

    fn int(&self, row: usize) -> i64 {
        self.values.as_primitive::<Int64Type>().value(row)
    }

    fn float(&self, row: usize) -> f64 {
        self.values.as_primitive::<Float64Type>().value(row)
    }

    fn date(&self, row: usize) -> i32 {
        self.values.as_primitive::<Date32Type>().value(row)
    }

    fn time(&self, row: usize) -> i64 {
        self.values
            .as_primitive::<Time64MicrosecondType>()
            .value(row)
    }

    fn micros(&self, row: usize) -> i64 {
        let values = self.values.as_primitive::<TimestampMicrosecondType>();
        values.value(row)
    }
}

/// PostgreSQL's time begins in 2000.
pub(super) const EPOCH_DAYS: i32 = 10_957;
/// The same in microseconds.
pub(super) const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Values as text that people read.
fn shown(values: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(values, &options)?;
    let shown = (0..values.len()).map(|row| {
        let is_there = values.is_valid(row) && values.data_type() != &DataType::Null;
        is_there.then(|| formatter.value(row).to_string())
    });
    Ok(std::sync::Arc::new(shown.collect::<StringArray>()))
}

fn json(field: &FieldRef, values: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let options = EncoderOptions::default();
    let mut encoder = make_encoder(field, values, &options)?;
    let mut written = Vec::with_capacity(values.len());
    for row in 0..values.len() {
        if values.is_null(row) {
            written.push(None);
            continue;
        }
        let mut out = Vec::new();
        encoder.encode(row, &mut out);
        written.push(Some(String::from_utf8_lossy(&out).into_owned()));
    }
    Ok(std::sync::Arc::new(StringArray::from(written)))
}
