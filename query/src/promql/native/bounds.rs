//! Where buckets begin and end.

use super::Histogram;

/// A bucket with its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Where it begins.
    pub lower: f64,
    /// Where it ends.
    pub upper: f64,
    /// Whether the lower bound is in it.
    pub lower_inclusive: bool,
    /// Whether the upper bound is in it.
    pub upper_inclusive: bool,
    /// The observations in it.
    pub count: f64,
}

/// The upper bound of an exponential bucket of positive values.
pub(super) fn exponential(index: i32, schema: i32) -> f64 {
    let bound = if schema <= 0 {
        let exponent = i64::from(index) << schema.unsigned_abs().min(31);
        power(exponent as f64)
    } else {
        let steps = 1_i64 << schema.min(31);
        let whole = i64::from(index).div_euclid(steps);
        let part = i64::from(index).rem_euclid(steps);
        (part as f64 / steps as f64).exp2() * power(whole as f64)
    };
    // The highest bucket ends at the greatest number, not at infinity.
    bound.min(f64::MAX)
}

fn power(exponent: f64) -> f64 {
    if exponent >= 1024.0 {
        f64::MAX
    } else {
        exponent.exp2()
    }
}

impl Histogram {
    /// The bucket of positive values, or of all values where the bounds are custom, with an index.
    pub(super) fn positive_bucket(&self, index: i32, count: f64) -> Bucket {
        if !self.has_custom_buckets() {
            return Bucket {
                lower: exponential(index - 1, self.schema),
                upper: exponential(index, self.schema),
                lower_inclusive: false,
                upper_inclusive: true,
                count,
            };
        }
        let bound = |at: i32| {
            let at = usize::try_from(at).ok();
            at.and_then(|at| self.custom_bounds.get(at)).copied()
        };
        let lower = bound(index - 1);
        Bucket {
            lower: lower.unwrap_or(f64::NEG_INFINITY),
            upper: bound(index).unwrap_or(f64::INFINITY),
            lower_inclusive: lower.is_none(),
            upper_inclusive: true,
            count,
        }
    }

    pub(super) fn negative_bucket(&self, index: i32, count: f64) -> Bucket {
        Bucket {
            lower: -exponential(index, self.schema),
            upper: -exponential(index - 1, self.schema),
            lower_inclusive: true,
            upper_inclusive: false,
            count,
        }
    }

    /// All buckets that hold something, ascending.
    pub fn buckets(&self) -> Vec<Bucket> {
        let negative = self.negative.iter().rev();
        let mut buckets: Vec<Bucket> = negative
            .map(|(index, count)| self.negative_bucket(index, count))
            .collect();
        if self.zero_count != 0.0 {
            buckets.push(Bucket {
                lower: -self.zero_threshold,
                upper: self.zero_threshold,
                lower_inclusive: true,
                upper_inclusive: true,
                count: self.zero_count,
            });
        }
        let positive = self.positive.iter();
        buckets.extend(positive.map(|(index, count)| self.positive_bucket(index, count)));
        buckets.retain(|bucket| bucket.count != 0.0);
        buckets
    }

    /// All buckets, ascending, the zero bucket among them as soon as it can hold something.
    pub(super) fn has_only_positive(&self) -> bool {
        self.negative.is_empty() && !self.positive.is_empty()
    }

    pub(super) fn has_only_negative(&self) -> bool {
        self.positive.is_empty() && !self.negative.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_grow_with_the_index_at_every_resolution() {
        assert_eq!(exponential(0, 0), 1.0);
        assert_eq!(exponential(3, 0), 8.0);
        assert_eq!(exponential(1, -1), 4.0);
        assert_eq!(exponential(2, 1), 2.0);
        assert_eq!(exponential(-2, 1), 0.5);
        assert_eq!(exponential(i32::MAX, 8), f64::MAX);
        assert_eq!(exponential(1024, 0), f64::MAX);
    }
}
