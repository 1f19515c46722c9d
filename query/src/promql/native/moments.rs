//! Standard deviation and variance, estimated from the middles of buckets.

use super::Histogram;

impl Histogram {
    /// The population variance, each observation taken at the middle of its bucket: the geometric middle of an exponential
    /// bucket, the arithmetic one of a custom bucket, 0 in the zero bucket.
    pub(crate) fn variance(&self) -> f64 {
        let mean = self.sum / self.count;
        let (mut variance, mut lost) = (0.0, 0.0);
        for bucket in self.buckets() {
            let middle = if self.has_custom_buckets() {
                (bucket.lower + bucket.upper) / 2.0
            } else if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
                0.0
            } else {
                let middle = (bucket.upper * bucket.lower).sqrt();
                if bucket.upper < 0.0 { -middle } else { middle }
            };
            let delta = middle - mean;
            let value = bucket.count * delta * delta;
            let total: f64 = variance + value;
            if total.is_finite() {
                lost += if f64::abs(variance) >= f64::abs(value) {
                    (variance - total) + value
                } else {
                    (value - total) + variance
                };
            }
            variance = total;
        }
        (variance + lost) / self.count
    }
}
