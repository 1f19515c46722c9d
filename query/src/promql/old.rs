//! Functions of range vectors over samples of which the store has windows: where every window is either within the range or not,
//! the answer is that of the samples themselves.

use std::collections::HashMap;

use demarc_proto::SeriesId;
use demarc_store::{DataFile, Resolution, Selected, Snapshot, Wanted, Window as Old, Windows};

use super::{
    ast::{Edges, Expr, RangeSelector},
    eval::Eval,
    rate::{Counter, change_of_old},
    selector::{Cut, Window},
    source::{Interval, Need, RawSeries},
    sum::Sum,
    value::{Series, SeriesLabels, Steps},
};
use crate::QueryError;

/// A function of all samples of a window, given the parts of it and their sum.
type OldFn = fn(&[Old], &Old, Window<'_>) -> Option<f64>;

/// A series and its windows, by time.
type Labelled = (SeriesLabels, Vec<Old>);

impl Eval<'_> {
    /// The function `name` of a range selector, from windows of samples where that is exact, and where there is nothing else;
    /// `None` where samples are to be read.
    pub(super) fn over_old(
        &self,
        name: &str,
        argument: &Expr,
        steps: Steps,
    ) -> Result<Option<Vec<Series>>, QueryError> {
        let (Some(function), Expr::Range(range)) = (find(name), argument.without_parens()) else {
            return Ok(None);
        };
        if range.selector.edges != Edges::Plain || self.reading.is_federated() {
            return Ok(None);
        }
        let cut = self.cut(range)?;
        let Some(rows) = self.old_rows(range, &cut, steps)? else {
            return Ok(None);
        };
        let mut found = Vec::new();
        for (labels, rows) in rows {
            self.hold(steps.count)?;
            let mut series = Series::empty(labels, true, steps.count);
            let mut bounds = (0, 0);
            for (step, time) in steps.times().enumerate() {
                let window = cut.empty(time);
                let parts = within(&rows, window, &mut bounds);
                if let Some(value) = total(parts).and_then(|all| function(parts, &all, window)) {
                    series.floats[step] = value;
                }
            }
            if !series.is_empty() {
                self.note_no_counter(name, &series, argument.span());
                series.drop_name = !matches!(name, "last_over_time" | "first_over_time");
                found.push(series);
            }
        }
        Ok(Some(found))
    }

    /// The windows of each selected series, by time; `None` where samples are to be read.
    fn old_rows(
        &self,
        range: &RangeSelector,
        cut: &Cut,
        steps: Steps,
    ) -> Result<Option<Vec<Labelled>>, QueryError> {
        let interval = cut.interval(steps);
        let matched = self.reading.matched(&range.selector.matchers)?;
        let (Some((snapshot, matchers)), Some(span)) = (matched.first(), interval.range()) else {
            return Ok(None);
        };
        let longest = cut.longest(steps);
        let stretches = snapshot.stretches(span, longest);
        if stretches.iter().all(|stretch| stretch.windows.is_none()) {
            return Ok(None);
        }
        let series = snapshot.select_numbered(matchers, Some(span))?;
        self.reading.budget.take_series(series.entries.len())?;
        if !self
            .stored_histograms(snapshot, &series.entries, interval)?
            .is_empty()
        {
            return Ok(None);
        }
        let mut rows = Rows::of(&series);
        for stretch in stretches {
            let part = Interval {
                min: stretch.range.0.0,
                max: stretch.range.1.0,
            };
            match stretch.windows {
                Some(resolution) => {
                    if longest.is_none_or(|longest| longest < resolution) {
                        self.notes.add_old(resolution.millis());
                    }
                    self.read_old((snapshot, resolution), &series, part, &mut rows)?;
                }
                None => {
                    let millis = longest.map_or(1, Resolution::millis);
                    let need = Need {
                        interval: part,
                        ends: None,
                        cells: 0,
                    };
                    let made = self.each_series(&range.selector, need, |raw| {
                        raw.drop_stale();
                        Ok(Some((raw.labels.clone(), windows_of(raw, millis))))
                    })?;
                    for (labels, windows) in made {
                        rows.extend(&labels, windows);
                    }
                }
            }
        }
        Ok(Some(rows.finish(series)))
    }

    fn read_old(
        &self,
        (snapshot, resolution): (&Snapshot, Resolution),
        series: &Selected,
        interval: Interval,
        rows: &mut Rows,
    ) -> Result<(), QueryError> {
        for (place, window) in self.old_windows((snapshot, resolution), series, interval)? {
            if window.count > 0 {
                rows.of[place].push(window);
            }
        }
        Ok(())
    }

    /// The stored windows of the series that end within `interval`, each with the place of its series.
    pub(super) fn old_windows(
        &self,
        (snapshot, resolution): (&Snapshot, Resolution),
        series: &Selected,
        interval: Interval,
    ) -> Result<Vec<(usize, Old)>, QueryError> {
        let places: HashMap<SeriesId, usize> =
            series.entries.iter().map(|one| one.id).zip(0..).collect();
        let wanted = Wanted::new(&series.entries);
        let parts = snapshot.parts(resolution.table(), &wanted, interval.millis())?;
        let read = self.reading.crew.map(parts.len(), |at| {
            let mut found = Vec::new();
            for batch in parts[at].batches()? {
                self.check_alive()?;
                for (id, window) in Old::from_batch(resolution, &batch)? {
                    let is_within =
                        interval.min <= window.end.time && window.end.time <= interval.max;
                    if let (true, Some(place)) = (is_within, places.get(&id)) {
                        found.push((*place, window));
                    }
                }
            }
            self.count(found.len())?;
            self.reading
                .budget
                .take_bytes(size_of_val(found.as_slice()))?;
            Ok(found)
        })?;
        self.note_old_losses((snapshot, resolution), interval);
        Ok(read.into_iter().flatten().collect())
    }

    /// Notes windows that are missing because their file is damaged, unless they were made again.
    fn note_old_losses(&self, (snapshot, resolution): (&Snapshot, Resolution), interval: Interval) {
        let Some(range) = interval.range() else {
            return;
        };
        let files = snapshot.files(resolution.table());
        for (day, file) in snapshot.losses(resolution.table(), range) {
            let is_other = |one: &DataFile| one.date == day && !one.path.ends_with(&file);
            if !files.iter().any(is_other) {
                self.notes.add_loss(&day, &file);
            }
        }
    }
}

