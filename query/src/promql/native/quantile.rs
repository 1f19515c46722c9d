//! Quantiles and fractions of native histograms.
//!
//! Source: Prometheus 3.14, `promql/quantile.go` as its documentation of `histogram_quantile` describes it.

use super::{Bucket, Histogram};

/// What a result suffers from observations that are no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NanNote {
    /// The quantile is among them.
    Result,
    /// The quantile is too high for them.
    Skew,
    /// They are in no fraction.
    Excluded,
}

impl Histogram {
    /// The value below which the share `q` of observations is.
    pub(crate) fn quantile(&self, q: f64) -> (f64, Option<NanNote>) {
        if q < 0.0 {
            return (f64::NEG_INFINITY, None);
        }
        if q > 1.0 {
            return (f64::INFINITY, None);
        }
        if self.count == 0.0 || q.is_nan() {
            return (f64::NAN, None);
        }
        let has_nans = self.sum.is_nan();
        let from_below = has_nans || q < 0.5;
        let mut buckets = self.buckets();
        let wanted = if from_below { q } else { 1.0 - q } * self.count;
        if !from_below {
            buckets.reverse();
        }
        let Some((mut bucket, mut count)) = find(&buckets, wanted) else {
            return (f64::NAN, has_nans.then_some(NanNote::Result));
        };
        if let Some(value) = self.settle(&mut bucket) {
            return (value, None);
        }
        count = count.min(self.count);
        if count < wanted {
            return (f64::NAN, has_nans.then_some(NanNote::Result));
        }
        let rank = if from_below {
            wanted - (count - bucket.count)
        } else {
            count - wanted
        };
        let value = self.interpolate(bucket, rank / bucket.count);
        (value, has_nans.then_some(NanNote::Skew))
    }

    /// Gives a bucket without an end the end that it counts with; or the quantile itself, where it cannot be interpolated.
    fn settle(&self, bucket: &mut Bucket) -> Option<f64> {
        if !self.has_custom_buckets() {
            self.narrow_zero(bucket);
            return None;
        }
        if bucket.lower == f64::NEG_INFINITY {
            if bucket.upper <= 0.0 {
                return Some(bucket.upper);
            }
            bucket.lower = 0.0;
        } else if bucket.upper == f64::INFINITY {
            return Some(bucket.lower);
        }
        None
    }

    /// The zero bucket holds values of one sign where all other buckets do.
    pub(super) fn narrow_zero(&self, bucket: &mut Bucket) {
        if bucket.lower < 0.0 && bucket.upper > 0.0 {
            if self.has_only_positive() {
                bucket.lower = 0.0;
            } else if self.has_only_negative() {
                bucket.upper = 0.0;
            }
        }
    }

    fn interpolate(&self, bucket: Bucket, share: f64) -> f64 {
        let Bucket { lower, upper, .. } = bucket;
        if self.has_custom_buckets() || (lower <= 0.0 && upper >= 0.0) {
            return lower + (upper - lower) * share;
        }
        let (log_lower, log_upper) = (lower.abs().log2(), upper.abs().log2());
        if lower > 0.0 {
            (log_lower + (log_upper - log_lower) * share).exp2()
        } else {
            -(log_upper + (log_lower - log_upper) * (1.0 - share)).exp2()
        }
    }

    /// The share of observations between two values.
    pub(crate) fn fraction(&self, lower: f64, upper: f64) -> (f64, Option<NanNote>) {
        if self.count == 0.0 || lower.is_nan() || upper.is_nan() {
            return (f64::NAN, None);
        }
        if lower >= upper {
            return (0.0, None);
        }
        let mut note = None;
        let mut total = self.count;
        let buckets = self.buckets();
        if self.sum.is_nan() {
            let in_buckets: f64 = buckets.iter().map(|bucket| bucket.count).sum();
            if in_buckets < total {
                note = Some(NanNote::Excluded);
            }
            total = in_buckets;
        }
        let rank = |value: f64| self.rank(&buckets, value).min(total);
        ((rank(upper) - rank(lower)) / self.count, note)
    }

    /// How many observations are below `value`; infinite when all buckets are.
    fn rank(&self, buckets: &[Bucket], value: f64) -> f64 {
        let mut rank = 0.0;
        for bucket in buckets {
            let mut bucket = *bucket;
            let is_zero = !self.has_custom_buckets() && bucket.lower <= 0.0 && bucket.upper >= 0.0;
            if is_zero {
                self.narrow_zero(&mut bucket);
            } else if self.has_custom_buckets()
                && bucket.lower == f64::NEG_INFINITY
                && bucket.upper > 0.0
            {
                bucket.lower = 0.0;
            }
            if bucket.lower >= value {
                return rank;
            }
            if bucket.upper > value {
                return rank + self.part_below(bucket, value);
            }
            rank += bucket.count;
        }
        f64::INFINITY
    }

    /// How many of a bucket's observations are below a value within it.
    pub(super) fn part_below(&self, bucket: Bucket, value: f64) -> f64 {
        let Bucket {
            lower,
            upper,
            count,
            ..
        } = bucket;
        if lower == f64::NEG_INFINITY {
            return count;
        }
        if self.has_custom_buckets() || (lower <= 0.0 && upper >= 0.0) {
            return count * (value - lower) / (upper - lower);
        }
        let (log_lower, log_upper) = (lower.abs().log2(), upper.abs().log2());
        let log_value = value.abs().log2();
        let share = if value > 0.0 {
            (log_value - log_lower) / (log_upper - log_lower)
        } else {
            1.0 - (log_value - log_upper) / (log_lower - log_upper)
        };
        count * share
    }
}

/// The bucket in which the running count reaches `wanted`, else the last one; and the count up to its end.
fn find(buckets: &[Bucket], wanted: f64) -> Option<(Bucket, f64)> {
    let mut count = 0.0;
    for bucket in buckets {
        count += bucket.count;
        if count >= wanted {
            return Some((*bucket, count));
        }
    }
    buckets.last().map(|bucket| (*bucket, count))
}
