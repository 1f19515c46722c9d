//! The plain samples of data files: row groups are read in parallel, and what each series has in them is noted.

use std::sync::Arc;

use demarc_proto::Millis;
use demarc_store::{Fragment, SeriesEntry, Snapshot, Table, Wanted};

use super::{Interval, RawSeries};
use crate::{QueryError, budget::Budget, promql::eval::Eval};

/// The samples of several series, in columns, and which of them are whose.
#[derive(Default)]
pub(super) struct Stretches {
    /// Counts what is held here.
    budget: Option<Arc<Budget>>,
    fragments: Vec<Fragment>,
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
        let since = snapshot.in_memory_since();
        if since.0 == i64::MIN || series.is_empty() {
            return Ok(Stretches::default());
        }
        let wanted = Wanted::new(series);
        let mut parts = Vec::new();
        for interval in intervals {
            let last = interval.max.min(since.0.saturating_sub(1));
            if last < interval.min {
                continue;
            }
            let range = (Millis(interval.min), Millis(last));
            let found = snapshot.parts(Table::Samples, &wanted, range)?;
            parts.extend(found.into_iter().map(|part| (part, range)));
        }
        let fragments = self.reading.crew.map(parts.len(), |at| {
            self.check_alive()?;
            let (part, range) = &parts[at];
            let fragment = part.samples(&wanted, *range)?;
            self.reading.budget.hold_samples(fragment.times.len())?;
            Ok(fragment)
        })?;
        let mut stretches = Stretches::of(fragments, series.len());
        stretches.budget = Some(Arc::clone(&self.reading.budget));
        Ok(stretches)
    }
}

impl Drop for Stretches {
    fn drop(&mut self) {
        if let Some(budget) = &self.budget {
            budget.let_go(self.fragments.iter().map(|one| one.times.len()).sum());
        }
    }
}

impl Stretches {
    fn of(fragments: Vec<Fragment>, series: usize) -> Self {
        let mut bounds = vec![0; series + 1];
        for stretch in fragments.iter().flat_map(|one| &one.stretches) {
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
            for stretch in &one.stretches {
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
            budget: None,
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
            let fragment = &self.fragments[stretch.fragment as usize];
            let rows = stretch.from as usize..stretch.to as usize;
            if !fragment.starts.is_empty() || !into.starts.is_empty() {
                for at in rows {
                    let start = fragment.starts.get(at).copied().unwrap_or(0);
                    into.push(fragment.times[at], fragment.values[at], start);
                }
                continue;
            }
            let times = fragment.times[rows.clone()].iter().copied();
            into.floats
                .extend(times.zip(fragment.values[rows].iter().copied()));
        }
    }
}
