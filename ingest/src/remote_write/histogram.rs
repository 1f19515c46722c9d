//! Native histograms as remote-write sends them: both versions write them alike.
//!
//! Source: Prometheus, "Native Histograms", and `Validate` in `model/histogram`.

use demarc_proto::Millis;
use demarc_store::{Buckets, CUSTOM_BUCKETS, CounterReset, Histogram};

use crate::{
    WireError,
    receipt::Refusal,
    wire::{Value, Wire, zigzag},
};

/// The finest resolution that is stored; finer histograms are made coarser.
const MAX_SCHEMA: i32 = 8;
const MIN_SCHEMA: i32 = -4;
/// The finest resolution that the format reserves numbers for.
const MAX_RESERVED_SCHEMA: i32 = 52;
/// Most buckets of one sign, empty ones between them included. SDKs send 160 by default.
pub(crate) const MAX_BUCKETS: usize = 2_000;

/// The fields as they stand in the message.
#[derive(Debug, Default)]
struct Raw {
    histogram: Histogram,
    is_float: bool,
    time: i64,
    start: i64,
    positive: RawBuckets,
    negative: RawBuckets,
}

#[derive(Debug, Default)]
struct RawBuckets {
    /// Gap since the span before, and length.
    spans: Vec<(i32, u32)>,
    deltas: Vec<i64>,
    counts: Vec<f64>,
}

/// Reads a histogram and its time. The inner result says why it is refused.
pub(super) fn read(bytes: &[u8]) -> Result<Result<(i64, Histogram), Refusal>, WireError> {
    let mut raw = Raw::default();
    let mut message = Wire::new(bytes);
    while let Some((field, value)) = message.next()? {
        raw.field(field, value)?;
    }
    Ok(raw.check())
}

/// Memory that a histogram takes, about.
pub(super) fn memory_bytes(histogram: &Result<(i64, Histogram), Refusal>) -> usize {
    let numbers = histogram.as_ref().map_or(0, |(_, histogram)| {
        histogram.positive.counts.len()
            + histogram.negative.counts.len()
            + histogram.custom_bounds.len()
    });
    // Once here, once more as a row of the store.
    2 * (256 + 8 * numbers)
}

/// A number that differs between different histograms, but for accidents.
pub(super) fn digest(histogram: &Histogram) -> u64 {
    let mut bytes = Vec::with_capacity(64);
    let mut push = |bits: u64| bytes.extend_from_slice(&bits.to_le_bytes());
    push(histogram.count.to_bits());
    push(histogram.sum.to_bits());
    push(histogram.zero_count.to_bits());
    push(u64::from(histogram.schema.cast_unsigned()));
    for buckets in [&histogram.positive, &histogram.negative] {
        push(u64::from(buckets.offset.cast_unsigned()));
        buckets
            .counts
            .iter()
            .for_each(|count| push(count.to_bits()));
    }
    xxhash_rust::xxh3::xxh3_64(&bytes)
}

impl Raw {
    fn field(&mut self, field: u32, value: Value<'_>) -> Result<(), WireError> {
        let histogram = &mut self.histogram;
        match field {
            1 => histogram.count = value.varint(1)? as f64,
            2 => (histogram.count, self.is_float) = (value.double(2)?, true),
            3 => histogram.sum = value.double(3)?,
            4 => histogram.schema = value.sint32(4)?,
            5 => histogram.zero_threshold = value.double(5)?,
            6 => histogram.zero_count = value.varint(6)? as f64,
            7 => histogram.zero_count = value.double(7)?,
            8 => self.negative.spans.push(span(value.bytes(8)?)?),
            9 => self.negative.deltas(9, value)?,
            10 => self.negative.counts(10, value)?,
            11 => self.positive.spans.push(span(value.bytes(11)?)?),
            12 => self.positive.deltas(12, value)?,
            13 => self.positive.counts(13, value)?,
            14 => {
                histogram.reset = match value.varint(14)? {
                    1 => CounterReset::Reset,
                    2 => CounterReset::NotReset,
                    3 => CounterReset::Gauge,
                    _ => CounterReset::Unknown,
                }
            }
            15 => self.time = value.int64(15)?,
            16 => value.each_double(16, |bound| histogram.custom_bounds.push(bound))?,
            17 => self.start = value.int64(17)?,
            _ => {}
        }
        Ok(())
    }

