//! The leaves' data: all samples of the selected series within a span of time, from memory and files.
//!
//! The row groups of files are read first, in parallel and in columns ([`files`]). Then the series are put together one after
//! the other, also in parallel, each in the same room as the one before it, and handed to whoever evaluates it.

mod files;
mod histograms;

use std::{collections::HashMap, sync::Arc};

use demarc_proto::{Millis, Nanos, TimeRange};
use demarc_store::{Resolution, Selected, Snapshot, Table};

use self::{files::Stretches, histograms::Found};
use super::{
    ast::Selector,
    eval::Eval,
    native::Histogram,
    value::{SeriesLabels, is_absent},
};
use crate::{QueryError, reading::with_tenant};

/// Series that are put together by one thread at a time, at most.
const MAX_CHUNK: usize = 512;
/// The fewest series with values at many steps that are worth another thread.
const MIN_CHUNK: usize = 64;
/// Into how many chunks the series of a selection are divided where neither limit is reached.
const CHUNKS: usize = 8;
/// Values and samples that one thread may take before it counts them.
const UNCOUNTED: usize = 8192;

/// One series, as stored or as a subquery made it: times in milliseconds, ascending, each once.
#[derive(Clone, Debug)]
pub(super) struct RawSeries {
    pub(super) labels: SeriesLabels,
    pub(super) drop_name: bool,
    pub(super) floats: Vec<(i64, f64)>,
    /// When each float began to count, 0 where it is not known; empty where none is.
    pub(super) starts: Vec<i64>,
    pub(super) histograms: Vec<RawHistogram>,
}

/// A histogram at a time.
#[derive(Clone, Debug)]
pub(super) struct RawHistogram {
    pub(super) time: i64,
    /// When it began to count; 0 where it is not known.
    pub(super) start: i64,
    pub(super) value: Arc<Histogram>,
}

/// What of histograms is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    /// All of it.
    Whole,
    /// Count and sum, and what is known of counter resets.
    CountAndSum,
}

/// Closed span of time in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interval {
    pub(super) min: i64,
    pub(super) max: i64,
}

/// What the last samples of stored windows are good for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    /// They are all that is needed of windows up to this length: only their ends are asked for.
    pub(super) longest: Option<Resolution>,
    /// How long a sample counts, in milliseconds; that of a longer window counts until the window is over.
    pub(super) hold: i64,
}

/// What a leaf needs of each series.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    pub(super) interval: Interval,
    /// Of days of which there are only windows of samples, what their last samples are good for; `None` for nothing.
    pub(super) ends: Option<Ends>,
    /// How many values are held for each series while evaluating.
    pub(super) cells: usize,
}

/// What a thread has used up and not counted yet: counting is shared by all of them.
#[derive(Default)]
struct Uncounted {
    samples: usize,
    cells: usize,
}

impl Interval {
    /// As a half-open range of nanoseconds; `None` when it is empty.
    pub(super) fn range(self) -> Option<TimeRange> {
        let nanos = |millis: i64| Nanos(millis.saturating_mul(1_000_000));
        TimeRange::new(nanos(self.min), nanos(self.max.saturating_add(1)))
    }

    pub(super) fn millis(self) -> (Millis, Millis) {
        (Millis(self.min), Millis(self.max))
    }
}

/// The series of one tenant that a selector selects, and where their samples are.
struct Source<'a> {
    snapshot: &'a Snapshot,
    series: Selected,
    need: Need,
    detail: Detail,
    in_files: Stretches,
    old: OldPoints,
    histograms: Found,
}

/// Times and values of the last samples of windows, by the place of their series.
type OldPoints = HashMap<usize, Vec<(i64, f64)>>;

