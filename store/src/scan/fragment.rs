//! The wanted samples of one row group, in columns.

use std::{ops::Range, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, BinaryArray, Float64Array, Int64Array, RecordBatch},
    datatypes::{Float64Type, Int32Type, Int64Type},
};
use demarc_proto::{Millis, SeriesId};
use parquet::arrow::arrow_reader::RowSelection;

use super::Wanted;
use crate::{StoreError, Table};

/// The wanted samples of a row group, among others maybe.
#[derive(Clone, Debug, Default)]
pub struct Fragment {
    /// The samples.
    pub columns: Arc<Columns>,
    /// Which of them are wanted, and of which series they are.
    pub stretches: Vec<Stretch>,
}

/// Samples in columns: times in milliseconds, and values.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    /// The times of the samples.
    pub times: Vec<i64>,
    /// Their values, stale markers among them.
    pub values: Vec<f64>,
    /// When each began to count, 0 where it is not known; empty where none is.
    pub starts: Vec<i64>,
}

impl Fragment {
    /// How many samples are wanted.
    pub fn wanted(&self) -> usize {
        let rows = self
            .stretches
            .iter()
            .map(|one| (one.to - one.from) as usize);
        rows.sum()
    }
}

impl Columns {
    /// Memory that they take.
    pub fn memory_bytes(&self) -> usize {
        self.times.capacity() * size_of::<i64>()
            + self.values.capacity() * size_of::<f64>()
            + self.starts.capacity() * size_of::<i64>()
    }

    /// Adds rows of a batch.
    pub(super) fn push(&mut self, read: &Read<'_>, (from, to): (usize, usize)) {
        self.times.extend_from_slice(&read.times[from..to]);
        push_values(&mut self.values, read, (from, to));
        if let Some(starts) = read.starts {
            let start = |at| {
                if starts.is_valid(at) {
                    starts.value(at)
                } else {
                    0
                }
            };
            // What came before in another batch has starts as well: the column is read for all or for none.
            self.starts.extend((from..to).map(start));
        }
    }

    /// Brings neighbouring samples into the order of time; those of equal times stay in theirs.
    pub(super) fn sort(&mut self, rows: Range<usize>) {
        if self.times[rows.clone()].is_sorted() {
            return;
        }
        let mut order: Vec<usize> = rows.clone().collect();
        order.sort_by_key(|at| self.times[*at]);
        let times: Vec<i64> = order.iter().map(|at| self.times[*at]).collect();
        let values: Vec<f64> = order.iter().map(|at| self.values[*at]).collect();
        if !self.starts.is_empty() {
            let starts: Vec<i64> = order.iter().map(|at| self.starts[*at]).collect();
            self.starts[rows.clone()].copy_from_slice(&starts);
        }
        self.times[rows.clone()].copy_from_slice(&times);
        self.values[rows].copy_from_slice(&values);
    }
}

/// Neighbouring samples of one series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The place of the series.
    pub place: u32,
    /// The first of them.
    pub from: u32,
    /// The first one after them.
    pub to: u32,
}

/// The rows of a row group that belong to wanted series, found by their ids.
pub(super) struct Rows<'a> {
    wanted: &'a Wanted,
    /// The ids of the last batch, and the place of each.
    places: Option<(ArrayRef, Vec<Option<u32>>)>,
    /// How many rows were looked at.
    pub(super) seen: usize,
    /// The wanted ones, by series, in the order of the row group.
    pub(super) found: Vec<(u32, Range<usize>)>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(wanted: &'a Wanted) -> Self {
        Self {
            wanted,
            places: None,
            seen: 0,
            found: Vec::new(),
        }
    }

    /// How many rows are wanted.
    pub(super) fn count(&self) -> usize {
        self.found.iter().map(|(_, rows)| rows.len()).sum()
    }

    /// Looks at the ids of the next rows.
    pub(super) fn look_at(&mut self, batch: &RecordBatch) -> Result<(), StoreError> {
        let ids = batch.column_by_name("series_id");
        let ids = ids.and_then(|column| column.as_dictionary_opt::<Int32Type>());
        let ids = ids.ok_or_else(|| shape("series_id"))?;
        let places = self.places_of(ids.values())?;
        let mut from = self.seen;
        // Rows of one series follow each other.
        for same in ids.keys().values().chunk_by(|a, b| a == b) {
            let to = from + same.len();
            let place = usize::try_from(same[0]).ok().and_then(|at| places.get(at));
            if let Some(place) = place.copied().flatten() {
                match self.found.last_mut() {
                    Some((last, rows)) if *last == place && rows.end == from => rows.end = to,
                    _ => self.found.push((place, from..to)),
                }
            }
            from = to;
        }
        self.seen = from;
        self.places = Some((Arc::clone(ids.values()), places));
        Ok(())
    }

    /// The place of each id of a dictionary, mostly that of the batch before.
    fn places_of(&mut self, ids: &ArrayRef) -> Result<Vec<Option<u32>>, StoreError> {
        match self.places.take() {
            Some((known, places)) if Arc::ptr_eq(&known, ids) => Ok(places),
            _ => {
                let ids = ids.as_binary_opt::<i32>();
                Ok(self.wanted.places(ids.ok_or_else(|| shape("series_id"))?))
            }
        }
    }

    /// Makes the wanted rows the only ones, and says which those were.
    pub(super) fn select(&mut self) -> RowSelection {
        let ranges = self.found.iter().map(|(_, rows)| rows.clone());
        let selection = RowSelection::from_consecutive_ranges(ranges, self.seen);
        let mut next = 0;
        for (_, rows) in &mut self.found {
            *rows = next..next + rows.len();
            next = rows.end;
        }
        selection
    }
}

