//! Native histograms as values: exponential buckets or buckets with bounds of their own.
//!
//! Source of semantics: Prometheus 3.14, `model/histogram`.

mod bounds;
mod combine;
mod layout;
mod moments;
mod quantile;
mod reset;
mod text;
mod trim;

use std::sync::Arc;

use demarc_store::{CUSTOM_BUCKETS, CounterReset, Histogram as StoredHistogram};

pub use bounds::Bucket;
pub(super) use combine::{HistogramSum, Notes as CombineNotes};
pub(super) use quantile::NanNote;
pub(super) use trim::Side;

/// A histogram; counts are numbers that need not be whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// What is known of a counter reset before it.
    pub reset: CounterReset,
    /// Resolution of exponential buckets, or [`CUSTOM_BUCKETS`].
    pub schema: i32,
    /// Observations with an absolute value up to this are in the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// All observations, also those that are no number.
    pub count: f64,
    /// Sum of all observations.
    pub sum: f64,
    /// Buckets of positive values; all buckets where the bounds are custom.
    pub positive: Buckets,
    /// Buckets of negative values.
    pub negative: Buckets,
    /// Upper bounds of custom buckets, ascending; the bucket after the last has no end.
    pub custom_bounds: Arc<[f64]>,
}

/// Consecutive buckets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Buckets {
    /// Index of the first.
    pub offset: i32,
    /// Observations in each, not cumulative.
    pub counts: Vec<f64>,
}

impl Histogram {
    /// The histogram of a stored one.
    pub(crate) fn from_stored(stored: &StoredHistogram) -> Self {
        let buckets = |from: &demarc_store::Buckets| Buckets {
            offset: from.offset,
            counts: from.counts.clone(),
        };
        Self {
            reset: stored.reset,
            schema: stored.schema,
            zero_threshold: stored.zero_threshold,
            zero_count: stored.zero_count,
            count: stored.count,
            sum: stored.sum,
            positive: buckets(&stored.positive),
            negative: buckets(&stored.negative),
            custom_bounds: stored.custom_bounds.as_slice().into(),
        }
    }

    /// The histogram as it is stored.
    pub fn to_stored(&self) -> StoredHistogram {
        let buckets = |from: &Buckets| demarc_store::Buckets {
            offset: from.offset,
            counts: from.counts.clone(),
        };
        StoredHistogram {
            start: None,
            count: self.count,
            sum: self.sum,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero_count,
            positive: buckets(&self.positive),
            negative: buckets(&self.negative),
            custom_bounds: self.custom_bounds.to_vec(),
            reset: self.reset,
        }
    }

    /// An empty histogram with the same kind of buckets.
    pub(super) fn empty_like(other: &Self) -> Self {
        Self {
            schema: other.schema,
            custom_bounds: Arc::clone(&other.custom_bounds),
            ..Self::default()
        }
    }

    /// Whether the buckets have bounds of their own.
    pub fn has_custom_buckets(&self) -> bool {
        self.schema == CUSTOM_BUCKETS
    }

    /// Only what counting and summing need.
    pub(super) fn without_buckets(&self) -> Self {
        Self {
            reset: self.reset,
            schema: self.schema,
            count: self.count,
            sum: self.sum,
            ..Self::default()
        }
    }

    /// Whether both say the same, whatever is known of resets.
    pub fn is_same(&self, other: &Self) -> bool {
        let same = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan());
        self.schema == other.schema
            && same(self.count, other.count)
            && same(self.sum, other.sum)
            && same(self.zero_count, other.zero_count)
            && self.zero_threshold == other.zero_threshold
            && self.custom_bounds == other.custom_bounds
            && self.positive.is_same(&other.positive)
            && self.negative.is_same(&other.negative)
    }

    /// All counts and the sum times `factor`.
    pub(super) fn scaled(&self, factor: f64) -> Self {
        let mut scaled = self.mapped(|value| value * factor);
        if factor < 0.0 {
            scaled.reset = CounterReset::Gauge;
        }
        scaled
    }

    /// All counts and the sum divided by `divisor`; nothing is left in buckets when that is zero.
    pub(super) fn divided(&self, divisor: f64) -> Self {
        let mut divided = self.mapped(|value| value / divisor);
        if divisor == 0.0 {
            divided.positive = Buckets::default();
            divided.negative = Buckets::default();
        }
        if divisor < 0.0 {
            divided.reset = CounterReset::Gauge;
        }
        divided
    }

    fn mapped(&self, map: impl Fn(f64) -> f64) -> Self {
        let buckets = |from: &Buckets| Buckets {
            offset: from.offset,
            counts: from.counts.iter().map(|count| map(*count)).collect(),
        };
        Self {
            zero_count: map(self.zero_count),
            count: map(self.count),
            sum: map(self.sum),
            positive: buckets(&self.positive),
            negative: buckets(&self.negative),
            custom_bounds: Arc::clone(&self.custom_bounds),
            ..*self
        }
    }
}

impl Buckets {
    /// Index and count of each bucket.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (i32, f64)> + '_ {
        let offset = self.offset;
        let counts = self.counts.iter().enumerate();
        counts.map(move |(at, count)| (offset.saturating_add(at as i32), *count))
    }

    /// The count of the bucket with an index; 0 where there is none.
    pub fn get(&self, index: i32) -> f64 {
        let at = i64::from(index) - i64::from(self.offset);
        let at = usize::try_from(at).ok();
        at.and_then(|at| self.counts.get(at))
            .copied()
            .unwrap_or(0.0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The index after the last bucket.
    fn end(&self) -> i32 {
        self.offset.saturating_add(self.counts.len() as i32)
    }

    /// The buckets made of counts by index.
    fn from_pairs(pairs: impl Iterator<Item = (i32, f64)>) -> Self {
        let mut buckets = Self::default();
        for (index, count) in pairs {
            buckets.add(index, count);
        }
        buckets
    }

    /// Adds to one bucket, which may be beyond the present ones.
    fn add(&mut self, index: i32, count: f64) {
        if self.counts.is_empty() {
            self.offset = index;
        }
        self.cover(index, index.saturating_add(1));
        self.counts[(index - self.offset) as usize] += count;
    }

    /// Makes room for the indices from `start` up to `end`.
    fn cover(&mut self, start: i32, end: i32) {
        if self.counts.is_empty() {
            self.offset = start;
        }
        if start < self.offset {
            let missing = (self.offset - start) as usize;
            self.counts.splice(0..0, std::iter::repeat_n(0.0, missing));
            self.offset = start;
        }
        if end > self.end() {
            let length = (end - self.offset) as usize;
            self.counts.resize(length, 0.0);
        }
    }

    /// Drops empty buckets at both ends.
    pub(super) fn compact(&mut self) {
        let filled = self.counts.iter().rposition(|count| *count != 0.0);
        self.counts.truncate(filled.map_or(0, |last| last + 1));
        let first = self.counts.iter().position(|count| *count != 0.0);
        match first {
            Some(first) => {
                self.counts.drain(..first);
                self.offset += first as i32;
            }
            None => self.offset = 0,
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        let start = self.offset.min(other.offset);
        let end = self.end().max(other.end());
        if self.is_empty() || other.is_empty() {
            let all = self.counts.iter().chain(&other.counts);
            return all.into_iter().all(|count| *count == 0.0);
        }
        (start..end).all(|index| {
            let (a, b) = (self.get(index), other.get(index));
            a == b || (a.is_nan() && b.is_nan())
        })
    }
}
