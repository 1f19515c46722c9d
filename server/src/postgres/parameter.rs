//! Parameters as clients send them, as Arrow's values.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, Float32Array, Float64Array, Int16Array,
        Int32Array, Int64Array, StringArray, TimestampMicrosecondArray, new_null_array,
    },
    compute::{CastOptions, cast_with_options},
    datatypes::{DataType, TimeUnit},
};

use super::{
    error::Fault,
    numeric,
    value::{EPOCH_DAYS, EPOCH_MICROS, Format, Kind},
};

/// The type `numeric`.
const NUMERIC: u32 = Kind::Numeric as u32;

/// What is known of a parameter before its value comes.
#[derive(Clone, Debug, Default)]
pub(super) struct Expected {
    /// The type that the client named; 0 where it did not.
    pub(super) number: u32,
    /// The type that the statement asks for.
    pub(super) inferred: Option<DataType>,
}

impl Expected {
    /// Of a type that the client named.
    pub(super) fn named(number: u32) -> Self {
        Self {
            number,
            inferred: None,
        }
    }

    /// The number by which the client is told of its type.
    pub(super) fn shown(&self) -> u32 {
        match (self.number, &self.inferred) {
            (0, Some(kind)) => Kind::of(kind).number(),
            (0, None) => Kind::Text.number(),
            (number, _) => number,
        }
    }

    /// The type of its values; `None` of those that are taken as text.
    pub(super) fn kind(&self) -> Option<DataType> {
        Some(match self.shown() {
            16 => DataType::Boolean,
            17 => DataType::Binary,
            20 => DataType::Int64,
            21 => DataType::Int16,
            23 | 26 => DataType::Int32,
            700 => DataType::Float32,
            701 | NUMERIC => DataType::Float64,
            1082 => DataType::Date32,
            1114 | 1184 => DataType::Timestamp(TimeUnit::Microsecond, None),
            _ => return None,
        })
    }

    /// One value, `None` for NULL, as a column of one row.
    pub(super) fn column(
        &self,
        place: usize,
        format: Format,
        value: Option<&[u8]>,
    ) -> Result<ArrayRef, Fault> {
        let fault = |what: &str| Fault::of_command("22P03", format!("parameter ${place}: {what}"));
        let kind = self.kind();
        let Some(bytes) = value else {
            return Ok(new_null_array(&kind.unwrap_or(DataType::Utf8), 1));
        };
        let text = || std::str::from_utf8(bytes).map_err(|_| fault("must be UTF-8"));
        match kind {
            None => Ok(Arc::new(StringArray::from(vec![text()?]))),
            Some(_) if format == Format::Binary && self.shown() == NUMERIC => {
                let value = numeric::read(bytes).ok_or_else(|| fault("is no numeric"))?;
                Ok(Arc::new(Float64Array::from(vec![value])))
            }
            Some(kind) if format == Format::Binary => {
                binary(&kind, bytes).ok_or_else(|| fault("not the bytes of its type"))
            }
            Some(DataType::Binary) => {
                let hex = text()?.strip_prefix("\\x").unwrap_or_default();
                let bytes = const_hex::decode(hex);
                let bytes = bytes.map_err(|_| fault("must be \\x and hexadecimal"))?;
                Ok(Arc::new(BinaryArray::from(vec![bytes.as_slice()])))
            }
            Some(kind) => {
                let strict = CastOptions {
                    safe: false,
                    ..CastOptions::default()
                };
                let text = StringArray::from(vec![text()?]);
                cast_with_options(&text, &kind, &strict).map_err(|error| fault(&error.to_string()))
            }
        }
    }
}

fn binary(kind: &DataType, bytes: &[u8]) -> Option<ArrayRef> {
    Some(match kind {
        DataType::Boolean => Arc::new(BooleanArray::from(vec![*bytes.first()? != 0])),
        DataType::Binary => Arc::new(BinaryArray::from(vec![bytes])),
        DataType::Int16 => Arc::new(Int16Array::from(vec![i16::from_be_bytes(
            bytes.try_into().ok()?,
        )])),
        DataType::Int32 => Arc::new(Int32Array::from(vec![i32::from_be_bytes(
            bytes.try_into().ok()?,
        )])),
        DataType::Int64 => Arc::new(Int64Array::from(vec![i64::from_be_bytes(
            bytes.try_into().ok()?,
        )])),
        DataType::Float32 => Arc::new(Float32Array::from(vec![f32::from_be_bytes(
            bytes.try_into().ok()?,
        )])),
        DataType::Float64 => Arc::new(Float64Array::from(vec![f64::from_be_bytes(
            bytes.try_into().ok()?,
        )])),
        DataType::Date32 => {
            let days = i32::from_be_bytes(bytes.try_into().ok()?);
            Arc::new(Date32Array::from(vec![days.checked_add(EPOCH_DAYS)?]))
        }
        DataType::Timestamp(..) => {
            let micros = i64::from_be_bytes(bytes.try_into().ok()?);
            let micros = micros.checked_add(EPOCH_MICROS)?;
            Arc::new(TimestampMicrosecondArray::from(vec![micros]))
        }
        _ => return None,
    })
}
