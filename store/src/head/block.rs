//! Samples that no longer change: a third of the room that others take, and each series is found at once.

use std::{iter, sync::Arc};

use crate::rows::{Samples, SeriesRef};

/// Samples of any number of series, those of one beside each other, by time; of equal times, in the order of writing.
#[derive(Debug)]
pub(crate) struct Block {
    series: Numbers,
    /// Where each series begins, and where the last one ends.
    places: Vec<Place>,
    /// Series that were sampled together share their times.
    times: Vec<i64>,
    values: Vec<f64>,
    /// From which value on samples have which start; empty where none is known.
    starts: Vec<(u32, i64)>,
    first_time: i64,
    last_time: i64,
}

/// Where the times and values of a series begin.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    values: u32,
    times: u32,
}

/// Which series there are.
#[derive(Debug)]
enum Numbers {
    /// Nearly all from this one on: those without samples have an empty place.
    From(u32),
    /// These, ascending.
    These(Vec<u32>),
}

/// The samples of one series.
#[derive(Clone, Copy, Debug)]
struct Column<'a> {
    times: &'a [i64],
    values: &'a [f64],
    /// The place of the first value.
    at: u32,
}

/// One sample: time, value, and when it began to count, 0 where that is not known.
type Row = (i64, f64, i64);

impl Block {
    /// The same as sorted `samples`.
    pub(crate) fn of(samples: &Samples) -> Self {
        let mut builder = Builder::with_capacity(samples.len());
        let mut rows: Vec<Row> = Vec::new();
        for points in samples.points().chunk_by(|a, b| a.series == b.series) {
            let start = |point| samples.start_of(point).unwrap_or(0);
            rows.clear();
            rows.extend(points.iter().map(|one| (one.time, one.value, start(one))));
            builder.add(points[0].series.0, &rows);
        }
        builder.finish()
    }

    /// All samples of several blocks, which come in the order of writing.
    pub(crate) fn merge(blocks: &[Arc<Self>]) -> Self {
        let mut numbers: Vec<u32> = blocks.iter().flat_map(|one| one.numbers()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let mut builder = Builder::with_capacity(blocks.iter().map(|one| one.len()).sum());
        let mut rows: Vec<Row> = Vec::new();
        for number in numbers {
            rows.clear();
            for block in blocks {
                block.rows(SeriesRef(number), &mut rows);
            }
            if !rows.is_sorted_by_key(|row| row.0) {
                rows.sort_by_key(|row| row.0);
            }
            builder.add(number, &rows);
        }
        builder.finish()
    }

    /// How many samples there are.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether any sample may be within a span of time, both ends inclusive.
    pub(crate) fn overlaps(&self, (first, last): (i64, i64)) -> bool {
        self.first_time <= last && first <= self.last_time
    }

    /// The last time of any sample.
    pub(crate) fn last_time(&self) -> i64 {
        self.last_time
    }

    /// Memory that they take.
    pub(crate) fn memory_bytes(&self) -> usize {
        let numbers = match &self.series {
            Numbers::From(_) => 0,
            Numbers::These(numbers) => numbers.capacity() * size_of::<u32>(),
        };
        size_of::<Self>()
            + numbers
            + self.places.capacity() * size_of::<Place>()
            + self.times.capacity() * size_of::<i64>()
            + self.values.capacity() * size_of::<f64>()
            + self.starts.capacity() * size_of::<(u32, i64)>()
    }

    /// Adds times and values of one series from the first to the last of two times, both inclusive, to `floats`, and to `starts`
    /// when each began to count, which stays empty as long as none is known.
    pub(crate) fn read(
        &self,
        series: SeriesRef,
        (first, last): (i64, i64),
        floats: &mut Vec<(i64, f64)>,
        starts: &mut Vec<i64>,
    ) {
        let Some(column) = self.column(series) else {
            return;
        };
        let (mut from, mut to) = (0, column.times.len());
        if self.first_time < first {
            from = column.times.partition_point(|time| *time < first);
        }
        if last < self.last_time {
            to = column.times.partition_point(|time| *time <= last);
        }
        if from >= to {
            return;
        }
        if !self.starts.is_empty() || !starts.is_empty() {
            starts.resize(floats.len(), 0);
            starts.extend(self.starts_from(column.at + from as u32).take(to - from));
        }
        let values = column.times[from..to].iter().zip(&column.values[from..to]);
        floats.extend(values.map(|(time, value)| (*time, *value)));
    }

    fn rows(&self, series: SeriesRef, into: &mut Vec<Row>) {
        let Some(column) = self.column(series) else {
            return;
        };
        let times = column.times.iter().copied();
        let values = times.zip(column.values.iter().copied());
        let starts = self.starts_from(column.at);
        into.extend(
            values
                .zip(starts)
                .map(|((time, value), start)| (time, value, start)),
        );
    }

    /// The starts of the samples from a value on; without end.
    fn starts_from(&self, at: u32) -> impl Iterator<Item = i64> + '_ {
        let next = self.starts.partition_point(|(from, _)| *from <= at);
        let mut start = next.checked_sub(1).map_or(0, |last| self.starts[last].1);
        let mut coming = self.starts[next..].iter().peekable();
        (at..).map(move |at| {
            if let Some((_, other)) = coming.next_if(|(from, _)| *from == at) {
                start = *other;
            }
            start
        })
    }

