//! Series in the order of their labels, so that a large selection need not be sorted by text.

use std::{cmp::Ordering, sync::Arc};

use super::SeriesEntry;

/// The place of each series, by its ordinal, in the order of labels.
#[derive(Clone, Debug, Default)]
pub(super) struct Order {
    /// The ordinal of the first series.
    first: u32,
    places: Vec<u32>,
    /// How often labels had changed when this was made.
    pub(super) changes: u64,
}

impl Order {
    /// Of no series yet.
    pub(super) fn new(first: u32, changes: u64) -> Self {
        Self {
            first,
            places: Vec::new(),
            changes,
        }
    }

    /// Of how many series, the first ones, it knows the places.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// The same with the series that came since; `series`: all of them, by ordinal. A few comparisons of text for each new
    /// series, none for the others.
    pub(super) fn extended(&self, series: &[Arc<SeriesEntry>]) -> Self {
        let by_labels = |a: u32, b: u32| -> Ordering {
            series[a as usize].labels.cmp(&series[b as usize].labels)
        };
        let ordinal = |at: usize| u32::try_from(at).expect("ordinals have 32 bits");
        let mut known = vec![0; self.len()];
        for (at, place) in self.places.iter().enumerate() {
            known[*place as usize] = ordinal(at);
        }
        let mut new: Vec<u32> = (ordinal(self.len())..ordinal(series.len())).collect();
        new.sort_unstable_by(|a, b| by_labels(*a, *b));
        let mut places = vec![0; series.len()];
        let mut next = 0;
        let mut put = |at: u32| {
            places[at as usize] = next;
            next += 1;
        };
        let mut rest = known.as_slice();
        for one in new {
            let before = rest.partition_point(|at| by_labels(*at, one).is_lt());
            rest[..before].iter().copied().for_each(&mut put);
            put(one);
            rest = &rest[before..];
        }
        rest.iter().copied().for_each(&mut put);
        Self {
            first: self.first,
            places,
            changes: self.changes,
        }
    }

    /// Sorts ordinals of series whose places are known.
    pub(super) fn sort(&self, found: &mut [u32]) {
        found.sort_unstable_by_key(|at| self.places[(*at - self.first) as usize]);
    }
}
