//! Builds columns out of rows: one function per type of column.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, BinaryBuilder, Float64Array, Float64Builder, Int32Array, Int64Array, ListBuilder,
        StringBuilder,
    },
    datatypes::{DataType, Field},
    error::ArrowError,
};
use demarc_proto::{Attributes, Labels};

use super::text_map::TextMapBuilder;

pub(super) fn text<'a, R>(rows: &'a [R], of: impl Fn(&'a R) -> &'a str) -> ArrayRef {
    optional_text(rows, |row| Some(of(row)))
}

pub(super) fn optional_text<'a, R>(
    rows: &'a [R],
    of: impl Fn(&'a R) -> Option<&'a str>,
) -> ArrayRef {
    let mut column = StringBuilder::with_capacity(rows.len(), 16 * rows.len());
    for row in rows {
        column.append_option(of(row));
    }
    Arc::new(column.finish())
}

pub(super) fn bytes<'a, R>(rows: &'a [R], of: impl Fn(&'a R) -> &'a [u8]) -> ArrayRef {
    optional_bytes(rows, |row| Some(of(row)))
}

pub(super) fn optional_bytes<'a, R>(
    rows: &'a [R],
    of: impl Fn(&'a R) -> Option<&'a [u8]>,
) -> ArrayRef {
    let mut column = BinaryBuilder::with_capacity(rows.len(), 16 * rows.len());
    for row in rows {
        column.append_option(of(row));
    }
    Arc::new(column.finish())
}

pub(super) fn int32<R>(rows: &[R], of: impl Fn(&R) -> i32) -> ArrayRef {
    Arc::new(Int32Array::from_iter_values(rows.iter().map(of)))
}

pub(super) fn int64<R>(rows: &[R], of: impl Fn(&R) -> i64) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(rows.iter().map(of)))
}

pub(super) fn optional_int64<R>(rows: &[R], of: impl Fn(&R) -> Option<i64>) -> ArrayRef {
    Arc::new(rows.iter().map(of).collect::<Int64Array>())
}

pub(super) fn float64<R>(rows: &[R], of: impl Fn(&R) -> f64) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values(rows.iter().map(of)))
}

pub(super) fn float64_list<'a, R>(rows: &'a [R], of: impl Fn(&'a R) -> &'a [f64]) -> ArrayRef {
    optional_float64_list(rows, |row| Some(of(row)))
}

pub(super) fn optional_float64_list<'a, R>(
    rows: &'a [R],
    of: impl Fn(&'a R) -> Option<&'a [f64]>,
) -> ArrayRef {
    let element = Field::new("element", DataType::Float64, false);
    let mut column = ListBuilder::new(Float64Builder::new()).with_field(element);
    for row in rows {
        let numbers = of(row);
        column.values().append_slice(numbers.unwrap_or_default());
        column.append(numbers.is_some());
    }
    Arc::new(column.finish())
}

pub(super) fn attributes<'a, R>(
    rows: &'a [R],
    of: impl Fn(&'a R) -> &'a Attributes,
) -> Result<ArrayRef, ArrowError> {
    let pairs = |row| of(row).iter().map(|(key, value)| (key, value.text()));
    text_map(rows, pairs)
}

pub(super) fn labels<'a, R>(
    rows: &'a [R],
    of: impl Fn(&'a R) -> &'a Labels,
) -> Result<ArrayRef, ArrowError> {
    text_map(rows, |row| of(row).iter())
}

fn text_map<'a, R, I, V>(rows: &'a [R], pairs: impl Fn(&'a R) -> I) -> Result<ArrayRef, ArrowError>
where
    I: Iterator<Item = (&'a str, V)>,
    V: AsRef<str>,
{
    let mut column = TextMapBuilder::with_capacity(rows.len());
    for row in rows {
        column.push(pairs(row))?;
    }
    Ok(Arc::new(column.finish()?))
}
