//! The operators `</` and `>/`: only what a histogram observed on one side of a value.

use super::{Bucket, Buckets, Histogram};

/// Which side of the value stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Up to the value: `</`.
    Below,
    /// Above the value: `>/`.
    Above,
}

/// What stays of a bucket, and where its observations are on average.
#[derive(Clone, Copy)]
struct Kept {
    count: f64,
    middle: f64,
}

impl Histogram {
    /// What it observed on one side of `cut`. Buckets that hold the value are interpolated; the sum is then estimated from the
    /// middles of what stays of the buckets.
    pub(crate) fn trimmed(&self, side: Side, cut: f64) -> Self {
        let mut trimmed = self.clone();
        let mut all = Vec::new();
        for (index, count) in self.positive.iter() {
            let kept = self.kept(self.positive_bucket(index, count), side, cut);
            set(&mut trimmed.positive, index, kept.count);
            all.push((count, kept));
        }
        for (index, count) in self.negative.iter() {
            let kept = self.kept(self.negative_bucket(index, count), side, cut);
            set(&mut trimmed.negative, index, kept.count);
            all.push((count, kept));
        }
        if self.zero_count != 0.0 {
            let kept = self.kept(self.zero_bucket(), side, cut);
            trimmed.zero_count = kept.count;
            all.push((self.zero_count, kept));
        }
        if all.iter().all(|(before, kept)| *before == kept.count) {
            return self.clone();
        }
        trimmed.count = all.iter().map(|(_, kept)| kept.count).sum();
        let filled = all.iter().filter(|(_, kept)| kept.count != 0.0);
        trimmed.sum = filled.map(|(_, kept)| kept.count * kept.middle).sum();
        trimmed.positive.compact();
        trimmed.negative.compact();
        trimmed
    }

    fn zero_bucket(&self) -> Bucket {
        let mut bucket = Bucket {
            lower: -self.zero_threshold,
            upper: self.zero_threshold,
            lower_inclusive: true,
            upper_inclusive: true,
            count: self.zero_count,
        };
        self.narrow_zero(&mut bucket);
        bucket
    }

    fn kept(&self, bucket: Bucket, side: Side, cut: f64) -> Kept {
        if bucket.count == 0.0 {
            return Kept::NOTHING;
        }
        if bucket.lower == f64::NEG_INFINITY {
            return first_kept(self, bucket, side, cut);
        }
        if bucket.upper == f64::INFINITY {
            return last_kept(bucket, side, cut);
        }
        self.finite_kept(bucket, side, cut)
    }

    fn finite_kept(&self, bucket: Bucket, side: Side, cut: f64) -> Kept {
        let Bucket {
            lower,
            upper,
            count,
            ..
        } = bucket;
        let whole = Kept {
            count,
            middle: self.middle(lower, upper),
        };
        match side {
            Side::Below if cut >= upper => whole,
            Side::Above if cut <= lower => whole,
            Side::Below if cut <= lower => Kept::NOTHING,
            Side::Above if cut >= upper => Kept::NOTHING,
            Side::Below => Kept {
                count: self.part_below(bucket, cut),
                middle: self.middle(lower, cut),
            },
            Side::Above => Kept {
                count: count - self.part_below(bucket, cut),
                middle: self.middle(cut, upper),
            },
        }
    }

    /// The middle between two values of one bucket: the geometric one of exponential buckets.
    fn middle(&self, lower: f64, upper: f64) -> f64 {
        if self.has_custom_buckets() || (lower <= 0.0 && upper >= 0.0) || lower == upper {
            return (lower + upper) / 2.0;
        }
        let is_zero_bucket = lower.abs().max(upper.abs()) <= self.zero_threshold;
        if is_zero_bucket {
            return (lower + upper) / 2.0;
        }
        let middle = (lower * upper).sqrt();
        if upper < 0.0 { -middle } else { middle }
    }
}

impl Kept {
    const NOTHING: Self = Self {
        count: 0.0,
        middle: 0.0,
    };
}

/// The first custom bucket, which has no lower end. Where it reaches above zero, its observations count as positive.
fn first_kept(histogram: &Histogram, bucket: Bucket, side: Side, cut: f64) -> Kept {
    let Bucket { upper, count, .. } = bucket;
    let is_positive = upper > 0.0;
    let middle = if is_positive && upper.is_finite() {
        upper / 2.0
    } else {
        upper
    };
    let whole = Kept { count, middle };
    let is_everything = match side {
        Side::Below => cut >= upper,
        Side::Above => cut == f64::NEG_INFINITY,
    };
    if is_everything {
        return whole;
    }
    if upper == f64::INFINITY || (is_positive && cut < 0.0) {
        return Kept::NOTHING;
    }
    if is_positive {
        let positive = Bucket {
            lower: 0.0,
            ..bucket
        };
        return histogram.finite_kept(positive, side, cut);
    }
    match side {
        Side::Below if cut > f64::NEG_INFINITY => Kept { count, middle: cut },
        _ => Kept::NOTHING,
    }
}

/// The last custom bucket, which has no upper end.
fn last_kept(bucket: Bucket, side: Side, cut: f64) -> Kept {
    let Bucket { lower, count, .. } = bucket;
    match side {
        Side::Below if cut == f64::INFINITY => Kept {
            count,
            middle: lower,
        },
        Side::Above if cut < f64::INFINITY => Kept {
            count,
            middle: lower.max(cut),
        },
        _ => Kept::NOTHING,
    }
}

fn set(buckets: &mut Buckets, index: i32, count: f64) {
    let at = (index - buckets.offset) as usize;
    buckets.counts[at] = count;
}
