//! Times in which something was seen without a gap.

use std::time::Duration;

use demarc_proto::Nanos;

use crate::CallStats;

/// Most intervals kept of one fact; the oldest are forgotten here, not in the store.
const MAX_INTERVALS: usize = 64;

/// A time without a gap, both ends inclusive, and what was summed up within it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Interval<T> {
    pub(crate) first: Nanos,
    pub(crate) last: Nanos,
    pub(crate) sum: T,
    /// The end of the version that the store has.
    pub(crate) kept: Option<Nanos>,
    /// Whether anything was added since the store got its version.
    pub(crate) is_grown: bool,
}

/// Values that can be summed.
pub(crate) trait Summable: Copy {
    fn plus(self, other: Self) -> Self;
}

impl Summable for () {
    fn plus(self, (): ()) {}
}

impl Summable for CallStats {
    fn plus(self, other: Self) -> Self {
        Self {
            count: self.count.saturating_add(other.count),
            errors: self.errors.saturating_add(other.errors),
            client_duration_ns: self
                .client_duration_ns
                .saturating_add(other.client_duration_ns),
            server_duration_ns: self
                .server_duration_ns
                .saturating_add(other.server_duration_ns),
        }
    }
}

/// Intervals of one fact, sorted, further apart than the gap that ends it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Intervals<T>(Vec<Interval<T>>);

impl<T: Summable> Intervals<T> {
    /// Adds `[first, last]` and joins what is no further apart than `gap`.
    pub(crate) fn widen(&mut self, (first, last): (Nanos, Nanos), sum: T, gap: Duration) {
        let seen = &mut self.0;
        // By far the most frequent case: more of what goes on already.
        if let Some(newest) = seen.last_mut()
            && newest.first <= first
            && first <= newest.last.plus(gap)
        {
            newest.last = newest.last.max(last);
            newest.sum = newest.sum.plus(sum);
            newest.is_grown = true;
            return;
        }
        let at = seen.partition_point(|interval| interval.first <= first);
        let new = Interval {
            first,
            last,
            sum,
            kept: None,
            is_grown: true,
        };
        seen.insert(at, new);
        let mut joined: Vec<Interval<T>> = Vec::with_capacity(seen.len());
        for interval in seen.drain(..) {
            match joined.last_mut() {
                Some(before) if interval.first <= before.last.plus(gap) => {
                    before.last = before.last.max(interval.last);
                    before.sum = before.sum.plus(interval.sum);
                    before.is_grown = true;
                }
                _ => joined.push(interval),
            }
        }
        let surplus = joined.len().saturating_sub(MAX_INTERVALS);
        joined.drain(..surplus);
        *seen = joined;
    }

    /// The interval that `at` falls into, or that ended less than `gap` before it.
    pub(crate) fn alive(&self, at: Nanos, gap: Duration) -> Option<&Interval<T>> {
        let holds = |interval: &&Interval<T>| interval.first <= at && at <= interval.last.plus(gap);
        self.0.iter().rev().find(holds)
    }

    /// Ends what holds at `at`, just before it; returns whether anything did.
    pub(crate) fn end(&mut self, at: Nanos) -> bool {
        let before = Nanos(at.0.saturating_sub(1));
        let mut is_ended = false;
        for interval in &mut self.0 {
            if interval.last >= at {
                interval.last = before.max(interval.first);
                interval.is_grown = true;
                interval.kept = None;
                is_ended = true;
            }
        }
        is_ended
    }

    /// When the last of them ends; `None` when there is none.
    pub(crate) fn newest(&self) -> Option<Nanos> {
        self.0.iter().map(|interval| interval.last).max()
    }

    /// Takes them as what the store has.
    pub(crate) fn mark_kept(&mut self) {
        for interval in &mut self.0 {
            interval.kept = Some(interval.last);
            interval.is_grown = false;
        }
    }

    /// Takes them as unknown to the store.
    pub(crate) fn mark_unkept(&mut self) {
        for interval in &mut self.0 {
            interval.kept = None;
            interval.is_grown = true;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Interval<T>> {
        self.0.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Interval<T>> {
        self.0.iter_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_closes_an_interval_and_a_late_arrival_bridges_it() {
        let gap = Duration::from_nanos(10);
        let mut seen = Intervals::default();
        seen.widen((Nanos(0), Nanos(5)), (), gap);
        seen.widen((Nanos(30), Nanos(31)), (), gap);
        assert_eq!(seen.0.len(), 2);
        assert!(seen.alive(Nanos(20), gap).is_none());
        seen.widen((Nanos(14), Nanos(21)), (), gap);
        assert_eq!(seen.0.len(), 1);
        assert_eq!((seen.0[0].first, seen.0[0].last), (Nanos(0), Nanos(31)));
    }

    #[test]
    fn what_is_ended_holds_until_just_before() {
        let mut seen = Intervals::default();
        seen.widen((Nanos(10), Nanos(i64::MAX)), (), Duration::ZERO);
        assert!(seen.end(Nanos(50)));
        assert!(seen.alive(Nanos(49), Duration::ZERO).is_some());
        assert!(seen.alive(Nanos(50), Duration::ZERO).is_none());
        assert!(!seen.end(Nanos(60)));
    }
}
