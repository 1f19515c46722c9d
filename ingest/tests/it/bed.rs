//! An ingest over a store in a folder that goes away.

use std::sync::Arc;

use arrow::util::pretty::pretty_format_batches;
use demarc_ingest::{Ingest, IngestConfig};
use demarc_proto::{Clock, ManualClock, Nanos, Observation, TenantId};
use demarc_store::{Store, StoreConfig, Table};
use tempfile::TempDir;
use tokio::sync::mpsc;

/// 2026-11-24T00:00:00Z
pub(crate) const NOW: Nanos = Nanos(1_795_478_400_000_000_000);

pub(crate) struct Bed {
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) store: Arc<Store>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) observations: mpsc::Receiver<Vec<Observation>>,
    _folder: TempDir,
}

impl Bed {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(NOW));
        let shared: Arc<dyn Clock> = clock.clone();
        let store = Store::open(folder.path(), StoreConfig::default(), Arc::clone(&shared))
            .await
            .unwrap();
        let (sender, observations) = mpsc::channel(100);
        let ingest = Ingest::new(Arc::clone(&store), IngestConfig::default(), shared, sender);
        Self {
            ingest,
            store,
            clock,
            observations,
            _folder: folder,
        }
    }

    /// What a table holds of the tenant, as text.
    pub(crate) fn shown(&self, table: Table) -> String {
        let batches = self.store.snapshot(&TenantId::default()).head(table);
        let text = pretty_format_batches(&batches).unwrap().to_string();
        let mut lines: Vec<&str> = text.lines().collect();
        let rows = lines.len().saturating_sub(4);
        if rows > 1 {
            lines[3..3 + rows].sort_unstable();
        }
        lines.join("\n")
    }
}
