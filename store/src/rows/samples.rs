//! Samples on their way from a decoder to log and head: flat, with nothing allocated per series or per sample.

use std::sync::Arc;

use demarc_proto::Millis;
use roaring::RoaringBitmap;

use super::Sample;

/// A series of one tenant in one open store, as [`SeriesIndex::intern`](crate::SeriesIndex::intern) gives it out. It means
/// nothing to another tenant, to another store, or after the next start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesRef(pub(crate) u32);

/// Samples of any number of series of one tenant, in any order; of two at one time of one series, the later pushed counts.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    points: Vec<Point>,
    /// Start times; neighbours share an entry.
    starts: Vec<i64>,
    /// Where the points of each series from the first one on begin, and where those of the last one end; empty where nobody has
    /// noted it.
    bounds: Vec<u32>,
}

/// One sample.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    /// The series.
    pub(crate) series: SeriesRef,
    /// Place of the start time plus one; 0 where there is none.
    start: u32,
    /// Milliseconds.
    pub(crate) time: i64,
    /// The value, with all its bits.
    pub(crate) value: f64,
}

impl Point {
    fn key(&self) -> (SeriesRef, i64) {
        (self.series, self.time)
    }
}

impl Samples {
    /// Nothing, with room for so many samples.
    pub fn with_capacity(samples: usize) -> Self {
        Self {
            points: Vec::with_capacity(samples),
            starts: Vec::new(),
            bounds: Vec::new(),
        }
    }

    /// Adds a sample of which the start is not known.
    pub fn push(&mut self, series: SeriesRef, time: Millis, value: f64) {
        self.bounds.clear();
        self.points.push(Point {
            series,
            start: 0,
            time: time.0,
            value,
        });
    }

    /// Adds a sample of a counter that began to count at `start`.
    pub fn push_started(&mut self, series: SeriesRef, start: Millis, time: Millis, value: f64) {
        let start = self.start(start.0);
        self.bounds.clear();
        self.points.push(Point {
            series,
            start,
            time: time.0,
            value,
        });
    }

    pub(crate) fn push_sample(&mut self, series: SeriesRef, sample: &Sample) {
        match sample.start {
            Some(start) => self.push_started(series, start, sample.time, sample.value),
            None => self.push(series, sample.time, sample.value),
        }
    }

    /// How many samples there are.
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// The samples; sorted by series and time after [`Samples::sort`].
    pub(crate) fn points(&self) -> &[Point] {
        &self.points
    }

    /// When the counter of `point`, one of these, began to count.
    pub(crate) fn start_of(&self, point: &Point) -> Option<i64> {
        let at = (point.start as usize).checked_sub(1)?;
        self.starts.get(at).copied()
    }

    /// Whether any sample has a start time.
    pub(crate) fn has_starts(&self) -> bool {
        !self.starts.is_empty()
    }

