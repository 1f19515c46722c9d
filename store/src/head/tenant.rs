//! What is in memory of one tenant.

use std::sync::Arc;

use arrow::array::RecordBatch;

use super::{Recent, SeriesHead, Settled, TableRows, runs::Runs};
use crate::{DataFile, Table, index::SeriesIndex};

/// What there is of one tenant.
#[derive(Debug, Default)]
pub(super) struct TenantHead {
    /// Rows and files of each table; of samples and series only files.
    pub(super) tables: [TableHead; Table::ALL.len()],
    /// The samples.
    pub(super) samples: SampleHead,
    /// The rows of the `series` table.
    pub(super) series: SeriesHead,
    /// The series.
    pub(super) index: Arc<SeriesIndex>,
    /// What is known of the order in which samples came.
    pub(super) settled: Settled,
    /// Who may append.
    pub(super) gate: Arc<Gate>,
}

/// Held by every append, and alone by what deletes the tenant.
pub(crate) type Gate = tokio::sync::RwLock<()>;

/// One table of one tenant; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct TableHead {
    /// Committed files, oldest first.
    pub(crate) files: Arc<Vec<DataFile>>,
    /// Rows being flushed.
    pub(crate) frozen: Arc<Vec<RecordBatch>>,
    /// Rows appended since.
    pub(crate) active: Arc<Vec<RecordBatch>>,
}

/// The samples of one tenant; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct SampleHead {
    /// Samples being flushed.
    pub(crate) frozen: Runs,
    /// Samples appended since.
    pub(crate) active: Runs,
    /// Samples that files hold, too.
    pub(crate) recent: Recent,
}

impl TenantHead {
    /// Whether there is any row that is in no file.
    pub(super) fn has_rows(&self) -> bool {
        let is_empty = |table: &TableHead| table.active.is_empty() && table.frozen.is_empty();
        let samples = &self.samples;
        !(self.tables.iter().all(is_empty)
            && samples.active.is_empty()
            && samples.frozen.is_empty()
            && self.series.is_empty())
    }

    /// Whether there is any row that is being flushed.
    pub(super) fn has_frozen(&self) -> bool {
        let mut tables = self.tables.iter();
        tables.any(|table| !table.frozen.is_empty())
            || !self.samples.frozen.is_empty()
            || !self.series.frozen.is_empty()
    }

    /// Moves the active rows to the frozen ones; returns the frozen rows by table.
    pub(super) fn freeze(&mut self) -> Vec<(Table, TableRows)> {
        let mut frozen = Vec::new();
        for table in Table::ALL {
            let head = &mut self.tables[table.index()];
            append(&mut head.frozen, &mut head.active);
            if !head.frozen.is_empty() {
                frozen.push((table, TableRows::Batches(head.frozen.clone())));
            }
        }
        let samples = &mut self.samples;
        append(&mut samples.frozen, &mut samples.active);
        if !samples.frozen.is_empty() {
            let rows = TableRows::Samples(samples.frozen.clone(), self.index.clone());
            frozen.push((Table::Samples, rows));
        }
        let series = &mut self.series;
        append(&mut series.frozen, &mut series.active);
        if !series.frozen.is_empty() {
            let rows = TableRows::Series(series.frozen.clone(), self.index.clone());
            frozen.push((Table::Series, rows));
        }
        frozen
    }
}

/// Moves all of `from` behind what is in `to`.
fn append<T: Clone>(to: &mut Arc<Vec<T>>, from: &mut Arc<Vec<T>>) {
    let from = std::mem::take(from);
    if to.is_empty() {
        *to = from;
    } else if !from.is_empty() {
        Arc::make_mut(to).extend(from.iter().cloned());
    }
}
