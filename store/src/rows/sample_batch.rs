//! Samples as batches of the `samples` table.

use std::{ops::Deref, sync::Arc};

use arrow::{
    array::{BinaryBuilder, Float64Array, Int64Array, RecordBatch, StringBuilder},
    error::ArrowError,
};

use super::{Point, Samples};
use crate::{SeriesIndex, Table};

/// Rows of one batch at most: what a scan hands on at once.
const BATCH_ROWS: usize = 8192;

/// Points as batches, one at a time, in the order of the points. Index and samples are borrowed or shared.
#[derive(Debug)]
pub(crate) struct SampleBatches<I, S> {
    index: I,
    samples: S,
    points: std::vec::IntoIter<Point>,
}

impl<I, S> SampleBatches<I, S> {
    /// Batches of `points`, which are some of `samples`.
    pub(crate) fn new(index: I, samples: S, points: Vec<Point>) -> Self {
        Self {
            index,
            samples,
            points: points.into_iter(),
        }
    }
}

impl<I, S> Iterator for SampleBatches<I, S>
where
    I: Deref<Target = SeriesIndex>,
    S: Deref<Target = Samples>,
{
    type Item = RecordBatch;

    fn next(&mut self) -> Option<RecordBatch> {
        let points = self.points.as_slice();
        let taken = points.len().min(BATCH_ROWS);
        if taken == 0 {
            return None;
        }
        let batch = batch(&self.index, &self.samples, &points[..taken])
            .expect("the columns are those of the schema");
        self.points.nth(taken - 1);
        Some(batch)
    }
}

fn batch(
    index: &SeriesIndex,
    samples: &Samples,
    points: &[Point],
) -> Result<RecordBatch, ArrowError> {
    let reader = index.reader();
    let mut ids = BinaryBuilder::with_capacity(points.len(), 16 * points.len());
    let mut metrics = StringBuilder::with_capacity(points.len(), 32 * points.len());
    for of_series in points.chunk_by(|a, b| a.series == b.series) {
        let series = of_series[0].series;
        let id = reader.id(series).to_bytes();
        let metric = reader.entry(series).labels.metric();
        for _ in of_series {
            ids.append_value(id);
            metrics.append_value(metric);
        }
    }
    let times = points.iter().map(|point| point.time);
    let values = points.iter().map(|point| point.value);
    let starts = if samples.has_starts() {
        let starts = points.iter().map(|point| samples.start_of(point));
        starts.collect()
    } else {
        Int64Array::new_null(points.len())
    };
    RecordBatch::try_new(
        Table::Samples.schema(),
        vec![
            Arc::new(ids.finish()),
            Arc::new(metrics.finish()),
            Arc::new(Int64Array::from_iter_values(times)),
            Arc::new(Float64Array::from_iter_values(values)),
            Arc::new(starts),
        ],
    )
}
