//! Whether counting began anew between two histograms.

use demarc_store::CounterReset;

use super::{Buckets, Histogram};

impl Histogram {
    /// Whether there was a counter reset between `before` and this.
    pub(crate) fn is_reset_since(&self, before: &Self) -> bool {
        match self.reset {
            CounterReset::Reset => return true,
            CounterReset::NotReset => return false,
            CounterReset::Unknown | CounterReset::Gauge => {}
        }
        self.falls_below(before)
    }

    fn falls_below(&self, before: &Self) -> bool {
        if self.count < before.count || self.has_custom_buckets() != before.has_custom_buckets() {
            return true;
        }
        if self.has_custom_buckets() {
            let (mut now, mut before) = (self.clone(), before.clone());
            let _ = now.same_layout(&mut before);
            return fall(&now.positive, &before.positive);
        }
        if self.schema > before.schema || self.zero_threshold < before.zero_threshold {
            return true;
        }
        let (zero_count, threshold) = before.zero_count_for(self.zero_threshold);
        // Else the threshold would be within a populated bucket of the histogram before.
        if threshold != self.zero_threshold || self.zero_count < zero_count {
            return true;
        }
        let mut coarse = before.clone();
        let mut now = self.clone();
        let _ = coarse.same_layout(&mut now);
        fall(&now.positive, &coarse.positive) || fall(&now.negative, &coarse.negative)
    }

    /// Whether both can stand in one run of growing histograms of a counter. Source: Prometheus, `tsdb/chunkenc`,
    /// `appendable`.
    pub(crate) fn continues(&self, before: &Self) -> bool {
        self.reset != CounterReset::Reset
            && self.schema == before.schema
            && self.zero_threshold == before.zero_threshold
            && self.custom_bounds == before.custom_bounds
            && !self.falls_below(before)
    }
}

fn fall(now: &Buckets, before: &Buckets) -> bool {
    before.iter().any(|(index, count)| now.get(index) < count)
}