    /// Memory that they take.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.points.capacity() * size_of::<Point>()
            + self.starts.capacity() * size_of::<i64>()
            + self.bounds.capacity() * size_of::<u32>()
    }

    /// Sorts by series and time; samples that are equal in both keep their order.
    pub(crate) fn sort(&mut self) {
        if !self.points.is_sorted_by_key(Point::key) {
            self.bounds.clear();
            self.points.sort_by_key(Point::key);
        }
    }

    /// Notes where each series begins, unless most of the numbers between the first and the last are of other series. Only once
    /// sorted.
    pub(crate) fn note_bounds(&mut self) {
        self.bounds.clear();
        let (Some(first), Some(last)) = (self.points.first(), self.points.last()) else {
            return;
        };
        let (first, last) = (first.series.0, last.series.0);
        let span = (last - first) as usize + 1;
        if span > self.points.len() {
            return;
        }
        self.bounds.reserve_exact(span + 1);
        let mut begin = 0;
        for of_series in self.points.chunk_by(|a, b| a.series == b.series) {
            let at = (of_series[0].series.0 - first) as usize;
            self.bounds.resize(at + 1, begin);
            begin += narrow(of_series.len());
        }
        self.bounds.push(begin);
    }

    /// The points of all series from `series` on, found at once; `None` where nobody has noted where they are.
    pub(crate) fn rest_from(&self, series: SeriesRef) -> Option<&[Point]> {
        let first = self.points.first().filter(|_| !self.bounds.is_empty())?;
        let at = series.0.saturating_sub(first.series.0) as usize;
        let from = self
            .bounds
            .get(at)
            .map_or(self.points.len(), |at| *at as usize);
        Some(&self.points[from..])
    }

    /// The samples of one series, by time. Only once sorted.
    pub(crate) fn of_series(&self, series: SeriesRef) -> &[Point] {
        let rest = self.rest_from(series).unwrap_or_else(|| {
            let from = self.points.partition_point(|point| point.series < series);
            &self.points[from..]
        });
        &rest[..rest.partition_point(|point| point.series == series)]
    }

    /// The samples of several series, given by their numbers. Only once sorted.
    pub(crate) fn of_any(&self, series: &RoaringBitmap) -> Vec<Point> {
        // Looking for a series costs some twenty steps.
        if series.len() < self.points.len() as u64 / 20 {
            let found = series
                .iter()
                .map(|number| self.of_series(SeriesRef(number)));
            return found.flatten().copied().collect();
        }
        let of_series = self.points.chunk_by(|a, b| a.series == b.series);
        let found = of_series.filter(|points| series.contains(points[0].series.0));
        found.flatten().copied().collect()
    }

    /// All of `runs`, which are sorted and in the order of writing, as one.
    pub(crate) fn merge(runs: &[Arc<Self>]) -> Self {
        let mut merged = Self::with_capacity(runs.iter().map(|run| run.len()).sum());
        for run in runs {
            merged.extend(run);
        }
        // Finds the sorted stretches by itself and merges them.
        merged.points.sort_by_key(Point::key);
        merged.share_starts();
        merged
    }

    /// Adds the samples of `other` behind these.
    pub(crate) fn extend(&mut self, other: &Self) {
        self.bounds.clear();
        let shift = narrow(self.starts.len());
        let moved = other.points.iter().map(|point| Point {
            start: if point.start == 0 {
                0
            } else {
                point.start + shift
            },
            ..*point
        });
        self.points.extend(moved);
        self.starts.extend_from_slice(&other.starts);
    }

    /// Lets neighbours with the same start time share one entry again.
    fn share_starts(&mut self) {
        let starts = std::mem::take(&mut self.starts);
        if starts.is_empty() {
            return;
        }
        let mut points = std::mem::take(&mut self.points);
        for point in &mut points {
            if point.start != 0 {
                point.start = self.start(starts[point.start as usize - 1]);
            }
        }
        self.points = points;
    }

    /// The entry of a start time.
    fn start(&mut self, start: i64) -> u32 {
        if self.starts.last() != Some(&start) {
            self.starts.push(start);
        }
        narrow(self.starts.len())
    }
}

fn narrow(count: usize) -> u32 {
    u32::try_from(count).expect("fewer than 2^32 samples in memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(samples: &Samples) -> Vec<(u32, i64, f64, Option<i64>)> {
        let row = |point: &Point| {
            (
                point.series.0,
                point.time,
                point.value,
                samples.start_of(point),
            )
        };
        samples.points().iter().map(row).collect()
    }

    #[test]
    fn merging_keeps_start_times_and_the_order_of_writing() {
        let mut first = Samples::default();
        first.push_started(SeriesRef(1), Millis(7), Millis(20), 1.0);
        first.push(SeriesRef(0), Millis(10), 2.0);
        first.sort();
        let mut second = Samples::default();
        second.push_started(SeriesRef(0), Millis(8), Millis(10), 3.0);
        second.push_started(SeriesRef(1), Millis(7), Millis(15), 4.0);
        let merged = Samples::merge(&[Arc::new(first), Arc::new(second)]);
        assert_eq!(
            rows(&merged),
            [
                (0, 10, 2.0, None),
                (0, 10, 3.0, Some(8)),
                (1, 15, 4.0, Some(7)),
                (1, 20, 1.0, Some(7)),
            ]
        );
        assert_eq!(merged.of_series(SeriesRef(1)).len(), 2);
        assert!(merged.of_series(SeriesRef(2)).is_empty());
    }

    #[test]
    fn a_series_is_the_same_wherever_the_bounds_are_noted() {
        let mut samples = Samples::default();
        for series in [3, 3, 5, 8, 8, 8, 8] {
            samples.push(SeriesRef(series), Millis(i64::from(series)), 1.0);
        }
        let counts = |samples: &Samples| -> Vec<usize> {
            let all = (0..12).map(|series| samples.of_series(SeriesRef(series)).len());
            all.collect()
        };
        let before = counts(&samples);
        assert!(samples.rest_from(SeriesRef(3)).is_none());
        samples.note_bounds();
        assert_eq!(samples.rest_from(SeriesRef(4)).map(<[Point]>::len), Some(5));
        assert_eq!(counts(&samples), before);
        samples.push(SeriesRef(9), Millis(0), 1.0);
        assert!(samples.rest_from(SeriesRef(3)).is_none());
        assert_eq!(samples.of_series(SeriesRef(9)).len(), 1);
    }
}
