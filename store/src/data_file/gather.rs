//! Taking rows out of several batches.
//!
//! Maps from text to text are most of what spans and log records weigh. The texts of one row stand next to each other, so that
//! they are copied together rather than one by one.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, MapArray, RecordBatch, StringArray, StructArray},
    buffer::{Buffer, OffsetBuffer},
    compute::interleave,
    datatypes::DataType,
    error::ArrowError,
};

use super::order::Place;

/// The rows of `batches`, which have the same columns, in the order of `places`.
pub(super) fn gather(batches: &[RecordBatch], places: &[Place]) -> Result<RecordBatch, ArrowError> {
    let schema = batches[0].schema();
    let columns = (0..schema.fields().len()).map(|at| {
        let of_batches = batches.iter().map(|batch| batch.column(at));
        match schema.field(at).data_type() {
            DataType::Map(..) => maps(
                &of_batches.map(|one| one.as_map()).collect::<Vec<_>>(),
                places,
            ),
            _ => {
                let columns: Vec<&dyn Array> = of_batches.map(|one| one.as_ref()).collect();
                interleave(&columns, places)
            }
        }
    });
    let columns: Result<Vec<ArrayRef>, ArrowError> = columns.collect();
    RecordBatch::try_new(schema, columns?)
}

/// Rows of columns of maps from text to text, none of which is null.
fn maps(columns: &[&MapArray], places: &[Place]) -> Result<ArrayRef, ArrowError> {
    let sources: Vec<Source<'_>> = columns.iter().map(|one| Source::new(one)).collect();
    let (mut keys, mut values) = (Texts::default(), Texts::default());
    let mut offsets = Vec::with_capacity(places.len() + 1);
    offsets.push(0);
    for (batch, row) in places {
        let source = &sources[*batch];
        let entries = (source.rows[*row] as usize, source.rows[*row + 1] as usize);
        keys.push(source.keys, entries)?;
        values.push(source.values, entries)?;
        offsets.push(keys.len()?);
    }
    let first = columns.first().ok_or_else(|| {
        ArrowError::InvalidArgumentError("there is no column to take rows of".to_owned())
    })?;
    let DataType::Map(entry, _) = first.data_type() else {
        return Err(ArrowError::SchemaError("the column is no map".to_owned()));
    };
    let DataType::Struct(fields) = entry.data_type() else {
        return Err(ArrowError::SchemaError("the map has no entries".to_owned()));
    };
    let texts: Vec<ArrayRef> = vec![keys.finish()?, values.finish()?];
    let entries = StructArray::try_new(fields.clone(), texts, None)?;
    let offsets = OffsetBuffer::new(offsets.into());
    let map = MapArray::try_new(entry.clone(), offsets, entries, None, false)?;
    Ok(Arc::new(map))
}

/// A column that rows are taken of.
struct Source<'a> {
    rows: &'a [i32],
    keys: &'a StringArray,
    values: &'a StringArray,
}

impl<'a> Source<'a> {
    fn new(column: &'a MapArray) -> Self {
        Self {
            rows: column.value_offsets(),
            keys: column.keys().as_string(),
            values: column.values().as_string(),
        }
    }
}

/// Texts one behind the other.
#[derive(Default)]
struct Texts {
    ends: Vec<i32>,
    bytes: Vec<u8>,
}

impl Texts {
    /// Appends the texts of `from` from the first to before the last of `entries`.
    fn push(&mut self, from: &StringArray, entries: (usize, usize)) -> Result<(), ArrowError> {
        let offsets = &from.value_offsets()[entries.0..=entries.1];
        let (start, end) = (offsets[0], offsets[offsets.len() - 1]);
        let before = i32::try_from(self.bytes.len()).ok();
        let shift = before.filter(|before| before.checked_add(end - start).is_some());
        let shift = shift.ok_or(ArrowError::OffsetOverflowError(self.bytes.len()))?;
        let ends = offsets[1..].iter().map(|end| end - start + shift);
        self.ends.extend(ends);
        let bytes = &from.value_data()[start as usize..end as usize];
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn len(&self) -> Result<i32, ArrowError> {
        let len = self.ends.len();
        i32::try_from(len).map_err(|_| ArrowError::OffsetOverflowError(len))
    }

    fn finish(self) -> Result<ArrayRef, ArrowError> {
        let offsets: Vec<i32> = std::iter::once(0).chain(self.ends).collect();
        let offsets = OffsetBuffer::new(offsets.into());
        let texts = StringArray::try_new(offsets, Buffer::from_vec(self.bytes), None)?;
        Ok(Arc::new(texts))
    }
}

#[cfg(test)]
mod tests {
    use arrow::compute::interleave_record_batch;

    use super::*;
    use crate::{
        Table,
        rows::{LogColumns, NewLog, SharedAttributes},
    };
    use demarc_proto::{Attributes, Nanos};

    /// Two rows.
    fn batch(number: i64) -> RecordBatch {
        let shared = Attributes::from_iter([("host", format!("h{number}").as_str().into())]);
        let resource = SharedAttributes::from(&shared);
        let mut columns = LogColumns::with_capacity(2);
        for row in 0..2 {
            let body = format!("line {row} of 定{number}");
            let record = NewLog {
                time: Nanos(number * 10 + row),
                observed_time: Nanos(1),
                severity_number: 9,
                severity_text: "INFO",
                body: &body,
                event_name: "",
                template_id: row,
                trace_id: None,
                span_id: None,
                service: "s",
                scope: "",
                resource: &resource,
            };
            let attributes = (0..row * number).map(|at| (format!("k{at}"), format!("v{number}")));
            columns.push(&record, attributes).unwrap();
        }
        let logs = columns.finish().unwrap().unwrap();
        assert_eq!(logs.batch().schema(), Table::Logs.schema());
        logs.batch().clone()
    }

    #[test]
    fn rows_are_those_that_were_asked_for() {
        let batches: Vec<RecordBatch> = (0..3).map(batch).collect();
        let places = [(2, 0), (0, 1), (1, 1), (0, 0), (2, 1), (0, 1)];
        let gathered = gather(&batches, &places).unwrap();
        let all: Vec<&RecordBatch> = batches.iter().collect();
        assert_eq!(gathered, interleave_record_batch(&all, &places).unwrap());
        let sliced: Vec<RecordBatch> = batches.iter().map(|one| one.slice(1, 1)).collect();
        let all: Vec<&RecordBatch> = sliced.iter().collect();
        let places = [(2, 0), (0, 0), (1, 0)];
        let gathered = gather(&sliced, &places).unwrap();
        assert_eq!(gathered, interleave_record_batch(&all, &places).unwrap());
    }
}