/// A fragment while it is read.
pub(super) struct Reading {
    rows: Vec<(u32, Range<usize>)>,
    /// The first of `rows` that is not read to its end.
    next: usize,
    range: (i64, i64),
    /// How many rows were passed.
    passed: usize,
    columns: Columns,
    stretches: Vec<Stretch>,
}

/// The columns of a batch.
pub(super) struct Read<'a> {
    times: &'a [i64],
    values: Option<&'a Float64Array>,
    digits: Option<(&'a Int64Array, &'a Float64Array)>,
    starts: Option<&'a Int64Array>,
}

impl<'a> Read<'a> {
    pub(super) fn of(batch: &'a RecordBatch) -> Result<Self, StoreError> {
        let int = |name| batch.column_by_name(name)?.as_primitive_opt::<Int64Type>();
        let float = |name| {
            batch
                .column_by_name(name)?
                .as_primitive_opt::<Float64Type>()
        };
        Ok(Self {
            times: int("time").ok_or_else(|| shape("time"))?.values(),
            values: float("value"),
            digits: int("value_digits").zip(float("value_divisor")),
            starts: int("start_time"),
        })
    }
}

pub(super) fn shape(column: &'static str) -> StoreError {
    StoreError::Value {
        table: Table::Samples,
        column,
        reason: "missing in a file, or of another type".to_owned(),
    }
}

impl Reading {
    /// Begins to read rows of series, of which those within `range` count.
    pub(super) fn new(rows: Vec<(u32, Range<usize>)>, range: (Millis, Millis)) -> Self {
        Self {
            rows,
            next: 0,
            range: (range.0.0, range.1.0),
            passed: 0,
            columns: Columns::default(),
            stretches: Vec::new(),
        }
    }

    pub(super) fn finish(self) -> Fragment {
        Fragment {
            columns: Arc::new(self.columns),
            stretches: self.stretches,
        }
    }

    /// Adds the wanted ones of the next rows.
    pub(super) fn take(&mut self, batch: &RecordBatch) -> Result<(), StoreError> {
        let columns = Read::of(batch)?;
        let (begin, end) = (self.passed, self.passed + batch.num_rows());
        self.passed = end;
        while let Some((place, rows)) = self.rows.get(self.next).cloned() {
            let (from, to) = (rows.start.max(begin), rows.end.min(end));
            if from < to {
                self.take_rows(place, &columns, (from - begin, to - begin));
            }
            if rows.end > end {
                // Goes on, or begins, in a later batch.
                break;
            }
            self.next += 1;
        }
        Ok(())
    }

    fn take_rows(&mut self, place: u32, columns: &Read<'_>, (from, to): (usize, usize)) {
        let times = &columns.times[from..to];
        if !times.is_sorted() {
            // Only another program writes files so.
            for at in from..to {
                let time = columns.times[at];
                if self.range.0 <= time && time <= self.range.1 {
                    self.push(place, columns, (at, at + 1));
                }
            }
            return;
        }
        let first = times.partition_point(|time| *time < self.range.0);
        let last = times.partition_point(|time| *time <= self.range.1);
        if first < last {
            self.push(place, columns, (from + first, from + last));
        }
    }

    fn push(&mut self, of: u32, columns: &Read<'_>, rows: (usize, usize)) {
        let begin = place(self.columns.times.len());
        self.columns.push(columns, rows);
        let end = place(self.columns.times.len());
        match self.stretches.last_mut() {
            Some(last) if last.place == of && last.to == begin => last.to = end,
            _ => self.stretches.push(Stretch {
                place: of,
                from: begin,
                to: end,
            }),
        }
    }
}

/// The place of a row in its row group.
pub(super) fn place(at: usize) -> u32 {
    u32::try_from(at).expect("a row group has fewer than 2^32 rows")
}

fn push_values(values: &mut Vec<f64>, columns: &Read<'_>, (from, to): (usize, usize)) {
    match (columns.values, columns.digits) {
        (None, Some((digits, divisors))) => {
            let digits = &digits.values()[from..to];
            let divisors = &divisors.values()[from..to];
            values.extend(digits.iter().zip(divisors).map(|(a, b)| *a as f64 / b));
        }
        (Some(whole), Some((digits, divisors))) => {
            values.extend((from..to).map(|at| {
                if whole.is_valid(at) {
                    whole.value(at)
                } else {
                    digits.value(at) as f64 / divisors.value(at)
                }
            }));
        }
        (Some(whole), None) => values.extend_from_slice(&whole.values()[from..to]),
        (None, None) => values.resize(values.len() + (to - from), f64::NAN),
    }
}

impl Wanted {
    /// The place of each id, in the order of a file: ascending as long as the metric is the same.
    fn places(&self, ids: &BinaryArray) -> Vec<Option<u32>> {
        let (mut at, mut last) = (0, SeriesId(0));
        let place = |bytes: Option<&[u8]>| {
            let id = SeriesId::from_bytes(bytes?)?;
            if id < last {
                at = 0;
            }
            last = id;
            at += gallop(&self.ids[at..], id);
            let (found, place) = self.ids.get(at)?;
            (*found == id).then_some(*place)
        };
        ids.iter().map(place).collect()
    }
}

/// How many of `ids`, which ascend, are less than `id`; few steps where it is close.
pub(super) fn gallop<T>(ids: &[(SeriesId, T)], id: SeriesId) -> usize {
    let mut step = 1;
    while ids.get(step - 1).is_some_and(|(one, _)| *one < id) {
        step *= 2;
    }
    let (from, to) = (step / 2, (step - 1).min(ids.len()));
    let from = from.min(to);
    from + ids[from..to].partition_point(|(one, _)| *one < id)
}