    fn column(&self, series: SeriesRef) -> Option<Column<'_>> {
        let at = match &self.series {
            Numbers::From(first) => series.0.checked_sub(*first)? as usize,
            Numbers::These(numbers) => numbers.binary_search(&series.0).ok()?,
        };
        let (from, to) = (*self.places.get(at)?, self.places.get(at + 1)?.values);
        let count = (to - from.values) as usize;
        let times = from.times as usize;
        Some(Column {
            times: &self.times[times..times + count],
            values: &self.values[from.values as usize..to as usize],
            at: from.values,
        })
    }

    /// The numbers of the series, some of which may have no sample.
    fn numbers(&self) -> Box<dyn Iterator<Item = u32> + '_> {
        match &self.series {
            Numbers::From(first) => Box::new((*first..).take(self.places.len().saturating_sub(1))),
            Numbers::These(numbers) => Box::new(numbers.iter().copied()),
        }
    }
}

/// A block while it is put together, series by series.
struct Builder {
    numbers: Vec<u32>,
    block: Block,
    /// Where the times of the last series are.
    shared: (usize, usize),
}

impl Builder {
    fn with_capacity(samples: usize) -> Self {
        Self {
            numbers: Vec::new(),
            block: Block {
                series: Numbers::From(0),
                places: Vec::new(),
                times: Vec::new(),
                values: Vec::with_capacity(samples),
                starts: Vec::new(),
                first_time: i64::MAX,
                last_time: i64::MIN,
            },
            shared: (0, 0),
        }
    }

    /// Adds the samples of a series whose number is greater than those before.
    fn add(&mut self, number: u32, rows: &[Row]) {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
            return;
        };
        let block = &mut self.block;
        block.first_time = block.first_time.min(first.0);
        block.last_time = block.last_time.max(last.0);
        let times = || rows.iter().map(|row| row.0);
        let (from, to) = self.shared;
        if !block.times[from..to].iter().copied().eq(times()) {
            let from = block.times.len();
            block.times.extend(times());
            self.shared = (from, block.times.len());
        }
        self.numbers.push(number);
        block.places.push(Place {
            values: narrow(block.values.len()),
            times: narrow(self.shared.0),
        });
        for (_, value, start) in rows {
            let last = block.starts.last().map_or(0, |(_, start)| *start);
            if *start != last {
                block.starts.push((narrow(block.values.len()), *start));
            }
            block.values.push(*value);
        }
    }

    fn finish(self) -> Block {
        let Self {
            numbers, mut block, ..
        } = self;
        let end = Place {
            values: narrow(block.values.len()),
            times: narrow(block.times.len()),
        };
        let first = numbers.first().copied().unwrap_or(0);
        let span = numbers.last().map_or(0, |last| (last - first) as usize + 1);
        if span <= 2 * numbers.len() {
            let mut places = Vec::with_capacity(span + 1);
            for (number, place) in numbers.iter().zip(&block.places) {
                // Of series that are not there, each begins where it ends.
                let absent = (number - first) as usize - places.len();
                places.extend(iter::repeat_n(*place, absent + 1));
            }
            block.places = places;
            block.series = Numbers::From(first);
        } else {
            block.series = Numbers::These(numbers);
        }
        block.places.push(end);
        block.places.shrink_to_fit();
        block.times.shrink_to_fit();
        block.starts.shrink_to_fit();
        block
    }
}

