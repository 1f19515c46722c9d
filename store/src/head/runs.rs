//! The samples in memory: sorted runs, of which neighbours of like size are merged.
//!
//! A sample is copied a few times at most, each time into a run several times as large, and reading one series is one
//! binary search per run.

use std::sync::Arc;

use crate::rows::{Point, Samples, SeriesRef};

/// Sorted runs, in the order of writing.
pub(crate) type Runs = Arc<Vec<Arc<Samples>>>;

/// Runs that are merged at once, at least.
const MIN_RUN: usize = 12;
/// No merge makes a run larger than this: it holds up the log's writer for as long.
const MAX_ROWS: usize = 1 << 19;

/// Whether [`merge_tail`] would merge anything.
pub(super) fn has_loose_tail(runs: &[Arc<Samples>]) -> bool {
    runs.len() >= MIN_RUN && runs.len() - loose(runs) >= MIN_RUN
}

/// The same samples in fewer runs; `None` when there is nothing to merge.
pub(super) fn merge_tail(runs: &[Arc<Samples>]) -> Option<Vec<Arc<Samples>>> {
    if !has_loose_tail(runs) {
        return None;
    }
    let (kept, loose) = runs.split_at(loose(runs));
    let mut merged = kept.to_vec();
    let mut samples = Samples::merge(loose);
    samples.note_bounds();
    merged.push(Arc::new(samples));
    Some(merged)
}

/// Where the runs at the end begin that are not much larger than the largest one after them.
fn loose(runs: &[Arc<Samples>]) -> usize {
    let mut start = runs.len();
    let (mut rows, mut largest) = (0, usize::MAX / 2);
    while start > 0 {
        let next = runs[start - 1].len();
        rows += next;
        if next > 2 * largest || rows > MAX_ROWS {
            break;
        }
        largest = if start == runs.len() {
            next
        } else {
            largest.max(next)
        };
        start -= 1;
    }
    start
}

/// The samples of one series, by time; of two at one time, the later written.
pub(crate) fn of_series<'a>(
    runs: impl IntoIterator<Item = &'a Arc<Samples>>,
    series: SeriesRef,
    range: (i64, i64),
) -> Vec<(i64, f64)> {
    let mut found: Vec<(i64, f64)> = Vec::new();
    for run in runs {
        let points = run.of_series(series);
        let from = points.partition_point(|point| point.time < range.0);
        let to = points.partition_point(|point| point.time <= range.1);
        found.extend(
            points[from..to.max(from)]
                .iter()
                .map(|point| (point.time, point.value)),
        );
    }
    if !found.is_sorted_by(|a, b| a.0 < b.0) {
        found.sort_by_key(|(time, _)| *time);
        found.reverse();
        found.dedup_by_key(|(time, _)| *time);
        found.reverse();
    }
    found
}

/// The points from those of `series` on. Series that follow each other closely cost few steps.
pub(crate) fn skip_to(points: &[Point], series: SeriesRef) -> &[Point] {
    let mut step = 1;
    while points
        .get(step - 1)
        .is_some_and(|point| point.series < series)
    {
        step *= 2;
    }
    let (from, to) = (step / 2, (step - 1).min(points.len()));
    let within = points[from.min(to)..to].partition_point(|point| point.series < series);
    &points[from.min(to) + within..]
}

#[cfg(test)]
mod tests {
    use demarc_proto::Millis;

    use super::*;

    fn run(rows: usize, time: i64) -> Arc<Samples> {
        let mut samples = Samples::default();
        for at in 0..rows {
            samples.push(SeriesRef(at as u32), Millis(time), time as f64);
        }
        Arc::new(samples)
    }

    #[test]
    fn many_runs_of_any_size_stay_few_and_lose_nothing() {
        let mut runs: Vec<Arc<Samples>> = Vec::new();
        for time in 0..2000 {
            runs.push(run(if time % 3 == 0 { 1 } else { 50 }, time));
            while let Some(merged) = merge_tail(&runs) {
                runs = merged;
            }
            assert!(runs.len() < 64, "{} runs", runs.len());
        }
        let every = of_series(&runs, SeriesRef(0), (i64::MIN, i64::MAX));
        assert!(every.iter().map(|(time, _)| *time).eq(0..2000));
        let some = of_series(&runs, SeriesRef(49), (0, 5));
        assert_eq!(some, [(1, 1.0), (2, 2.0), (4, 4.0), (5, 5.0)]);
    }

    #[test]
    fn of_two_samples_at_one_time_the_later_written_counts() {
        let mut first = Samples::default();
        first.push(SeriesRef(0), Millis(1), 1.0);
        first.push(SeriesRef(0), Millis(1), 2.0);
        let mut second = Samples::default();
        second.push(SeriesRef(0), Millis(1), 3.0);
        second.push(SeriesRef(0), Millis(0), 0.0);
        second.sort();
        let runs = [Arc::new(first), Arc::new(second)];
        let found = of_series(&runs, SeriesRef(0), (0, 9));
        assert_eq!(found, [(0, 0.0), (1, 3.0)]);
    }
}
