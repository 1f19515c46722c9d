//! Samples in a record: raw columns, for a batch of them is small and there are many.
//!
//! ```text
//! points = count:u32 flags:u8 (series_id:[u8; 16])* (time:i64)* (value:u64)* (start:i64)*
//! ```
//!
//! Values are the bits of the floating-point number. Starts are there when bit 0 of `flags` is set; the least number stands
//! for none. When bit 1 is set, there is one time, that of all samples.

use std::sync::Arc;

use arrow::{
    array::{BinaryArray, Float64Array, Int64Array, RecordBatch, StringArray},
    buffer::{Buffer, OffsetBuffer},
};

use super::body::{take, take_slice};
use crate::{
    SeriesIndex, Table,
    rows::{Point, Samples},
};

const HAS_STARTS: u8 = 1;
const ONE_TIME: u8 = 2;
const NO_START: i64 = i64::MIN;

/// Encodes sorted `samples`.
pub(super) fn encode(samples: &Samples, index: &SeriesIndex) -> Vec<u8> {
    let points = samples.points();
    let count = u32::try_from(points.len()).expect("fewer than 2^32 samples in memory");
    let width = if samples.has_starts() { 40 } else { 32 };
    let mut out = Vec::with_capacity(5 + width * points.len());
    out.extend_from_slice(&count.to_le_bytes());
    let one_time = points.first().map(|point| point.time);
    let one_time = one_time.filter(|time| points.iter().all(|point| point.time == *time));
    let starts = if samples.has_starts() { HAS_STARTS } else { 0 };
    out.push(starts | if one_time.is_some() { ONE_TIME } else { 0 });
    let reader = index.reader();
    for point in points {
        out.extend_from_slice(&reader.id(point.series).to_bytes());
    }
    drop(reader);
    match one_time {
        Some(time) => out.extend_from_slice(&time.to_le_bytes()),
        None => push(&mut out, points, |point| point.time),
    }
    push(&mut out, points, |point| {
        point.value.to_bits().cast_signed()
    });
    if samples.has_starts() {
        push(&mut out, points, |point| {
            samples.start_of(point).unwrap_or(NO_START)
        });
    }
    out
}

fn push(out: &mut Vec<u8>, points: &[Point], number: impl Fn(&Point) -> i64) {
    for point in points {
        out.extend_from_slice(&number(point).to_le_bytes());
    }
}

/// The rows of the `samples` table that [`encode`] wrote, without the names of their metrics.
pub(super) fn decode(bytes: &[u8]) -> Result<RecordBatch, String> {
    let mut rest = bytes;
    let count = u32::from_le_bytes(take(&mut rest)?) as usize;
    let [flags] = take(&mut rest)?;
    let ids = take_slice(&mut rest, 16 * count)?;
    let times: Int64Array = if flags & ONE_TIME == 0 {
        Int64Array::from_iter_values(numbers(take_slice(&mut rest, 8 * count)?))
    } else {
        Int64Array::from_value(i64::from_le_bytes(take(&mut rest)?), count)
    };
    let values = numbers(take_slice(&mut rest, 8 * count)?);
    let values = values.map(|bits| f64::from_bits(bits.cast_unsigned()));
    let starts: Int64Array = if flags & HAS_STARTS == 0 {
        Int64Array::new_null(count)
    } else {
        let starts = numbers(take_slice(&mut rest, 8 * count)?);
        starts
            .map(|start| (start != NO_START).then_some(start))
            .collect()
    };
    let ids = BinaryArray::try_new(
        OffsetBuffer::from_repeated_length(16, count),
        Buffer::from(ids),
        None,
    );
    let columns: Vec<arrow::array::ArrayRef> = vec![
        Arc::new(ids.map_err(|error| error.to_string())?),
        Arc::new(StringArray::from_iter_values(std::iter::repeat_n(
            "", count,
        ))),
        Arc::new(times),
        Arc::new(Float64Array::from_iter_values(values)),
        Arc::new(starts),
    ];
    RecordBatch::try_new(Table::Samples.schema(), columns).map_err(|error| error.to_string())
}

fn numbers(bytes: &[u8]) -> impl ExactSizeIterator<Item = i64> {
    let words = bytes.chunks_exact(8);
    words.map(|word| i64::from_le_bytes(word.try_into().expect("chunks have eight bytes")))
}

#[cfg(test)]
mod tests {
    use demarc_proto::{Labels, Millis, SeriesId, TenantId};

    use super::*;
    use crate::{MetricKind, SeriesEntry, rows::samples_of_batch};

    fn index_of_two() -> SeriesIndex {
        let index = SeriesIndex::default();
        for name in ["a", "b"] {
            let labels = Labels::from_pairs([("__name__", name)]);
            index.intern(SeriesEntry {
                id: SeriesId::of(&TenantId::default(), &labels),
                labels,
                kind: MetricKind::Unknown,
                unit: String::new(),
                help: String::new(),
            });
        }
        index
    }

    #[test]
    fn samples_round_trip_with_all_their_bits() {
        let index = index_of_two();
        let [a, b] = [0, 1].map(crate::rows::SeriesRef);
        let mut samples = Samples::default();
        let values = [
            f64::from_bits(0x7ff0_0000_0000_0002),
            -0.0,
            f64::MIN_POSITIVE / 2.0,
        ];
        for (at, value) in values.into_iter().enumerate() {
            samples.push(a, Millis(at as i64), value);
            samples.push_started(b, Millis(-5), Millis(at as i64), value);
        }
        samples.sort();
        let batch = decode(&encode(&samples, &index)).unwrap();
        let read = samples_of_batch(&index, &batch).unwrap();
        let row = |samples: &Samples, point: &Point| {
            let start = samples.start_of(point);
            (point.series, point.time, point.value.to_bits(), start)
        };
        let rows = |samples: &Samples| -> Vec<_> {
            samples
                .points()
                .iter()
                .map(|point| row(samples, point))
                .collect()
        };
        assert_eq!(rows(&read), rows(&samples));
    }

    #[test]
    fn one_time_is_written_once() {
        let index = index_of_two();
        let mut samples = Samples::default();
        for series in [0, 1] {
            samples.push(crate::rows::SeriesRef(series), Millis(7), 1.0);
        }
        let bytes = encode(&samples, &index);
        assert_eq!(bytes.len(), 5 + 2 * 16 + 8 + 2 * 8);
        let batch = decode(&bytes).unwrap();
        let read = samples_of_batch(&index, &batch).unwrap();
        assert!(read.points().iter().all(|point| point.time == 7));
    }

    #[test]
    fn bytes_that_end_early_are_refused() {
        let index = index_of_two();
        let mut samples = Samples::default();
        samples.push(crate::rows::SeriesRef(0), Millis(1), 1.0);
        let bytes = encode(&samples, &index);
        for len in 0..bytes.len() {
            assert!(decode(&bytes[..len]).is_err());
        }
    }
}