fn narrow(at: usize) -> u32 {
    u32::try_from(at).expect("fewer than 2^32 samples in memory")
}

#[cfg(test)]
mod tests {
    use demarc_proto::Millis;
    use proptest::prelude::*;

    use super::*;

    type Point = (u32, i64, i32, i64);

    /// Sorted samples and, beside them, what they hold.
    fn samples(points: &[Point]) -> Samples {
        let mut samples = Samples::default();
        for (series, time, value, start) in points {
            let (series, time, value) = (SeriesRef(*series), Millis(*time), f64::from(*value));
            match start {
                0 => samples.push(series, time, value),
                start => samples.push_started(series, Millis(*start), time, value),
            }
        }
        samples.sort();
        samples
    }

    fn read(block: &Block, series: u32, range: (i64, i64)) -> Vec<Row> {
        let (mut floats, mut starts) = (Vec::new(), Vec::new());
        block.read(SeriesRef(series), range, &mut floats, &mut starts);
        assert!(starts.is_empty() || starts.len() == floats.len());
        starts.resize(floats.len(), 0);
        let rows = floats.into_iter().zip(starts);
        rows.map(|((time, value), start)| (time, value, start))
            .collect()
    }

    fn expected(points: &[Point], series: u32, (first, last): (i64, i64)) -> Vec<Row> {
        let mut rows: Vec<Row> = points
            .iter()
            .filter(|one| one.0 == series && first <= one.1 && one.1 <= last)
            .map(|one| (one.1, f64::from(one.2), one.3))
            .collect();
        rows.sort_by_key(|row| row.0);
        rows
    }

    fn points() -> impl Strategy<Value = Vec<Point>> {
        let series = prop_oneof![0_u32..9, Just(1000)];
        let start = prop_oneof![Just(0), Just(7), 1_i64..9];
        prop::collection::vec((series, 0_i64..20, any::<i32>(), start), 1..60)
    }

    proptest! {
        #[test]
        fn blocks_hold_what_was_put_into_them_also_once_merged(
            parts in prop::collection::vec(points(), 1..5),
            range in (-2_i64..22, -2_i64..22),
        ) {
            let blocks: Vec<_> = parts.iter().map(|one| Arc::new(Block::of(&samples(one)))).collect();
            let merged = Block::merge(&blocks);
            let all: Vec<Point> = parts.concat();
            prop_assert_eq!(merged.len(), all.len());
            for series in (0..10).chain([999, 1000, 1001]) {
                prop_assert_eq!(read(&merged, series, range), expected(&all, series, range));
                for (block, points) in blocks.iter().zip(&parts) {
                    prop_assert_eq!(read(block, series, range), expected(points, series, range));
                }
            }
        }
    }

    #[test]
    fn series_that_are_sampled_together_take_little_more_than_their_values() {
        let points = (0..1000).flat_map(|series| (0..50).map(move |time| (series, time, 1, 3)));
        let block = Block::of(&samples(&points.collect::<Vec<_>>()));
        let bytes = block.memory_bytes() as f64 / 50_000.0;
        assert!(bytes < 8.3, "{bytes} bytes per sample");
    }
}
