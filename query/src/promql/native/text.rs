//! Histograms as Prometheus prints them in label values.

use std::fmt;

use super::Histogram;
use crate::promql::print::number;

impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{{count:{}, sum:{}",
            number(self.count),
            number(self.sum)
        )?;
        for bucket in self.buckets() {
            let open = if bucket.lower_inclusive { '[' } else { '(' };
            let close = if bucket.upper_inclusive { ']' } else { ')' };
            let (lower, upper) = (number(bucket.lower), number(bucket.upper));
            write!(f, ", {open}{lower},{upper}{close}:{}", number(bucket.count))?;
        }
        f.write_str("}")
    }
}
