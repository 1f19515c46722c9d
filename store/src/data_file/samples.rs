//! The order of samples in files: by metric, series and time.

use std::collections::{BTreeMap, BTreeSet};

use demarc_proto::{Millis, SeriesId};

use crate::{
    SeriesIndex,
    day::Day,
    rows::{Point, Samples},
};

/// The points of sorted `samples`, by day and in the order of files.
pub(super) fn by_day(samples: &Samples, index: &SeriesIndex) -> BTreeMap<Day, Vec<Point>> {
    let mut days: BTreeMap<Day, Vec<Point>> = BTreeMap::new();
    for points in in_file_order(samples, index) {
        // The times of a series ascend: each day is one stretch.
        let day_of = |point: &Point| Day::of_millis(Millis(point.time));
        for of_day in points.chunk_by(|a, b| day_of(a) == day_of(b)) {
            days.entry(day_of(&of_day[0]))
                .or_default()
                .extend_from_slice(of_day);
        }
    }
    days
}

/// The points of each series; the series by metric and id.
fn in_file_order<'a>(samples: &'a Samples, index: &SeriesIndex) -> Vec<&'a [Point]> {
    let reader = index.reader();
    let of_series = || samples.points().chunk_by(|a, b| a.series == b.series);
    let metric = |points: &[Point]| reader.entry(points[0].series).labels.metric();
    let names: BTreeSet<&str> = of_series().map(metric).collect();
    let places: BTreeMap<&str, usize> = names.into_iter().zip(0..).collect();
    let mut ordered: Vec<(usize, SeriesId, &[Point])> = of_series()
        .map(|points| (places[metric(points)], reader.id(points[0].series), points))
        .collect();
    ordered.sort_unstable_by_key(|(metric, id, _)| (*metric, *id));
    ordered.into_iter().map(|(_, _, points)| points).collect()
}
