//! How long things took, in classic and in exponential buckets, with an example for each bucket.

use std::collections::BTreeMap;

use demarc_proto::{Nanos, SpanId, TraceId};
use demarc_store::{Buckets, Histogram, SpanView};

/// Upper bounds of the classic buckets, in seconds.
pub(super) const BOUNDS: [f64; 16] = [
    0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 8.192,
    16.384, 32.768, 65.536,
];

/// Resolution of the exponential buckets: eight to a doubling, so that a bound is at most 9 % off. Source: Tempo's default
/// bucket factor of 1.1.
const SCHEMA: i32 = 3;

/// The span that a duration was measured by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Trace {
    trace_id: TraceId,
    span_id: SpanId,
    end: Nanos,
}

impl Trace {
    pub(crate) fn of(span: SpanView<'_>) -> Self {
        Self {
            trace_id: span.trace_id(),
            span_id: span.span_id(),
            end: Nanos(span.start().0.saturating_add(span.duration_ns())),
        }
    }
}

/// One duration and the span that it belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Example {
    pub(super) seconds: f64,
    trace: Trace,
}

/// Durations since the start of the process.
#[derive(Clone, Debug, Default)]
pub(super) struct Latency {
    /// Durations up to each bound.
    pub(super) buckets: [f64; BOUNDS.len()],
    pub(super) count: f64,
    pub(super) sum: f64,
    zero: f64,
    exponential: BTreeMap<i32, f64>,
    /// The newest duration of each classic bucket since the last time that they were taken.
    examples: BTreeMap<usize, Example>,
}

impl Latency {
    pub(super) fn observe(&mut self, duration_ns: i64, trace: Trace) {
        let seconds = duration_ns.max(0) as f64 / 1e9;
        for (bucket, bound) in self.buckets.iter_mut().zip(BOUNDS) {
            if seconds <= bound {
                *bucket += 1.0;
            }
        }
        self.count += 1.0;
        self.sum += seconds;
        match index(seconds) {
            Some(index) => *self.exponential.entry(index).or_default() += 1.0,
            None => self.zero += 1.0,
        }
        let bucket = BOUNDS.partition_point(|bound| *bound < seconds);
        self.examples.insert(bucket, Example { seconds, trace });
    }

    /// Examples by the classic bucket that holds them, those of before gone.
    pub(super) fn take_examples(&mut self) -> BTreeMap<usize, Example> {
        std::mem::take(&mut self.examples)
    }

    /// All durations as a native histogram.
    pub(super) fn native(&self) -> Histogram {
        let first = self.exponential.keys().next().copied();
        let last = self.exponential.keys().next_back().copied();
        let counts = match (first, last) {
            (Some(first), Some(last)) => (first..=last)
                .map(|index| self.exponential.get(&index).copied().unwrap_or_default())
                .collect(),
            _ => Vec::new(),
        };
        Histogram {
            count: self.count,
            sum: self.sum,
            schema: SCHEMA,
            zero_threshold: 1e-9,
            zero_count: self.zero,
            positive: Buckets {
                offset: first.unwrap_or_default(),
                counts,
            },
            ..Histogram::default()
        }
    }
}

impl Example {
    /// As a row of the store.
    pub(super) fn exemplar(&self) -> demarc_store::Exemplar {
        demarc_store::Exemplar {
            time: self.trace.end.to_millis(),
            value: self.seconds,
            trace_id: Some(self.trace.trace_id),
            span_id: Some(self.trace.span_id),
            attributes: demarc_proto::Attributes::default(),
        }
    }
}

/// The exponential bucket of a duration: bucket `i` ends at 2^(i/8). `None` for a duration that counts as zero.
fn index(seconds: f64) -> Option<i32> {
    if seconds <= 1e-9 {
        return None;
    }
    let index = (seconds.log2() * f64::from(1 << SCHEMA)).ceil();
    // From a nanosecond to three centuries, that is -240 to 270.
    Some(index as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_bucket_that_ends_at_or_above_it() {
        assert_eq!(
            (index(1.0), index(1.0001), index(2.0)),
            (Some(0), Some(1), Some(8))
        );
        assert_eq!((index(0.0), index(0.5)), (None, Some(-8)));
    }

    #[test]
    fn both_kinds_of_buckets_count_the_same() {
        let trace = Trace {
            trace_id: TraceId::from_bytes(&[1; 16]).unwrap(),
            span_id: SpanId::from_bytes(&[1; 8]).unwrap(),
            end: Nanos(5),
        };
        let mut latency = Latency::default();
        for duration_ns in [0, 3_000_000, 3_000_000, 90_000_000_000] {
            latency.observe(duration_ns, trace);
        }
        let native = latency.native();
        let all: f64 = native.positive.counts.iter().sum();
        assert_eq!(all + native.zero_count, latency.count);
        assert_eq!((latency.buckets[0], latency.buckets[15]), (1.0, 3.0));
        assert_eq!(latency.take_examples().len(), 3);
        assert!(latency.take_examples().is_empty());
    }
}
