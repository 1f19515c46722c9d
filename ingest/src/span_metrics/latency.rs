//! How long things took, in classic and in exponential buckets, with an example for each bucket.

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
    /// Durations in each classic bucket; those of the last are beyond all bounds.
    classic: [f64; BOUNDS.len() + 1],
    pub(super) count: f64,
    pub(super) sum: f64,
    zero: f64,
    exponential: Exponential,
    /// The newest duration of each classic bucket since the last time that they were taken; empty when there is none.
    examples: Vec<Option<Example>>,
}

/// Consecutive exponential buckets, as many as there are between the shortest and the longest duration.
#[derive(Clone, Debug, Default)]
struct Exponential {
    first: i32,
    counts: Vec<f64>,
}

impl Exponential {
    fn add(&mut self, index: i32) {
        if self.counts.is_empty() {
            self.first = index;
        }
        if index < self.first {
            let before = self.first.abs_diff(index) as usize;
            self.counts.splice(0..0, std::iter::repeat_n(0.0, before));
            self.first = index;
        }
        let at = index.abs_diff(self.first) as usize;
        if at >= self.counts.len() {
            self.counts.resize(at + 1, 0.0);
        }
        self.counts[at] += 1.0;
    }
}

impl Latency {
    pub(super) fn observe(&mut self, duration_ns: i64, trace: Trace) {
        let seconds = duration_ns.max(0) as f64 / 1e9;
        let bucket = BOUNDS.partition_point(|bound| *bound < seconds);
        self.classic[bucket] += 1.0;
        self.count += 1.0;
        self.sum += seconds;
        match index(seconds) {
            Some(index) => self.exponential.add(index),
            None => self.zero += 1.0,
        }
        if self.examples.is_empty() {
            self.examples.resize(self.classic.len(), None);
        }
        self.examples[bucket] = Some(Example { seconds, trace });
    }

    /// Durations up to each bound, and last those of any length.
    pub(super) fn cumulative(&self) -> [f64; BOUNDS.len() + 1] {
        let mut sum = 0.0;
        self.classic.map(|count| {
            sum += count;
            sum
        })
    }

    /// Examples by the classic bucket that holds them, those of before gone. Empty when there are none.
    pub(super) fn take_examples(&mut self) -> Vec<Option<Example>> {
        std::mem::take(&mut self.examples)
    }

    /// All durations as a native histogram.
    pub(super) fn native(&self) -> Histogram {
        Histogram {
            count: self.count,
            sum: self.sum,
            schema: SCHEMA,
            zero_threshold: 1e-9,
            zero_count: self.zero,
            positive: Buckets {
                offset: self.exponential.first,
                counts: self.exponential.counts.clone(),
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
    fn exponential_buckets_grow_to_both_sides() {
        let mut buckets = Exponential::default();
        for index in [3, 5, 1, 3] {
            buckets.add(index);
        }
        assert_eq!(buckets.first, 1);
        assert_eq!(buckets.counts, [1.0, 0.0, 2.0, 0.0, 1.0]);
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
        let classic = latency.cumulative();
        assert_eq!((classic[0], classic[15], classic[16]), (1.0, 3.0, 4.0));
        assert_eq!(latency.take_examples().iter().flatten().count(), 3);
        assert!(latency.take_examples().is_empty());
    }
}
