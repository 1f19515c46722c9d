//! The order of the `series` table's rows in files: by metric and series.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{SeriesIndex, day::Day, rows::NewSeries};

/// The rows of each day in the order of files.
pub(super) fn by_day(
    pieces: &[Arc<Vec<NewSeries>>],
    index: &SeriesIndex,
) -> BTreeMap<Day, Vec<NewSeries>> {
    let reader = index.reader();
    let rows = || pieces.iter().flat_map(|piece| piece.iter());
    let metric = |row: &NewSeries| reader.entry(row.series).labels.metric();
    let names: BTreeSet<&str> = rows().map(metric).collect();
    let places: BTreeMap<&str, usize> = names.into_iter().zip(0..).collect();
    let mut days: BTreeMap<Day, Vec<NewSeries>> = BTreeMap::new();
    for row in rows() {
        days.entry(row.day).or_default().push(*row);
    }
    for rows in days.values_mut() {
        rows.sort_by_cached_key(|row| (places[metric(row)], reader.id(row.series)));
    }
    days
}
