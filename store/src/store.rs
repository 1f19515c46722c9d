//! The store itself.

use std::{path::Path, sync::Arc};

use demarc_proto::{Clock, TenantId};

use crate::{Rows, Snapshot, StoreConfig, StoreError};

/// All tables of all tenants in one directory.
#[derive(Debug)]
pub struct Store {
    clock: Arc<dyn Clock>,
}

impl Store {
    /// Opens the store in `dir`, which is created when absent: recovers what a crash left, then starts the tasks that
    /// write. Needs a multi-thread or current-thread Tokio runtime with time enabled.
    pub async fn open(
        dir: &Path,
        config: StoreConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, StoreError> {
        unimplemented!("{dir:?} {config:?} {clock:?}")
    }

    /// Appends `rows`, all or nothing. Returns once they are on disk and every later snapshot shows them.
    pub async fn append(&self, tenant: &TenantId, rows: Rows) -> Result<(), StoreError> {
        unimplemented!("{tenant} {rows:?} {:?}", self.clock)
    }

    /// What there is of `tenant` now. An unknown tenant has empty tables.
    pub fn snapshot(&self, tenant: &TenantId) -> Snapshot {
        unimplemented!("{tenant}")
    }

    /// The tenants that have rows, sorted.
    pub fn tenants(&self) -> Vec<TenantId> {
        unimplemented!()
    }

    /// Writes the head into files and commits them. On failure the rows stay where they are and the next flush tries again.
    pub async fn flush(&self) -> Result<(), StoreError> {
        unimplemented!()
    }

    /// Refuses new appends, finishes those under way, flushes and stops the tasks. Closing again does nothing.
    pub async fn close(&self) -> Result<(), StoreError> {
        unimplemented!()
    }
}