/// The windows of several series, by their places.
struct Rows {
    places: HashMap<SeriesId, usize>,
    of: Vec<Vec<Old>>,
}

impl Rows {
    fn of(series: &Selected) -> Self {
        Self {
            places: series.entries.iter().map(|one| one.id).zip(0..).collect(),
            of: vec![Vec::new(); series.entries.len()],
        }
    }

    fn extend(&mut self, labels: &SeriesLabels, windows: Vec<Old>) {
        let SeriesLabels::Stored(entry) = labels else {
            return;
        };
        if let Some(place) = self.places.get(&entry.id) {
            self.of[*place].extend(windows);
        }
    }

    fn finish(self, series: Selected) -> Vec<Labelled> {
        let entries = series.entries.into_iter().map(SeriesLabels::Stored);
        let filled = entries.zip(self.of).filter(|(_, rows)| !rows.is_empty());
        filled
            .map(|(labels, mut rows)| {
                rows.sort_by_key(|row| row.end.time);
                (labels, rows)
            })
            .collect()
    }
}

fn windows_of(raw: &RawSeries, millis: i64) -> Vec<Old> {
    let mut windows = Windows::new(millis);
    let mut done = Vec::new();
    for (at, (time, value)) in raw.floats.iter().enumerate() {
        let start = raw.starts.get(at).copied().unwrap_or(0);
        done.extend(windows.push(demarc_store::Edge {
            time: *time,
            value: *value,
            start,
        }));
    }
    done.extend(windows.finish());
    done
}

/// The windows that end within the range, whose bounds only rise.
fn within<'a>(rows: &'a [Old], range: Window<'_>, bounds: &mut (usize, usize)) -> &'a [Old] {
    let (from, to) = bounds;
    while rows
        .get(*from)
        .is_some_and(|one| one.end.time <= range.start)
    {
        *from += 1;
    }
    *to = (*to).max(*from);
    while rows.get(*to).is_some_and(|one| one.end.time <= range.end) {
        *to += 1;
    }
    &rows[*from..*to]
}

fn total(parts: &[Old]) -> Option<Old> {
    let (first, rest) = parts.split_first()?;
    let mut all = *first;
    for part in rest {
        all.extend(part);
    }
    Some(all)
}

fn find(name: &str) -> Option<OldFn> {
    Some(match name {
        "sum_over_time" => |parts, _, _| Some(sum(parts)),
        "count_over_time" => |_, all, _| Some(all.count as f64),
        "avg_over_time" => |parts, all, _| Some(mean(parts, all)),
        "min_over_time" => |_, all, _| Some(all.min),
        "max_over_time" => |_, all, _| Some(all.max),
        "present_over_time" => |_, _, _| Some(1.0),
        "first_over_time" => |_, all, _| Some(all.first.value),
        "last_over_time" => |_, all, _| Some(all.last.value),
        "ts_of_first_over_time" => |_, all, _| Some(all.first.time as f64 / 1000.0),
        "ts_of_last_over_time" => |_, all, _| Some(all.last.time as f64 / 1000.0),
        "increase" => |_, all, window| change_of_old(all, window, Counter::Yes),
        "delta" => |_, all, window| change_of_old(all, window, Counter::No),
        "rate" => |_, all, window| {
            let change = change_of_old(all, window, Counter::Yes)?;
            Some(change / window.seconds())
        },
        _ => return None,
    })
}

fn sum(parts: &[Old]) -> f64 {
    Sum::of(parts.iter().map(|part| part.sum))
}

fn mean(parts: &[Old], all: &Old) -> f64 {
    let (sum, count) = (sum(parts), all.count as f64);
    if sum.is_finite() {
        return sum / count;
    }
    // A sum can be too large where the mean is not.
    Sum::of(parts.iter().map(|part| part.sum / count))
}
