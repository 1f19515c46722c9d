//! PostgreSQL's types, and which of them stands for which of Arrow's.
//!
//! Source: PostgreSQL, `src/include/catalog/pg_type.dat`.

use arrow::datatypes::DataType;

/// A type, by the number that PostgreSQL gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum PgType {
    /// `boolean`
    Bool = 16,
    /// `bytea`
    Bytea = 17,
    /// `bigint`
    Int8 = 20,
    /// `smallint`
    Int2 = 21,
    /// `integer`
    Int4 = 23,
    /// `text`
    Text = 25,
    /// `json`
    Json = 114,
    /// `real`
    Float4 = 700,
    /// `double precision`
    Float8 = 701,
    /// `date`
    Date = 1082,
    /// `time without time zone`
    Time = 1083,
    /// `timestamp without time zone`
    Timestamp = 1114,
    /// `timestamp with time zone`
    TimestampTz = 1184,
    /// `numeric`
    Numeric = 1700,
}

impl PgType {
    pub(super) const ALL: [Self; 14] = [
        Self::Bool,
        Self::Bytea,
        Self::Int8,
        Self::Int2,
        Self::Int4,
        Self::Text,
        Self::Json,
        Self::Float4,
        Self::Float8,
        Self::Date,
        Self::Time,
        Self::Timestamp,
        Self::TimestampTz,
        Self::Numeric,
    ];

    /// The type of a column's values; what has no counterpart is text.
    pub fn of(data: &DataType) -> Self {
        match data {
            DataType::Boolean => Self::Bool,
            DataType::Int8 | DataType::UInt8 | DataType::Int16 => Self::Int2,
            DataType::UInt16 | DataType::Int32 => Self::Int4,
            DataType::UInt32 | DataType::Int64 => Self::Int8,
            DataType::UInt64
            | DataType::Decimal32(..)
            | DataType::Decimal64(..)
            | DataType::Decimal128(..)
            | DataType::Decimal256(..) => Self::Numeric,
            DataType::Float16 | DataType::Float32 => Self::Float4,
            DataType::Float64 => Self::Float8,
            DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_) => Self::Bytea,
            DataType::Date32 | DataType::Date64 => Self::Date,
            DataType::Time32(_) | DataType::Time64(_) => Self::Time,
            DataType::Timestamp(_, None) => Self::Timestamp,
            DataType::Timestamp(_, Some(_)) => Self::TimestampTz,
            DataType::Map(..) | DataType::Struct(_) => Self::Json,
            list if list.is_list() => Self::Json,
            DataType::Dictionary(_, values) => Self::of(values),
            _ => Self::Text,
        }
    }

    /// The number by which clients know it.
    pub fn number(self) -> u32 {
        self as u32
    }

    /// Bytes of a value; -1 where that differs from value to value.
    pub fn width(self) -> i16 {
        match self {
            Self::Bool => 1,
            Self::Int2 => 2,
            Self::Int4 | Self::Float4 | Self::Date => 4,
            Self::Int8 | Self::Float8 | Self::Time | Self::Timestamp | Self::TimestampTz => 8,
            Self::Bytea | Self::Text | Self::Json | Self::Numeric => -1,
        }
    }

    /// Its name in `pg_type`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Bytea => "bytea",
            Self::Int8 => "int8",
            Self::Int2 => "int2",
            Self::Int4 => "int4",
            Self::Text => "text",
            Self::Json => "json",
            Self::Float4 => "float4",
            Self::Float8 => "float8",
            Self::Date => "date",
            Self::Time => "time",
            Self::Timestamp => "timestamp",
            Self::TimestampTz => "timestamptz",
            Self::Numeric => "numeric",
        }
    }

    /// Its name as people write it.
    pub(super) fn shown(self) -> &'static str {
        match self {
            Self::Bool => "boolean",
            Self::Int8 => "bigint",
            Self::Int2 => "smallint",
            Self::Int4 => "integer",
            Self::Float4 => "real",
            Self::Float8 => "double precision",
            Self::Time => "time without time zone",
            Self::Timestamp => "timestamp without time zone",
            Self::TimestampTz => "timestamp with time zone",
            other => other.name(),
        }
    }

    /// The letter of its family in `pg_type`.
    pub(super) fn category(self) -> &'static str {
        match self {
            Self::Bool => "B",
            Self::Int8 | Self::Int2 | Self::Int4 => "N",
            Self::Float4 | Self::Float8 | Self::Numeric => "N",
            Self::Date | Self::Time | Self::Timestamp | Self::TimestampTz => "D",
            Self::Text => "S",
            Self::Bytea | Self::Json => "U",
        }
    }
}
