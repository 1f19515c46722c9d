//! The rows of the `series` table that are in no file.

use std::sync::Arc;

use crate::rows::NewSeries;

/// Rows in pieces, in the order of writing; cheap to clone.
pub(crate) type Pieces = Arc<Vec<Arc<Vec<NewSeries>>>>;

/// A piece that is smaller takes the next rows as well, so that many small appends stay few pieces.
const FULL_ROWS: usize = 1024;

/// Such rows of one tenant; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct SeriesHead {
    /// Rows being flushed.
    pub(crate) frozen: Pieces,
    /// Rows appended since.
    pub(crate) active: Pieces,
}

impl SeriesHead {
    /// Appends rows.
    pub(super) fn push(&mut self, mut rows: Vec<NewSeries>) {
        if rows.is_empty() {
            return;
        }
        let pieces = Arc::make_mut(&mut self.active);
        match pieces.last_mut() {
            Some(last) if last.len() < FULL_ROWS => Arc::make_mut(last).extend(rows),
            _ => {
                rows.shrink_to_fit();
                pieces.push(Arc::new(rows));
            }
        }
    }

    /// Whether there is no row.
    pub(super) fn is_empty(&self) -> bool {
        self.frozen.is_empty() && self.active.is_empty()
    }

    /// The rows, in the order of writing.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = &Arc<Vec<NewSeries>>> {
        self.frozen.iter().chain(self.active.iter())
    }
}