impl Eval<'_> {
    /// Hands each series of `selector` that has samples in the interval that is needed, stale markers among them, to `visit`, on
    /// several threads. What it returns comes in the order of the series' labels. Of days of which there are only windows of
    /// samples, and where that is good enough, the last sample of each window stands for all of it.
    pub(super) fn each_series<T: Send>(
        &self,
        selector: &Selector,
        need: Need,
        visit: impl Fn(&mut RawSeries) -> Result<Option<T>, QueryError> + Sync,
    ) -> Result<Vec<T>, QueryError> {
        let mut found: Vec<(T, Option<SeriesLabels>)> = Vec::new();
        let is_federated = self.reading.is_federated();
        for (snapshot, matchers) in self.reading.matched(&selector.matchers)? {
            let Some(range) = need.interval.range() else {
                continue;
            };
            let series = snapshot.select_numbered(&matchers, Some(range))?;
            self.reading.budget.take_series(series.entries.len())?;
            let source = self.source(snapshot, series, need, self.detail(selector))?;
            let visit = |raw: &mut RawSeries| {
                if is_federated {
                    raw.labels = with_tenant(&raw.labels, snapshot.tenant()).into();
                }
                let seen = visit(raw)?;
                let labels = is_federated.then(|| raw.labels.clone());
                Ok(seen.map(|one| (one, labels)))
            };
            found.extend(self.each_of(&source, visit)?);
        }
        if is_federated {
            found.sort_by(|a, b| a.1.as_deref().cmp(&b.1.as_deref()));
        }
        Ok(found.into_iter().map(|(one, _)| one).collect())
    }

    fn detail(&self, selector: &Selector) -> Detail {
        if self.counts_only.contains(&selector.span.start) {
            Detail::CountAndSum
        } else {
            Detail::Whole
        }
    }

    fn source<'s>(
        &self,
        snapshot: &'s Snapshot,
        series: Selected,
        need: Need,
        detail: Detail,
    ) -> Result<Source<'s>, QueryError> {
        let Need { interval, ends, .. } = need;
        let range = interval.range();
        let longest = ends.and_then(|ends| ends.longest);
        let stretches = range.map(|range| snapshot.stretches(range, longest));
        let (mut samples, mut old) = (Vec::new(), OldPoints::new());
        for stretch in stretches.unwrap_or_default() {
            let part = Interval {
                min: stretch.range.0.0,
                max: stretch.range.1.0,
            };
            match stretch.windows {
                None => samples.push(part),
                Some(resolution) => {
                    self.read_ends((snapshot, resolution), &series, (part, ends), &mut old)?;
                }
            }
        }
        let in_files = self.in_files(snapshot, &series.entries, &samples)?;
        let histograms = self.stored_histograms(snapshot, &series.entries, interval)?;
        self.note_losses(snapshot, interval);
        Ok(Source {
            snapshot,
            series,
            need,
            detail,
            in_files,
            old,
            histograms,
        })
    }

    /// Adds the last samples of windows to `old`.
    fn read_ends(
        &self,
        (snapshot, resolution): (&Snapshot, Resolution),
        series: &Selected,
        (interval, ends): (Interval, Option<Ends>),
        old: &mut OldPoints,
    ) -> Result<(), QueryError> {
        let is_exact = ends.and_then(|ends| ends.longest) >= Some(resolution);
        if !is_exact {
            self.notes.add_old(resolution.millis());
        }
        let mut windows = self.old_windows((snapshot, resolution), series, interval)?;
        windows.sort_by_key(|(place, window)| (*place, window.end.time));
        for (at, (place, window)) in windows.iter().enumerate() {
            let (time, value) = (window.end.time, window.end.value);
            let points = old.entry(*place).or_default();
            points.push((time, value));
            let Some(ends) = ends.filter(|ends| !is_exact && ends.hold > 0) else {
                continue;
            };
            let next = windows.get(at + 1).filter(|(of, _)| of == place);
            let over = time.saturating_add(resolution.millis());
            let until = next.map_or(over, |(_, next)| next.end.time.min(over));
            let mut held = time.saturating_add(ends.hold);
            while held < until && !is_absent(value) {
                points.push((held, value));
                held = held.saturating_add(ends.hold);
            }
        }
        Ok(())
    }

    /// Notes what is missing because a file is damaged: known once the files were read.
    fn note_losses(&self, snapshot: &Snapshot, interval: Interval) {
        let Some(range) = interval.range() else {
            return;
        };
        for table in [Table::Samples, Table::Histograms] {
            for (day, file) in snapshot.losses(table, range) {
                self.notes.add_loss(&day, &file);
            }
        }
    }

    fn each_of<T: Send>(
        &self,
        source: &Source<'_>,
        visit: impl Fn(&mut RawSeries) -> Result<Option<T>, QueryError> + Sync,
    ) -> Result<Vec<T>, QueryError> {
        let count = source.series.entries.len();
        // Memory is read in the order of the series' numbers: neighbours there lie beside each other.
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_unstable_by_key(|place| source.series.numbers[*place]);
        let is_wide = source.need.cells > 1;
        let least = if is_wide { MIN_CHUNK } else { MAX_CHUNK };
        let chunks = order.chunks((count / CHUNKS).clamp(least, MAX_CHUNK));
        let chunks: Vec<&[usize]> = chunks.collect();
        let crew = &self.reading.crew;
        let chunks = crew.map(chunks.len(), |at| {
            self.each_within(source, chunks[at], &visit)
        })?;
        let mut seen: Vec<Option<T>> = Vec::new();
        seen.resize_with(count, || None);
        for (place, one) in chunks.into_iter().flatten() {
            seen[place] = Some(one);
        }
        Ok(seen.into_iter().flatten().collect())
    }

    /// As [`Self::each_of`], of the series at some places, which are in the order of the series' numbers.
    fn each_within<T>(
        &self,
        source: &Source<'_>,
        places: &[usize],
        visit: impl Fn(&mut RawSeries) -> Result<Option<T>, QueryError>,
    ) -> Result<Vec<(usize, T)>, QueryError> {
        let entry = |place: usize| SeriesLabels::Stored(Arc::clone(&source.series.entries[place]));
        let Some(first) = places.first() else {
            return Ok(Vec::new());
        };
        let interval = source.need.interval;
        let mut memory = source.snapshot.in_memory(interval.millis());
        let mut uncounted = Uncounted::default();
        let mut raw = RawSeries::empty(entry(*first));
        let mut seen = Vec::with_capacity(places.len());
        for place in places.iter().copied() {
            raw.clear();
            raw.labels = entry(place);
            for (time, value) in source.old.get(&place).into_iter().flatten() {
                raw.push(*time, *value, 0);
            }
            source.in_files.read(place, &mut raw);
            let loaded = raw.floats.len();
            let number = source.series.numbers[place];
            memory.read(number, &mut raw.floats, &mut raw.starts);
            uncounted.samples += raw.floats.len() - loaded;
            raw.sort_floats();
            if let Some(histograms) = source.histograms.get(&place) {
                raw.histograms = histograms::with_resets(histograms, &raw.floats, source.detail);
                raw.histograms.retain(|one| one.time >= interval.min);
            }
            if !raw.floats.is_empty() || !raw.histograms.is_empty() {
                uncounted.cells += source.need.cells;
                seen.extend(visit(&mut raw)?.map(|one| (place, one)));
            }
            if uncounted.samples + uncounted.cells >= UNCOUNTED {
                self.count_in(&mut uncounted)?;
            }
        }
        self.count_in(&mut uncounted)?;
        Ok(seen)
    }

    fn count_in(&self, uncounted: &mut Uncounted) -> Result<(), QueryError> {
        let Uncounted { samples, cells } = std::mem::take(uncounted);
        self.count(samples)?;
        self.hold(cells)
    }
}

