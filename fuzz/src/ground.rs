//! What the targets stand on.

use std::sync::Arc;

use demarc_ingest::{Ingest, IngestConfig};
use demarc_proto::{Clock, ManualClock, Nanos, TenantId};
use demarc_store::{Store, StoreConfig};
use tempfile::TempDir;
use tokio::{
    runtime::{Builder, Runtime},
    sync::mpsc,
};

/// The time of all targets: 2026-11-24T00:00:00Z.
pub(crate) const NOW: Nanos = Nanos(1_795_478_400_000_000_000);

/// An ingest over an empty store, in a folder that goes away with it.
#[derive(Debug)]
pub struct Ground {
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) tenant: TenantId,
    store: Arc<Store>,
    runtime: Runtime,
    folder: TempDir,
}

impl Ground {
    /// A fresh one.
    ///
    /// # Panics
    /// When the folder for temporary files is full or read-only.
    pub fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime without sockets needs a few descriptors only");
        let folder = tempfile::tempdir().expect("the folder for temporary files can be written to");
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(NOW));
        let opened = Store::open(folder.path(), StoreConfig::default(), Arc::clone(&clock));
        let store = runtime.block_on(opened).expect("an empty store opens");
        let (observations, _) = mpsc::channel(1);
        let ingest = Ingest::new(
            Arc::clone(&store),
            IngestConfig::default(),
            clock,
            observations,
        );
        Self {
            ingest,
            tenant: TenantId::default(),
            store,
            runtime,
            folder,
        }
    }

    /// A segment of the write-ahead log with some records of three tables.
    pub(crate) fn log_segment(&self) -> Vec<u8> {
        for rows in crate::wal::rows() {
            let appended = self.runtime.block_on(self.store.append(&self.tenant, rows));
            appended.expect("good rows are taken");
        }
        let folder = self.folder.path().join("wal");
        let mut segments: Vec<_> = std::fs::read_dir(folder)
            .expect("the store has made the folder")
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|end| end == "wal"))
            .collect();
        segments.sort();
        let first = segments.first().expect("rows were appended");
        std::fs::read(first).expect("the store has just written it")
    }
}

impl Default for Ground {
    fn default() -> Self {
        Self::new()
    }
}
