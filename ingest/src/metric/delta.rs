//! Delta temporality to cumulative: the sum of what came, per series, since this process started.

use std::collections::HashMap;

use demarc_store::{Buckets, Histogram};

use crate::remote_write::MAX_BUCKETS;

/// Most series remembered of a tenant; beyond, the memory is cleared and each begins again from zero, a counter reset to its
/// readers.
const MAX_SERIES: usize = 1_000_000;
/// Most memory that the histograms of a tenant take, in bytes; beyond, as above.
const MAX_HISTOGRAM_BYTES: usize = 128 << 20;

/// Running sums of the series of a tenant that arrive as deltas, by the key of each.
#[derive(Debug, Default)]
pub(crate) struct Deltas {
    sums: HashMap<u128, f64>,
    histograms: HashMap<u128, Histogram>,
    histogram_bytes: usize,
}

/// What one request has added, so that it can be taken back when the request is refused: it will be sent again.
#[derive(Debug, Default)]
pub(crate) struct Added {
    sums: Vec<(u128, f64)>,
    histograms: Vec<(u128, AddedHistogram)>,
}

#[derive(Debug)]
struct AddedHistogram {
    value: Histogram,
    /// The sum that it took the place of, because they had no buckets in common terms.
    replaced: Option<Histogram>,
}

impl Deltas {
    /// Takes back what a request has added, and nothing that others have added meanwhile.
    pub(crate) fn take_back(&mut self, added: Added) {
        for (series, value) in added.sums {
            if let Some(sum) = self.sums.get_mut(&series) {
                *sum -= value;
            }
        }
        for (series, added) in added.histograms.into_iter().rev() {
            let Some(sum) = self.histograms.get_mut(&series) else {
                continue;
            };
            let is_alone = *sum == added.value;
            if !is_alone {
                subtract(sum, &added.value);
            } else if let Some(replaced) = added.replaced {
                self.insert(series, replaced);
            } else {
                self.remove(series);
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
        let is_full = self.histograms.len() >= MAX_SERIES;
        if is_full || self.histogram_bytes + memory_bytes(&value) > MAX_HISTOGRAM_BYTES {
            self.histograms.clear();
            self.histogram_bytes = 0;
        }
        let sum = self.remove(series);
        let merged = sum.clone().and_then(|sum| merge(sum, &value));
        let replaced = if merged.is_none() { sum } else { None };
        let merged = merged.unwrap_or_else(|| value.clone());
        added
            .histograms
            .push((series, AddedHistogram { value, replaced }));
        self.insert(series, merged.clone());
        merged
    }

    fn insert(&mut self, series: u128, sum: Histogram) {
        self.remove(series);
        self.histogram_bytes += memory_bytes(&sum);
        self.histograms.insert(series, sum);
    }

    fn remove(&mut self, series: u128) -> Option<Histogram> {
        let sum = self.histograms.remove(&series)?;
        self.histogram_bytes = self.histogram_bytes.saturating_sub(memory_bytes(&sum));
        Some(sum)
    }
}

fn memory_bytes(histogram: &Histogram) -> usize {
    let lists = [
        &histogram.positive.counts,
        &histogram.negative.counts,
        &histogram.custom_bounds,
    ];
    let numbers: usize = lists.iter().map(|list| list.len()).sum();
    size_of::<(u128, Histogram)>() + numbers * size_of::<f64>()
}

/// Takes a value out of a sum that it was added to; a sum that began again since never had it.
fn subtract(sum: &mut Histogram, value: &Histogram) {
    if sum.schema != value.schema || sum.custom_bounds != value.custom_bounds {
        return;
    }
    sum.count -= value.count;
    sum.sum -= value.sum;
    sum.zero_count -= value.zero_count;
    subtract_buckets(&mut sum.positive, &value.positive);
    subtract_buckets(&mut sum.negative, &value.negative);
}

fn subtract_buckets(sum: &mut Buckets, value: &Buckets) {
    for (at, count) in (0_i64..).zip(&value.counts) {
        let place = i64::from(value.offset) + at - i64::from(sum.offset);
        let place = usize::try_from(place).ok();
        if let Some(left) = place.and_then(|place| sum.counts.get_mut(place)) {
            *left -= count;
        }
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
    fn taking_back_leaves_what_another_request_has_added_meanwhile() {
        let histogram = |count: f64, offset| Histogram {
            count,
            sum: count,
            positive: Buckets {
                offset,
                counts: vec![count],
            },
            ..Histogram::default()
        };
        let mut deltas = Deltas::default();
        let mut refused = Added::default();
        deltas.add_histogram(1, histogram(5.0, 3), &mut refused);
        deltas.add_histogram(1, histogram(2.0, 1), &mut Added::default());
        deltas.take_back(refused);
        let sum = deltas.add_histogram(1, histogram(1.0, 1), &mut Added::default());
        assert_eq!((sum.count, sum.sum), (3.0, 3.0));
        assert_eq!(sum.positive.counts, [3.0, 0.0, 0.0]);
    }

    #[test]
    fn a_sum_that_a_refused_request_has_replaced_is_there_again() {
        let of = |schema, count| Histogram {
            schema,
            count,
            ..Histogram::default()
        };
        let mut deltas = Deltas::default();
        deltas.add_histogram(1, of(3, 4.0), &mut Added::default());
        let mut refused = Added::default();
        deltas.add_histogram(1, of(2, 1.0), &mut refused);
        deltas.take_back(refused);
        let sum = deltas.add_histogram(1, of(3, 1.0), &mut Added::default());
        assert_eq!(sum.count, 5.0);
    }

    #[test]
    fn histograms_take_no_more_memory_than_they_may() {
        let large = || Histogram {
            positive: Buckets {
                offset: 0,
                counts: vec![1.0; MAX_BUCKETS],
            },
            ..Histogram::default()
        };
        let mut deltas = Deltas::default();
        let one = memory_bytes(&large());
        for series in 0..(MAX_HISTOGRAM_BYTES / one + 10) {
            deltas.add_histogram(series as u128, large(), &mut Added::default());
            assert!(deltas.histogram_bytes <= MAX_HISTOGRAM_BYTES);
        }
        assert_eq!(deltas.histograms.len() * one, deltas.histogram_bytes);
        assert!(deltas.histograms.len() <= 10);
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