impl RawSeries {
    fn empty(labels: SeriesLabels) -> Self {
        Self {
            labels,
            drop_name: false,
            floats: Vec::new(),
            starts: Vec::new(),
            histograms: Vec::new(),
        }
    }

    /// Makes room for another series.
    fn clear(&mut self) {
        self.drop_name = false;
        self.floats.clear();
        self.starts.clear();
        self.histograms.clear();
    }

    fn push(&mut self, time: i64, value: f64, start: i64) {
        if start != 0 || !self.starts.is_empty() {
            self.starts.resize(self.floats.len(), 0);
            self.starts.push(start);
        }
        self.floats.push((time, value));
    }

    /// Sorts the floats; of two at one time, the later written counts.
    fn sort_floats(&mut self) {
        if self.starts.is_empty() {
            keep_last(&mut self.floats, |(time, _)| *time);
            return;
        }
        let both = self.floats.iter().zip(&self.starts);
        let mut both: Vec<((i64, f64), i64)> = both.map(|(one, start)| (*one, *start)).collect();
        keep_last(&mut both, |((time, _), _)| *time);
        (self.floats, self.starts) = both.into_iter().unzip();
    }

    /// Drops the markers that end a series.
    pub(super) fn drop_stale(&mut self) {
        if self.floats.iter().any(|(_, value)| is_absent(*value)) {
            let mut values = self.floats.iter();
            let is_kept = |_: &i64| values.next().is_some_and(|(_, value)| !is_absent(*value));
            self.starts.retain(is_kept);
            self.floats.retain(|(_, value)| !is_absent(*value));
        }
        self.histograms.retain(|one| !is_absent(one.value.sum));
    }
}

fn keep_last<T>(rows: &mut Vec<T>, time: impl Fn(&T) -> i64) {
    let is_sorted = rows.windows(2).all(|pair| time(&pair[0]) < time(&pair[1]));
    if is_sorted {
        return;
    }
    // A stable sort keeps the order of writing among equal times.
    rows.sort_by_key(|row| time(row));
    rows.reverse();
    rows.dedup_by_key(|row| time(row));
    rows.reverse();
}
