//! Sorted samples to sorted windows, a batch at a time.

use std::{collections::VecDeque, sync::Arc};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{Float64Type, Int64Type},
};
use demarc_proto::SeriesId;

use super::{
    Edge, Resolution, Windows,
    batch::{Row, batch},
};
use crate::{StoreError, Table};

/// Rows of one batch of windows.
const OUT_ROWS: usize = 8192;

/// The windows of the samples that `samples` yields: sorted by series and time; of two at one time the later one counts.
#[derive(Debug)]
pub(crate) struct Downsampled<I> {
    samples: I,
    series: Option<(SeriesId, Arc<str>)>,
    /// The last sample that was read: another one at its time may follow.
    last: Option<Edge>,
    windows: Windows,
    rows: VecDeque<Row>,
}

impl<I: Iterator<Item = Result<RecordBatch, StoreError>>> Downsampled<I> {
    /// Windows of that length.
    pub(crate) fn new(samples: I, resolution: Resolution) -> Self {
        Self {
            samples,
            series: None,
            last: None,
            windows: Windows::new(resolution.millis()),
            rows: VecDeque::new(),
        }
    }

    fn read(&mut self, samples: &RecordBatch) -> Result<(), StoreError> {
        let bad = |column: &'static str| StoreError::Value {
            table: Table::Samples,
            column,
            reason: "missing, or not what it should be".to_owned(),
        };
        let column = |name: &'static str| samples.column_by_name(name).ok_or_else(|| bad(name));
        let ids = column("series_id")?.as_binary_opt::<i32>();
        let ids = ids.ok_or_else(|| bad("series_id"))?;
        let metrics = column("metric")?.as_string_opt::<i32>();
        let metrics = metrics.ok_or_else(|| bad("metric"))?;
        let times = column("time")?.as_primitive_opt::<Int64Type>();
        let times = times.ok_or_else(|| bad("time"))?;
        let values = column("value")?.as_primitive_opt::<Float64Type>();
        let values = values.ok_or_else(|| bad("value"))?;
        let starts = column("start_time")?.as_primitive_opt::<Int64Type>();
        let starts = starts.ok_or_else(|| bad("start_time"))?;
        for at in 0..samples.num_rows() {
            let id = SeriesId::from_bytes(ids.value(at)).ok_or_else(|| bad("series_id"))?;
            if self.series.as_ref().is_none_or(|(known, _)| *known != id) {
                self.end_series();
                self.series = Some((id, Arc::from(metrics.value(at))));
            }
            let sample = Edge {
                time: times.value(at),
                value: values.value(at),
                start: if starts.is_valid(at) {
                    starts.value(at)
                } else {
                    0
                },
            };
            if self.last.is_some_and(|last| last.time != sample.time) {
                self.take_last();
            }
            self.last = Some(sample);
        }
        Ok(())
    }

    fn take_last(&mut self) {
        if let Some(window) = self.last.take().and_then(|last| self.windows.push(last)) {
            self.emit(window);
        }
    }

    fn end_series(&mut self) {
        self.take_last();
        if let Some(window) = self.windows.finish() {
            self.emit(window);
        }
    }

    fn emit(&mut self, window: super::Window) {
        let (id, metric) = self.series.clone().expect("a window is of a series");
        self.rows.push_back(Row { id, metric, window });
    }
}

impl<I: Iterator<Item = Result<RecordBatch, StoreError>>> Iterator for Downsampled<I> {
    type Item = Result<Row, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.rows.is_empty() {
            match self.samples.next() {
                Some(samples) => {
                    if let Err(error) = samples.and_then(|samples| self.read(&samples)) {
                        return Some(Err(error));
                    }
                }
                None => {
                    self.end_series();
                    break;
                }
            }
        }
        self.rows.pop_front().map(Ok)
    }
}

/// Rows as batches of the table of `resolution`.
pub(crate) fn batches(
    resolution: Resolution,
    mut rows: impl Iterator<Item = Result<Row, StoreError>>,
) -> impl Iterator<Item = Result<RecordBatch, StoreError>> {
    std::iter::from_fn(move || {
        let next: Result<Vec<Row>, StoreError> = rows.by_ref().take(OUT_ROWS).collect();
        match next {
            Ok(next) if next.is_empty() => None,
            next => Some(next.and_then(|next| batch(resolution, &next))),
        }
    })
}
