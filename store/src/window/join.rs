//! Windows that are written already, together with windows of the samples that there are now.
//!
//! Samples that come late make the windows of their day be written again. Mostly all samples of the day are there still, and
//! what is counted anew is right. Where those before have expired, or their file was damaged, only the windows know of them.

use std::{cmp::Ordering, iter::Peekable};

use arrow::array::RecordBatch;

use super::{
    Resolution,
    batch::{Row, rows},
};
use crate::StoreError;

/// Windows from both sources, each window once; both come sorted by metric, series and time.
pub(crate) struct Joined<N: Iterator, B: Iterator> {
    millis: i64,
    now: Peekable<N>,
    before: Peekable<B>,
}

impl<N, B> Joined<N, B>
where
    N: Iterator<Item = Result<Row, StoreError>>,
    B: Iterator<Item = Result<Row, StoreError>>,
{
    /// `now`: of the samples that there are. `before`: what is written.
    pub(crate) fn new(resolution: Resolution, now: N, before: B) -> Self {
        Self {
            millis: resolution.millis(),
            now: now.peekable(),
            before: before.peekable(),
        }
    }

    /// Which source has the next window; equal where it is in both. An error comes first.
    fn next_of(&mut self) -> Option<Ordering> {
        match (self.now.peek(), self.before.peek()) {
            (None, None) => None,
            (Some(Err(_)), _) | (Some(_), None) => Some(Ordering::Less),
            (_, Some(Err(_))) | (None, Some(_)) => Some(Ordering::Greater),
            (Some(Ok(now)), Some(Ok(before))) => {
                let key = |row: &Row| (row.id, row.window.number(self.millis));
                let by_metric = now.metric.cmp(&before.metric);
                Some(by_metric.then_with(|| key(now).cmp(&key(before))))
            }
        }
    }
}

impl<N, B> Iterator for Joined<N, B>
where
    N: Iterator<Item = Result<Row, StoreError>>,
    B: Iterator<Item = Result<Row, StoreError>>,
{
    type Item = Result<Row, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.next_of()? {
            Ordering::Less => self.now.next(),
            Ordering::Greater => self.before.next(),
            Ordering::Equal => {
                let (now, before) = (self.now.next()?, self.before.next()?);
                Some(now.and_then(|now| {
                    let window = now.window.with_known(&before?.window);
                    Ok(Row { window, ..now })
                }))
            }
        }
    }
}

/// The rows of batches of the table of `resolution`.
pub(crate) fn written(
    resolution: Resolution,
    batches: impl Iterator<Item = Result<RecordBatch, StoreError>>,
) -> impl Iterator<Item = Result<Row, StoreError>> {
    batches.flat_map(move |batch| {
        let rows = batch.and_then(|batch| rows(resolution, &batch));
        let (rows, error) = match rows {
            Ok(rows) => (rows, None),
            Err(error) => (Vec::new(), Some(Err(error))),
        };
        rows.into_iter().map(Ok).chain(error)
    })
}
