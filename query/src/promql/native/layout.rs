//! Bringing two histograms to the same buckets: resolution, zero bucket, custom bounds.

use std::sync::Arc;

use super::{Buckets, Histogram};

impl Histogram {
    /// The same observations at a coarser resolution.
    pub(super) fn reduce_resolution(&mut self, schema: i32) {
        if self.has_custom_buckets() || schema >= self.schema {
            return;
        }
        let shift = (self.schema - schema).min(31) as u32;
        // Bucket `i` ends where bucket `ceil(i / 2^shift)` of the coarser ones ends or before.
        let coarse = |index: i32| ((i64::from(index) - 1) >> shift) as i32 + 1;
        for buckets in [&mut self.positive, &mut self.negative] {
            let pairs = buckets.iter().map(|(index, count)| (coarse(index), count));
            *buckets = Buckets::from_pairs(pairs);
        }
        self.schema = schema;
    }

    /// The zero bucket's count if it were as wide as `threshold`, and the width that it really gets: a populated bucket is
    /// never cut in two.
    pub(super) fn zero_count_for(&self, threshold: f64) -> (f64, f64) {
        let mut threshold = threshold;
        'again: loop {
            let mut count = self.zero_count;
            for (index, inside) in self.positive.iter() {
                let bucket = self.positive_bucket(index, inside);
                if bucket.lower >= threshold {
                    break;
                }
                count += inside;
                if bucket.upper > threshold {
                    if inside != 0.0 {
                        threshold = bucket.upper;
                    }
                    break;
                }
            }
            for (index, inside) in self.negative.iter() {
                let bucket = self.negative_bucket(index, inside);
                if bucket.upper <= -threshold {
                    break;
                }
                count += inside;
                if bucket.lower < -threshold {
                    if inside != 0.0 {
                        threshold = -bucket.lower;
                        continue 'again;
                    }
                    break;
                }
            }
            return (count, threshold);
        }
    }

    /// Widens the zero bucket to at least `threshold`.
    fn widen_zero(&mut self, threshold: f64) {
        if threshold <= self.zero_threshold {
            return;
        }
        (self.zero_count, self.zero_threshold) = self.zero_count_for(threshold);
        let limit = self.zero_threshold;
        let schema = self.schema;
        for buckets in [&mut self.positive, &mut self.negative] {
            let offset = buckets.offset;
            for (at, count) in buckets.counts.iter_mut().enumerate() {
                let lower = super::bounds::exponential(offset + at as i32 - 1, schema);
                if lower < limit {
                    *count = 0.0;
                }
            }
            buckets.compact();
        }
    }

    /// Gives both the same zero bucket.
    fn same_zero(&mut self, other: &mut Self) {
        while self.zero_threshold != other.zero_threshold {
            if self.zero_threshold < other.zero_threshold {
                self.widen_zero(other.zero_threshold);
            } else {
                other.widen_zero(self.zero_threshold);
            }
        }
    }

    /// The same observations in the buckets between `bounds`, all of which must be bounds already.
    fn with_bounds(&self, bounds: &Arc<[f64]>) -> Self {
        if self.custom_bounds == *bounds {
            return self.clone();
        }
        let place = |index: i32| {
            let upper = self.positive_bucket(index, 0.0).upper;
            bounds.partition_point(|bound| *bound < upper) as i32
        };
        let pairs = self
            .positive
            .iter()
            .map(|(index, count)| (place(index), count));
        Self {
            positive: Buckets::from_pairs(pairs),
            custom_bounds: Arc::clone(bounds),
            ..self.clone()
        }
    }

    /// Gives both the same buckets. Whether custom bounds had to be reconciled; `None` when one has custom buckets and the
    /// other exponential ones.
    pub(super) fn same_layout(&mut self, other: &mut Self) -> Option<bool> {
        if self.has_custom_buckets() != other.has_custom_buckets() {
            return None;
        }
        if !self.has_custom_buckets() {
            let schema = self.schema.min(other.schema);
            self.same_zero(other);
            self.reduce_resolution(schema);
            other.reduce_resolution(schema);
            return Some(false);
        }
        if self.custom_bounds == other.custom_bounds {
            return Some(false);
        }
        let shared = self.custom_bounds.iter().copied();
        let shared: Arc<[f64]> = shared
            .filter(|bound| other.custom_bounds.contains(bound))
            .collect();
        *self = self.with_bounds(&shared);
        *other = other.with_bounds(&shared);
        Some(true)
    }
}
