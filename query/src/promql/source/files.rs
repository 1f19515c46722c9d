//! The plain samples of data files: row groups are read in parallel, and what each series has in them is noted.

use std::sync::Arc;

use demarc_proto::Millis;
use demarc_store::{Fragment, SeriesEntry, Snapshot, Table, Wanted};

use super::{Interval, RawSeries};
use crate::{QueryError, budget::Budget, promql::eval::Eval};

/// The samples of several series, in columns, and which of them are whose.
#[derive(Default)]
pub(super) struct Stretches {
    fragments: Vec<Held>,
    /// Where the stretches of each series begin in `all`, and where those of the last one end.
    bounds: Vec<usize>,
    all: Vec<Stretch>,
}

/// Neighbouring samples of one series in a fragment.
#[derive(Clone, Copy, Default)]
struct Stretch {
    fragment: u32,
    from: u32,
    to: u32,
}

impl Eval<'_> {
    /// The samples of `series` within `intervals`, which come by time, that are in files only.
    pub(super) fn in_files(
        &self,
        snapshot: &Snapshot,
        series: &[Arc<SeriesEntry>],
        intervals: &[Interval],
    ) -> Result<Stretches, QueryError> {
        let last = snapshot.in_memory_since().0.saturating_sub(1);
        let ranges = intervals.iter().filter(|interval| interval.min <= last);
        let ranges = ranges.map(|one| (Millis(one.min), Millis(one.max.min(last))));
        let ranges: Vec<(Millis, Millis)> = ranges.collect();
        if ranges.is_empty() || series.is_empty() {
            return Ok(Stretches::default());
        }
        let wanted = Wanted::new(series);
        let mut parts = Vec::new();
        for range in ranges {
            let found = snapshot.parts(Table::Samples, &wanted, range)?;
            parts.extend(found.into_iter().map(|part| (part, range)));
        }
        let fragments = self.reading.crew.map(parts.len(), |at| {
            self.check_alive()?;
            let (part, range) = &parts[at];
            let fragment = part.samples(&wanted, *range)?;
            self.count(fragment.wanted())?;
            Held::new(&self.reading.budget, fragment)
        })?;
        Ok(Stretches::of(fragments, series.len()))
    }
}

/// A fragment, counted as long as it is held. What is kept for others as well counts all the same: it may be kept no longer
/// before this is done with it.
struct Held {
    fragment: Fragment,
    bytes: usize,
    budget: Arc<Budget>,
}

impl Held {
    fn new(budget: &Arc<Budget>, fragment: Fragment) -> Result<Self, QueryError> {
        let bytes = fragment.columns.memory_bytes();
        budget.take_bytes(bytes)?;
        Ok(Self {
            fragment,
            bytes,
            budget: Arc::clone(budget),
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.give_back_bytes(self.bytes);
    }
}

impl Stretches {
    fn of(fragments: Vec<Held>, series: usize) -> Self {
        let mut bounds = vec![0; series + 1];
        let stretches = fragments.iter().flat_map(|one| &one.fragment.stretches);
        for stretch in stretches {
            bounds[stretch.place as usize + 1] += 1;
        }
        let mut before = 0;
        for bound in &mut bounds {
            before += *bound;
            *bound = before;
        }
        // Each stretch goes behind those of the same series that were written before.
        let mut next = bounds.clone();
        let mut all = vec![Stretch::default(); before];
        for (fragment, one) in (0..).zip(&fragments) {
            for stretch in &one.fragment.stretches {
                let slot = &mut next[stretch.place as usize];
                all[*slot] = Stretch {
                    fragment,
                    from: stretch.from,
                    to: stretch.to,
                };
                *slot += 1;
            }
        }
        Self {
            fragments,
            bounds,
            all,
        }
    }

    /// Adds the samples of the series at `place`, in the order of writing.
    pub(super) fn read(&self, place: usize, into: &mut RawSeries) {
        let Some([from, to]) = self.bounds.get(place..place + 2) else {
            return;
        };
        for stretch in &self.all[*from..*to] {
            let columns = &self.fragments[stretch.fragment as usize].fragment.columns;
            let rows = stretch.from as usize..stretch.to as usize;
            if !columns.starts.is_empty() || !into.starts.is_empty() {
                for at in rows {
                    let start = columns.starts.get(at).copied().unwrap_or(0);
                    into.push(columns.times[at], columns.values[at], start);
                }
                continue;
            }
            let values = columns.times[rows.clone()]
                .iter()
                .zip(&columns.values[rows]);
            into.floats
                .extend(values.map(|(time, value)| (*time, *value)));
        }
    }
}
