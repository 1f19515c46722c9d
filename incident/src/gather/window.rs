//! Which times are looked at, and which of them count as before and as during.

use std::time::Duration;

use demarc_proto::{Nanos, TimeRange};

use super::forest::Phase;
use crate::{IncidentConfig, Shift, Symptom, shift::Point};

/// What is right before the onset is of neither time: alarms come late, and clocks differ.
const GUARD: Duration = Duration::from_secs(120);
/// What a window's beginning is a multiple of.
const GRID_NS: i64 = 60_000_000_000;
/// The same where there is little else.
const SLACK: Duration = Duration::from_secs(10);

/// Lengths of buckets.
const SHORTEST_STEP: Duration = Duration::from_secs(5);
const LONGEST_STEP: Duration = Duration::from_secs(60);

/// What is looked at, and with what resolution.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// Times that the asker says were well.
    pub(crate) history: Vec<TimeRange>,
    pub(crate) start: Nanos,
    pub(crate) onset: Nanos,
    pub(crate) until: Nanos,
    /// Length of a bucket.
    pub(crate) step: Duration,
}

/// Times of peace without those that are looked at anyway, and none of them twice: what is read twice would count twice.
fn apart(history: &[TimeRange], (start, until): (Nanos, Nanos)) -> Vec<TimeRange> {
    let outside = history.iter().flat_map(|range| {
        let before = TimeRange::new(range.start(), range.end().min(start));
        let after = TimeRange::new(range.start().max(until), range.end());
        [before, after].into_iter().flatten()
    });
    let mut sorted: Vec<TimeRange> = outside.collect();
    sorted.sort_by_key(|range| range.start());
    let mut apart: Vec<TimeRange> = Vec::new();
    for range in sorted {
        let last = apart.last_mut().filter(|last| range.start() <= last.end());
        match last.and_then(|last| {
            Some((
                TimeRange::new(last.start(), last.end().max(range.end()))?,
                last,
            ))
        }) {
            Some((joined, last)) => *last = joined,
            None => apart.push(range),
        }
    }
    apart
}

impl Window {
    /// The window around a symptom: as long before as it lasts, at least the baseline.
    pub(crate) fn of(symptom: &Symptom, config: &IncidentConfig) -> Self {
        let during = symptom.until.since(symptom.since);
        // Symptoms that begin within one minute look at the same times in the same steps, and share what is read.
        let start = symptom.since.minus(config.baseline().max(during));
        let start = Nanos(start.0 - start.0.rem_euclid(GRID_NS));
        Self {
            history: apart(&symptom.history, (start, symptom.until)),
            start,
            onset: symptom.since,
            until: symptom.until,
            step: step(during),
        }
    }

    /// The same window with buckets as short as they get, to look for the onset in.
    pub(crate) fn finest(&self) -> Self {
        Self {
            step: SHORTEST_STEP,
            ..self.clone()
        }
    }

    /// Moves the onset to where it was found.
    pub(crate) fn begin_at(&mut self, onset: Nanos) {
        if onset != self.onset {
            self.onset = onset;
            self.step = step(self.until.since(onset));
        }
    }

    /// When the step of time begins that a time falls into.
    pub(crate) fn bucket(&self, at: Nanos) -> i64 {
        let step = i64::try_from(self.step.as_nanos())
            .unwrap_or(i64::MAX)
            .max(1);
        self.start.0 + (at.0 - self.start.0).div_euclid(step) * step
    }

    /// All times that are looked at: those before and during the disturbance, then the history.
    pub(crate) fn ranges(&self) -> Vec<TimeRange> {
        let own = TimeRange::new(self.start, self.until);
        own.into_iter()
            .chain(self.history.iter().copied())
            .collect()
    }

    /// The history's first and last times, Unix nanoseconds.
    pub(crate) fn history_bounds(&self) -> Vec<(i64, i64)> {
        let bounds = self.history.iter();
        bounds
            .map(|range| (range.start().0, range.end().0))
            .collect()
    }

    /// First and last times of the disturbance with the time before it, and of the history, Unix nanoseconds.
    pub(crate) fn bounds(&self) -> Vec<(i64, i64)> {
        let own = std::iter::once((self.start.0, self.until.0));
        own.chain(self.history_bounds()).collect()
    }

    /// Whether what happened at `at` is of a time of peace for sure: alarms come late, and clocks differ.
    pub(crate) fn is_well_before(&self, at: Nanos) -> bool {
        let is_history = self.history.iter().any(|range| range.contains(at));
        is_history || (self.start <= at && at < self.onset.minus(GUARD))
    }

    /// The time that something belongs to which began at `at`; of what is right before the onset only where `is_young` says that
    /// there is not enough well before it.
    pub(crate) fn phase(&self, at: Nanos, is_young: bool) -> Option<Phase> {
        let is_before = self.is_well_before(at)
            || (is_young && self.start <= at && at < self.onset.minus(SLACK));
        if is_before {
            return Some(Phase::Before);
        }
        self.is_during(at).then_some(Phase::During)
    }

    /// Whether what happened at `at` is of the time before.
    pub(crate) fn is_before(&self, at: Nanos) -> bool {
        let is_history = self.history.iter().any(|range| range.contains(at));
        is_history || (self.start <= at && at < self.onset)
    }

    /// Whether what happened at `at` is of the disturbance.
    pub(crate) fn is_during(&self, at: Nanos) -> bool {
        let is_history = self.history.iter().any(|range| range.contains(at));
        !is_history && self.onset <= at && at < self.until
    }

    /// Compares the points before with those during.
    pub(crate) fn shift(&self, points: &[Point]) -> Shift {
        self.shift_over(points, Duration::ZERO)
    }

    /// Compares points that are each a mean over the time `over` before them: those before the onset with those whose time lies
    /// wholly after it, or by half where there is none of these yet.
    pub(crate) fn shift_over(&self, points: &[Point], over: Duration) -> Shift {
        let values = |wanted: &dyn Fn(Nanos) -> bool| -> Vec<f64> {
            let side = points.iter().filter(|(at, _)| wanted(*at));
            side.map(|(_, value)| *value).collect()
        };
        let during_from = |from: Nanos| values(&|at| at >= from && self.is_during(at));
        let mut during = during_from(self.onset.plus(over));
        if during.is_empty() {
            during = during_from(self.onset.plus(over / 2));
        }
        let is_before = |at| match self.history.as_slice() {
            [] => self.is_before(at),
            _ => self.is_well_before(at),
        };
        Shift::between(values(&is_before), during)
    }
}

/// Buckets of whole multiples of the shortest one, about six in what lasts so long.
fn step(during: Duration) -> Duration {
    let seconds = (during / 6).clamp(SHORTEST_STEP, LONGEST_STEP).as_secs();
    Duration::from_secs(seconds - seconds % SHORTEST_STEP.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_is_looked_at_twice() {
        let range = |(from, to): (i64, i64)| TimeRange::new(Nanos(from), Nanos(to)).unwrap();
        let told = [(50, 70), (10, 20), (15, 30), (30, 35), (90, 120)].map(range);
        let wanted = [(10, 35), (50, 60), (100, 120)].map(range);
        assert_eq!(apart(&told, (Nanos(60), Nanos(100))), wanted);
    }
}