    fn check(self) -> Result<(i64, Histogram), Refusal> {
        let mut histogram = self.histogram;
        let shift = shift(histogram.schema)?;
        histogram.positive = self.positive.dense(self.is_float)?;
        histogram.negative = self.negative.dense(self.is_float)?;
        if histogram.schema == CUSTOM_BUCKETS {
            check_custom(&histogram)?;
        } else if !histogram.custom_bounds.is_empty() {
            let sentence = format!(
                "custom_values with schema {}: only with -53",
                histogram.schema
            );
            return Err(Refusal::new("bad_buckets", sentence));
        }
        check_counts(&histogram, self.is_float)?;
        if shift > 0 {
            histogram.schema -= shift;
            histogram.positive = coarser(&histogram.positive, shift);
            histogram.negative = coarser(&histogram.negative, shift);
        }
        let is_before = self.start != 0 && self.start < self.time;
        histogram.start = is_before.then_some(Millis(self.start));
        Ok((self.time, histogram))
    }
}

/// By how much a schema is lowered before it is stored.
fn shift(schema: i32) -> Result<i32, Refusal> {
    match schema {
        CUSTOM_BUCKETS | MIN_SCHEMA..=MAX_SCHEMA => Ok(0),
        9..=MAX_RESERVED_SCHEMA => Ok(schema - MAX_SCHEMA),
        _ => {
            let sentence = format!(
                "histogram schema {schema}: must be {MIN_SCHEMA} to {MAX_RESERVED_SCHEMA}, or {CUSTOM_BUCKETS}"
            );
            Err(Refusal::new("bad_scale", sentence))
        }
    }
}

/// Merges 2^shift buckets into one. Bucket `i` ends at base^i, so that bucket 1 .. 2^shift become bucket 1.
pub(crate) fn coarser(buckets: &Buckets, shift: i32) -> Buckets {
    if buckets.counts.is_empty() {
        return Buckets::default();
    }
    let merged = |index: i64| ((index - 1) >> shift) + 1;
    let first = merged(i64::from(buckets.offset));
    let mut counts: Vec<f64> = Vec::new();
    for (at, count) in buckets.counts.iter().enumerate() {
        let slot = merged(i64::from(buckets.offset) + at as i64) - first;
        let slot = usize::try_from(slot).expect("indexes rise");
        if counts.len() <= slot {
            counts.resize(slot + 1, 0.0);
        }
        counts[slot] += count;
    }
    let offset = i32::try_from(first).expect("merging brings indexes nearer to zero");
    Buckets { offset, counts }
}

fn check_custom(histogram: &Histogram) -> Result<(), Refusal> {
    let bounds = &histogram.custom_bounds;
    let is_rising = bounds.windows(2).all(|pair| pair[0] < pair[1]);
    let are_numbers = bounds
        .iter()
        .all(|bound| !bound.is_nan() && *bound != f64::INFINITY);
    if !is_rising || !are_numbers || bounds.len() > MAX_BUCKETS {
        let sentence = format!(
            "custom_values: {} of them; must be at most {MAX_BUCKETS} rising numbers below +Inf",
            bounds.len()
        );
        return Err(Refusal::new("bad_buckets", sentence));
    }
    let positive = &histogram.positive;
    let end = i64::from(positive.offset) + positive.counts.len() as i64;
    let fits =
        positive.counts.is_empty() || (positive.offset >= 0 && end <= bounds.len() as i64 + 1);
    if !fits || !histogram.negative.counts.is_empty() || histogram.zero_count != 0.0 {
        let sentence = format!(
            "buckets up to {end} with {} custom_values: must have no more than one beyond the last, none below zero, none at zero",
            bounds.len()
        );
        return Err(Refusal::new("bad_buckets", sentence));
    }
    Ok(())
}

/// The buckets must add up to the count; with a sum that is no number, some observations may be in none.
fn check_counts(histogram: &Histogram, is_float: bool) -> Result<(), Refusal> {
    let all = || {
        let positive = histogram.positive.counts.iter();
        positive.chain(&histogram.negative.counts)
    };
    let numbers = [histogram.count, histogram.zero_count];
    if all()
        .chain(&numbers)
        .any(|count| count.is_nan() || *count < 0.0)
    {
        let sentence = "histogram: every count must be 0 or more".to_owned();
        return Err(Refusal::new("bad_buckets", sentence));
    }
    if histogram.zero_threshold.is_nan() || histogram.zero_threshold < 0.0 {
        let sentence = format!(
            "zero_threshold {}: must be 0 or more",
            histogram.zero_threshold
        );
        return Err(Refusal::new("bad_buckets", sentence));
    }
    let sum = all().sum::<f64>() + histogram.zero_count;
    let fits = match (is_float, histogram.sum.is_nan()) {
        (true, _) => true,
        (false, true) => sum <= histogram.count,
        (false, false) => sum == histogram.count,
    };
    if fits {
        return Ok(());
    }
    let sentence = format!("count {}: the buckets add up to {sum}", histogram.count);
    Err(Refusal::new("bad_buckets", sentence))
}

