//! Samples in memory, of which those of chosen series are read without copying the others.

use super::{SampleHead, runs};
use crate::rows::{Point, Samples, SeriesRef};

/// The samples in memory of a span of time, read series by series.
#[derive(Clone, Debug)]
pub struct InMemory<'a> {
    runs: Vec<Run<'a>>,
    last: i64,
}

#[derive(Clone, Debug)]
struct Run<'a> {
    samples: &'a Samples,
    /// The points from the last series that was asked for on.
    rest: &'a [Point],
    first: i64,
}

impl<'a> InMemory<'a> {
    /// The samples from the first to the last of `range`, both inclusive.
    pub(crate) fn new(head: &'a SampleHead, range: (i64, i64)) -> Self {
        let run = |first| {
            move |samples: &'a std::sync::Arc<Samples>| Run {
                samples,
                rest: samples.points(),
                first,
            }
        };
        let since = range.0.max(head.recent.since());
        let mut runs = Vec::new();
        if since <= range.1 {
            let recent = head.recent.within((since, range.1));
            runs.extend(recent.map(run(since)));
        }
        let unwritten = head.frozen.iter().chain(head.active.iter());
        runs.extend(unwritten.map(run(range.0)));
        Self {
            runs,
            last: range.1,
        }
    }

    /// Hands over each sample of a series: its time, its value, and when it began to count, 0 where that is not known. In the
    /// order of writing; within a run of writes by time. Series are to be asked for in the order of their numbers.
    pub fn read(&mut self, series: SeriesRef, mut take: impl FnMut(i64, f64, i64)) {
        for run in &mut self.runs {
            run.rest = runs::skip_to(run.rest, series);
            for point in run.rest {
                if point.series != series || point.time > self.last {
                    break;
                }
                if point.time >= run.first {
                    take(
                        point.time,
                        point.value,
                        run.samples.start_of(point).unwrap_or(0),
                    );
                }
            }
        }
    }
}
