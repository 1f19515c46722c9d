//! Shares out of counts.

use super::parameters::WILSON_Z;

/// Lower and upper bound of the share that `hits` of `count` tell of, 95 % one-sided each.
///
/// Source: Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
pub(crate) fn wilson(hits: f64, count: f64) -> (f64, f64) {
    if count <= 0.0 {
        return (0.0, 1.0);
    }
    let (share, z) = (hits / count, WILSON_Z);
    let scale = 1.0 + z * z / count;
    let middle = share + z * z / (2.0 * count);
    let half = z * (share * (1.0 - share) / count + z * z / (4.0 * count * count)).sqrt();
    (
        ((middle - half) / scale).max(0.0),
        ((middle + half) / scale).min(1.0),
    )
}

/// 0 up to `from`, 1 from `to` on, straight between.
pub(crate) fn ramp(value: f64, (from, to): (f64, f64)) -> f64 {
    ((value - from) / (to - from)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_close_in_with_more_counts() {
        let (low, high) = wilson(8.0, 10.0);
        let (closer_low, closer_high) = wilson(800.0, 1000.0);
        assert!(low < closer_low && closer_low < 0.8 && 0.8 < closer_high && closer_high < high);
        assert_eq!(wilson(0.0, 0.0), (0.0, 1.0));
        assert_eq!(wilson(0.0, 10.0).0, 0.0);
    }
}
