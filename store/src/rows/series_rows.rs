//! Rows of the `series` table. In memory each is a number and two times, for the index has the labels.

use arrow::{array::RecordBatch, error::ArrowError};
use demarc_proto::Millis;

use super::{
    SeriesRef,
    column::{bytes, int64, labels, text},
};
use crate::{SeriesEntry, SeriesIndex, Table, day::Day};

/// Rows of one batch at most: what a scan hands on at once.
const BATCH_ROWS: usize = 8192;
/// Text of the rows of one batch, about, unless it is a single one: keeps column offsets within 32 bits.
const BATCH_BYTES: usize = 16 << 20;

/// A series that may not have a row in the `series` table for this day yet, or that row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NewSeries {
    /// The series.
    pub(crate) series: SeriesRef,
    /// The day of its values.
    pub(crate) day: Day,
    /// The first of them.
    pub(crate) first_seen: Millis,
}

/// Rows as batches of the `series` table, one at a time, in the order of the rows.
#[derive(Debug)]
pub(crate) struct SeriesBatches<'a> {
    index: &'a SeriesIndex,
    rows: &'a [NewSeries],
}

impl<'a> SeriesBatches<'a> {
    /// Batches of `rows`, which are of series of `index`.
    pub(crate) fn new(index: &'a SeriesIndex, rows: &'a [NewSeries]) -> Self {
        Self { index, rows }
    }

    /// How many of the next rows are one batch.
    fn fitting(&self) -> usize {
        let reader = self.index.reader();
        let mut text_bytes = 0;
        let fits = self.rows.iter().take(BATCH_ROWS).take_while(|row| {
            text_bytes += bytes_of(reader.entry(row.series));
            text_bytes <= BATCH_BYTES
        });
        fits.count().max(1).min(self.rows.len())
    }
}

impl Iterator for SeriesBatches<'_> {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (next, rest) = self.rows.split_at(self.fitting());
        self.rows = rest;
        (!next.is_empty()).then(|| series_batch(self.index, next))
    }
}

/// The rows of the `series` table for `series`.
pub(crate) fn series_batch(
    index: &SeriesIndex,
    series: &[NewSeries],
) -> Result<RecordBatch, ArrowError> {
    let reader = index.reader();
    let ids: Vec<[u8; 16]> = series
        .iter()
        .map(|new| reader.id(new.series).to_bytes())
        .collect();
    let entries: Vec<&SeriesEntry> = series
        .iter()
        .map(|new| reader.entry(new.series).as_ref())
        .collect();
    // First: more text than its column takes is refused here, and the metric's name is part of it.
    let labels = labels(&entries, |entry| &entry.labels)?;
    RecordBatch::try_new(
        Table::Series.schema(),
        vec![
            bytes(&ids, |id| id),
            text(&entries, |entry| entry.labels.metric()),
            labels,
            text(&entries, |entry| entry.kind.as_str()),
            text(&entries, |entry| &entry.unit),
            text(&entries, |entry| &entry.help),
            int64(series, |new| new.first_seen.0),
        ],
    )
}

fn bytes_of(entry: &SeriesEntry) -> usize {
    let labels = entry.labels.iter();
    let labels: usize = labels.map(|(name, value)| name.len() + value.len()).sum();
    labels + entry.unit.len() + entry.help.len()
}

#[cfg(test)]
mod tests {
    use demarc_proto::{Labels, SeriesId, TenantId};

    use super::*;
    use crate::MetricKind;

    #[test]
    fn rows_with_much_text_come_in_batches_that_columns_can_take() {
        let index = SeriesIndex::default();
        let long = "x".repeat(BATCH_BYTES / 3);
        let rows: Vec<NewSeries> = ["a", "b", "c", "d"]
            .iter()
            .map(|name| {
                let labels = Labels::from_pairs([("__name__", *name), ("text", &long)]);
                let series = index.intern(SeriesEntry {
                    id: SeriesId::of(&TenantId::default(), &labels),
                    labels,
                    kind: MetricKind::Gauge,
                    unit: String::new(),
                    help: String::new(),
                });
                NewSeries {
                    series,
                    day: Day::FIRST,
                    first_seen: Millis(0),
                }
            })
            .collect();
        let batches = SeriesBatches::new(&index, &rows);
        let counts: Vec<usize> = batches.map(|batch| batch.unwrap().num_rows()).collect();
        assert_eq!(counts, [2, 2]);
        assert!(SeriesBatches::new(&index, &[]).next().is_none());
    }
}