impl RawBuckets {
    fn deltas(&mut self, field: u32, value: Value<'_>) -> Result<(), WireError> {
        value.each_varint(field, |delta| self.deltas.push(zigzag(delta)))
    }

    fn counts(&mut self, field: u32, value: Value<'_>) -> Result<(), WireError> {
        value.each_double(field, |count| self.counts.push(count))
    }

    /// One count for each index from the first to the last.
    fn dense(self, is_float: bool) -> Result<Buckets, Refusal> {
        let given = if is_float {
            self.counts.len()
        } else {
            self.deltas.len()
        };
        let spanned: u64 = self
            .spans
            .iter()
            .map(|(_, length)| u64::from(*length))
            .sum();
        if spanned != given as u64 {
            let sentence = format!("spans cover {spanned} buckets: {given} are given");
            return Err(Refusal::new("bad_buckets", sentence));
        }
        let mut counts = self.counts;
        if !is_float {
            counts = sums(&self.deltas);
        }
        let mut counts = counts.into_iter();
        let mut buckets = Buckets::default();
        for (at, (gap, length)) in self.spans.iter().enumerate() {
            if at == 0 {
                buckets.offset = *gap;
            } else {
                pad(&mut buckets, *gap)?;
            }
            let length = usize::try_from(*length).unwrap_or(usize::MAX);
            buckets.counts.extend(counts.by_ref().take(length));
        }
        if buckets.counts.len() > MAX_BUCKETS
            || buckets.offset.checked_add(MAX_BUCKETS as i32).is_none()
        {
            return Err(too_many(buckets.counts.len()));
        }
        Ok(buckets)
    }
}

fn pad(buckets: &mut Buckets, gap: i32) -> Result<(), Refusal> {
    let gap = usize::try_from(gap).map_err(|_| {
        let sentence = format!("span offset {gap}: only the first may be below 0");
        Refusal::new("bad_buckets", sentence)
    })?;
    let len = buckets.counts.len().saturating_add(gap);
    if len > MAX_BUCKETS {
        return Err(too_many(len));
    }
    buckets.counts.resize(len, 0.0);
    Ok(())
}

fn too_many(count: usize) -> Refusal {
    let sentence = format!("{count} buckets: at most {MAX_BUCKETS}, with indexes of 32 bits");
    Refusal::new("bad_buckets", sentence)
}

/// Counts out of the differences between them. A negative one stays, for the check to find.
fn sums(deltas: &[i64]) -> Vec<f64> {
    let mut count = 0_i64;
    deltas
        .iter()
        .map(|delta| {
            count = count.saturating_add(*delta);
            count as f64
        })
        .collect()
}

fn span(bytes: &[u8]) -> Result<(i32, u32), WireError> {
    let (mut offset, mut length) = (0, 0);
    let mut message = Wire::new(bytes);
    while let Some((field, value)) = message.next()? {
        match field {
            1 => offset = value.sint32(1)?,
            2 => length = value.varint(2)? as u32,
            _ => {}
        }
    }
    Ok((offset, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_between_spans_is_filled_with_empty_buckets() {
        let raw = RawBuckets {
            spans: vec![(-1, 2), (2, 1)],
            deltas: vec![1, 1, -1],
            counts: Vec::new(),
        };
        let expected = Buckets {
            offset: -1,
            counts: vec![1.0, 2.0, 0.0, 0.0, 1.0],
        };
        assert_eq!(raw.dense(false).unwrap(), expected);
    }

    #[test]
    fn a_gap_of_two_billion_is_refused_before_it_is_allocated() {
        let raw = RawBuckets {
            spans: vec![(0, 1), (i32::MAX, 1)],
            deltas: vec![1, 0],
            counts: Vec::new(),
        };
        assert_eq!(raw.dense(false).unwrap_err().reason, "bad_buckets");
    }

    #[test]
    fn coarser_buckets_end_where_the_finer_ones_did() {
        let fine = Buckets {
            offset: -1,
            counts: vec![1.0, 2.0, 4.0, 8.0, 16.0],
        };
        // Buckets -1, 0 become 0; 1, 2 become 1; 3 becomes 2.
        let expected = Buckets {
            offset: 0,
            counts: vec![3.0, 12.0, 16.0],
        };
        assert_eq!(coarser(&fine, 1), expected);
    }
}
