//! Which samples answer for which time: those themselves, or windows of them.

use std::collections::{BTreeMap, BTreeSet};

use demarc_proto::{Millis, TimeRange};

use super::Snapshot;
use crate::{DataFile, Resolution, Table, day::Day, maintenance::covers};

/// A span of time and where its samples are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The first and the last time, both inclusive.
    pub range: (Millis, Millis),
    /// `None` where the samples themselves are to be read.
    pub windows: Option<Resolution>,
}

impl Snapshot {
    /// `range` in stretches, by time; each sample is in exactly one of them. Windows are chosen where they hold all samples of a
    /// day and are not longer than `longest`, or where there are no samples any more: then the shortest.
    pub fn stretches(&self, range: TimeRange, longest: Option<Resolution>) -> Vec<Stretch> {
        let (first, last) = (range.start().to_millis(), range.end().to_millis());
        let whole = Stretch {
            range: (first, Millis(last.0.saturating_sub(1))),
            windows: None,
        };
        let windows =
            Resolution::ALL.map(|one| (one, days(&self.tables[one.table().index()].files)));
        if windows.iter().all(|(_, days)| days.is_empty()) {
            return vec![whole];
        }
        let samples = days(&self.tables[Table::Samples.index()].files);
        let unflushed = self.unflushed_days();
        let (first, last) = Day::span(range);
        let known = windows.iter().flat_map(|(_, days)| days.keys().copied());
        let known: BTreeSet<Day> = known.filter(|day| first <= *day && *day <= last).collect();
        let mut stretches = vec![whole];
        for day in known {
            let choice = Choice {
                samples: samples.get(&day).map_or(&[][..], Vec::as_slice),
                has_unflushed: unflushed.contains(&day),
                longest,
            };
            if let Some(resolution) = choice.of(&windows, day) {
                cut(&mut stretches, day, resolution);
            }
        }
        stretches
    }

    /// The days with samples that are in no file yet.
    fn unflushed_days(&self) -> BTreeSet<Day> {
        let mut days = BTreeSet::new();
        let mut last: Option<Day> = None;
        for point in self.runs().flat_map(|run| run.points()) {
            let day = Day::of_millis(Millis(point.time));
            if last != Some(day) {
                days.insert(day);
                last = Some(day);
            }
        }
        days
    }
}

/// What there is of a day.
struct Choice<'a> {
    samples: &'a [DataFile],
    has_unflushed: bool,
    longest: Option<Resolution>,
}

impl Choice<'_> {
    fn of(
        &self,
        windows: &[(Resolution, BTreeMap<Day, Vec<DataFile>>)],
        day: Day,
    ) -> Option<Resolution> {
        let found = |resolution: &Resolution| {
            let (_, days) = windows.iter().find(|(one, _)| one == resolution)?;
            days.get(&day)
        };
        if self.samples.is_empty() && !self.has_unflushed {
            let mut shortest_first = Resolution::ALL.iter().rev();
            let is_wanted = |one: &Resolution| self.longest == Some(*one);
            let wanted = Resolution::ALL
                .iter()
                .find(|one| is_wanted(one) && found(one).is_some());
            return wanted
                .or_else(|| shortest_first.find(|one| found(one).is_some()))
                .copied();
        }
        if self.has_unflushed {
            return None;
        }
        let mut fitting = Resolution::ALL
            .iter()
            .filter(|one| self.longest.is_some_and(|longest| **one <= longest));
        fitting
            .find(|one| found(one).is_some_and(|windows| covers(windows, self.samples)))
            .copied()
    }
}

fn days(files: &[DataFile]) -> BTreeMap<Day, Vec<DataFile>> {
    let mut days: BTreeMap<Day, Vec<DataFile>> = BTreeMap::new();
    for file in files {
        if let Some(day) = Day::of_date(&file.date) {
            days.entry(day).or_default().push(file.clone());
        }
    }
    days
}

/// Cuts a day out of the last stretch, and joins it to the one before where that is alike.
fn cut(stretches: &mut Vec<Stretch>, day: Day, resolution: Resolution) {
    let Some(rest) = stretches.pop() else { return };
    let begin = day.start().0.max(rest.range.0.0);
    let end = day.next().start().0.saturating_sub(1).min(rest.range.1.0);
    if rest.range.0.0 < begin {
        stretches.push(Stretch {
            range: (rest.range.0, Millis(begin - 1)),
            ..rest
        });
    }
    match stretches.last_mut() {
        Some(before) if before.windows == Some(resolution) => before.range.1 = Millis(end),
        _ => stretches.push(Stretch {
            range: (Millis(begin), Millis(end)),
            windows: Some(resolution),
        }),
    }
    if end < rest.range.1.0 {
        stretches.push(Stretch {
            range: (Millis(end + 1), rest.range.1),
            ..rest
        });
    }
}
