//! Samples in memory, of which those of chosen series are read without copying the others.

use super::{SampleHead, block::Block, runs};
use crate::rows::{Point, Samples, SeriesRef};

/// The samples in memory of a span of time, read series by series.
#[derive(Clone, Debug)]
pub struct InMemory<'a> {
    /// What files hold as well, from `since` on.
    blocks: Vec<&'a Block>,
    since: i64,
    /// What no file holds.
    runs: Vec<Run<'a>>,
    range: (i64, i64),
}

#[derive(Clone, Debug)]
struct Run<'a> {
    samples: &'a Samples,
    /// The points from the last series that was asked for on.
    rest: &'a [Point],
}

impl<'a> InMemory<'a> {
    /// The samples from the first to the last of `range`, both inclusive.
    pub(crate) fn new(head: &'a SampleHead, range: (i64, i64)) -> Self {
        let since = range.0.max(head.recent.since());
        let mut blocks = Vec::new();
        if since <= range.1 {
            blocks.extend(head.recent.within((since, range.1)));
        }
        let unwritten = head.frozen.iter().chain(head.active.iter());
        let runs = unwritten.map(|samples| Run {
            samples,
            rest: samples.points(),
        });
        Self {
            blocks,
            since,
            runs: runs.collect(),
            range,
        }
    }

    /// Adds time and value of each sample of a series to `floats`, in the order of writing; within a run of writes by time. Adds
    /// to `starts` when each began to count, 0 where that is not known; as long as none is known, `starts` stays empty. Series are
    /// to be asked for in the order of their numbers.
    pub fn read(&mut self, series: SeriesRef, floats: &mut Vec<(i64, f64)>, starts: &mut Vec<i64>) {
        for block in &self.blocks {
            block.read(series, (self.since, self.range.1), floats, starts);
        }
        for run in &mut self.runs {
            run.read(series, self.range, floats, starts);
        }
    }
}

impl Run<'_> {
    fn read(
        &mut self,
        series: SeriesRef,
        (first, last): (i64, i64),
        floats: &mut Vec<(i64, f64)>,
        starts: &mut Vec<i64>,
    ) {
        let has_starts = self.samples.has_starts();
        self.rest = match self.samples.rest_from(series) {
            Some(points) => points,
            None => runs::skip_to(self.rest, series),
        };
        for point in self.rest {
            if point.series != series || point.time > last {
                break;
            }
            if point.time < first {
                continue;
            }
            if has_starts || !starts.is_empty() {
                starts.resize(floats.len(), 0);
                starts.push(self.samples.start_of(point).unwrap_or(0));
            }
            floats.push((point.time, point.value));
        }
    }
}
