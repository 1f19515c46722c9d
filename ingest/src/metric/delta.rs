//! Delta temporality to cumulative: the sum of what came, per series, since this process started.

use std::collections::HashMap;

use demarc_store::{Buckets, Histogram};

use crate::remote_write::MAX_BUCKETS;

/// Most series remembered; beyond, the memory is cleared and each begins again from zero, a counter reset to its readers.
const MAX_SERIES: usize = 1_000_000;

/// Running sums of series that arrive as deltas, by the key of each; keys differ between tenants.
#[derive(Debug, Default)]
pub(crate) struct Deltas {
    sums: HashMap<u128, f64>,
    histograms: HashMap<u128, Histogram>,
}

/// What one request has added, so that it can be taken back when the request is refused: it will be sent again.
#[derive(Debug, Default)]
pub(crate) struct Added {
    sums: Vec<(u128, f64)>,
    /// Each with what was there before.
    histograms: Vec<(u128, Option<Histogram>)>,
}

impl Deltas {
    /// Takes back what a request has added.
    pub(crate) fn take_back(&mut self, added: Added) {
        for (series, value) in added.sums {
            if let Some(sum) = self.sums.get_mut(&series) {
                *sum -= value;
            }
        }
        for (series, before) in added.histograms.into_iter().rev() {
            match before {
                Some(before) => drop(self.histograms.insert(series, before)),
                None => drop(self.histograms.remove(&series)),
            }
        }
    }

    /// The sum of all values of the series so far.
    pub(crate) fn add(&mut self, series: u128, value: f64, added: &mut Added) -> f64 {
        if self.sums.len() >= MAX_SERIES {
            self.sums.clear();
        }
        let sum = self.sums.entry(series).or_insert(0.0);
        *sum += value;
        added.sums.push((series, value));
        *sum
    }

    /// The histogram of all observations of the series so far. A change of resolution or of bounds starts it again.
    pub(crate) fn add_histogram(
        &mut self,
        series: u128,
        value: Histogram,
        added: &mut Added,
    ) -> Histogram {
        if self.histograms.len() >= MAX_SERIES {
            self.histograms.clear();
        }
        let sum = self.histograms.remove(&series);
        added.histograms.push((series, sum.clone()));
        let merged = sum.and_then(|sum| merge(sum, &value)).unwrap_or(value);
        self.histograms.insert(series, merged.clone());
        merged
    }
}

/// `None` where they have no buckets in common terms, or too many together.
fn merge(mut sum: Histogram, value: &Histogram) -> Option<Histogram> {
    if sum.schema != value.schema || sum.custom_bounds != value.custom_bounds {
        return None;
    }
    sum.count += value.count;
    sum.sum += value.sum;
    sum.zero_count += value.zero_count;
    sum.zero_threshold = sum.zero_threshold.max(value.zero_threshold);
    sum.positive = merge_buckets(&sum.positive, &value.positive)?;
    sum.negative = merge_buckets(&sum.negative, &value.negative)?;
    Some(sum)
}

fn merge_buckets(a: &Buckets, b: &Buckets) -> Option<Buckets> {
    if a.counts.is_empty() {
        return Some(b.clone());
    }
    if b.counts.is_empty() {
        return Some(a.clone());
    }
    let offset = a.offset.min(b.offset);
    let place = |index: i64| usize::try_from(index - i64::from(offset)).ok();
    let end = |buckets: &Buckets| i64::from(buckets.offset) + buckets.counts.len() as i64;
    let len = place(end(a).max(end(b))).filter(|len| *len <= MAX_BUCKETS)?;
    let mut counts = vec![0.0; len];
    for buckets in [a, b] {
        let shift = place(buckets.offset.into())?;
        for (at, count) in buckets.counts.iter().enumerate() {
            counts[shift + at] += count;
        }
    }
    Some(Buckets { offset, counts })
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
        let sum = merge_buckets(&a, &b).unwrap();
        assert_eq!((sum.offset, sum.counts), (-1, vec![1.0, 12.0, 20.0]));
    }

    #[test]
    fn what_is_taken_back_was_never_added() {
        let histogram = || Histogram {
            count: 2.0,
            ..Histogram::default()
        };
        let mut deltas = Deltas::default();
        deltas.add(1, 5.0, &mut Added::default());
        deltas.add_histogram(1, histogram(), &mut Added::default());
        let mut refused = Added::default();
        deltas.add(1, 7.0, &mut refused);
        deltas.add_histogram(1, histogram(), &mut refused);
        deltas.add_histogram(1, histogram(), &mut refused);
        deltas.take_back(refused);
        assert_eq!(deltas.add(1, 1.0, &mut Added::default()), 6.0);
        let sum = deltas.add_histogram(1, histogram(), &mut Added::default());
        assert_eq!(sum.count, 4.0);
    }

    #[test]
    fn buckets_that_lie_too_far_apart_begin_again() {
        let at = |offset| Buckets {
            offset,
            counts: vec![1.0],
        };
        assert_eq!(merge_buckets(&at(i32::MIN), &at(i32::MAX)), None);
    }
}
