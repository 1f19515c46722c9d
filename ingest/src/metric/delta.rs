//! Delta temporality to cumulative: the sum of what came, per series, since this process started.

use std::collections::HashMap;

use demarc_proto::{Labels, SeriesId, TenantId};
use demarc_store::{Buckets, Histogram};

/// Most series remembered; beyond, the memory is cleared and each begins again from zero, a counter reset to its readers.
const MAX_SERIES: usize = 1_000_000;

/// Running sums of series that arrive as deltas.
#[derive(Debug, Default)]
pub(crate) struct Deltas {
    sums: HashMap<SeriesId, f64>,
    histograms: HashMap<SeriesId, Histogram>,
}

impl Deltas {
    /// The sum of all values of the series so far.
    pub(crate) fn add(&mut self, tenant: &TenantId, labels: &Labels, value: f64) -> f64 {
        if self.sums.len() >= MAX_SERIES {
            self.sums.clear();
        }
        let sum = self.sums.entry(SeriesId::of(tenant, labels)).or_insert(0.0);
        *sum += value;
        *sum
    }

    /// The histogram of all observations of the series so far. A change of resolution starts it again.
    pub(crate) fn add_histogram(
        &mut self,
        tenant: &TenantId,
        labels: &Labels,
        value: Histogram,
    ) -> Histogram {
        if self.histograms.len() >= MAX_SERIES {
            self.histograms.clear();
        }
        let id = SeriesId::of(tenant, labels);
        let merged = match self.histograms.remove(&id) {
            Some(sum) if sum.schema == value.schema => merge(sum, &value),
            _ => value,
        };
        self.histograms.insert(id, merged.clone());
        merged
    }
}

fn merge(mut sum: Histogram, value: &Histogram) -> Histogram {
    sum.count += value.count;
    sum.sum += value.sum;
    sum.zero_count += value.zero_count;
    sum.zero_threshold = sum.zero_threshold.max(value.zero_threshold);
    sum.positive = merge_buckets(&sum.positive, &value.positive);
    sum.negative = merge_buckets(&sum.negative, &value.negative);
    sum
}

fn merge_buckets(a: &Buckets, b: &Buckets) -> Buckets {
    if a.counts.is_empty() {
        return b.clone();
    }
    if b.counts.is_empty() {
        return a.clone();
    }
    let offset = a.offset.min(b.offset);
    let end = |buckets: &Buckets| i64::from(buckets.offset) + buckets.counts.len() as i64;
    let len = usize::try_from(end(a).max(end(b)) - i64::from(offset)).unwrap_or(0);
    let mut counts = vec![0.0; len];
    for buckets in [a, b] {
        let shift = usize::try_from(buckets.offset - offset).unwrap_or(0);
        for (at, count) in buckets.counts.iter().enumerate() {
            counts[shift + at] += count;
        }
    }
    Buckets { offset, counts }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_of_different_ranges_add_up() {
        let a = Buckets {
            offset: -1,
            counts: vec![1.0, 2.0],
        };
        let b = Buckets {
            offset: 0,
            counts: vec![10.0, 20.0],
        };
        let sum = merge_buckets(&a, &b);
        assert_eq!(
            sum,
            Buckets {
                offset: -1,
                counts: vec![1.0, 12.0, 20.0]
            }
        );
    }
}
