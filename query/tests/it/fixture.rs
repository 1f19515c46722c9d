//! A store in a folder that goes away, and an engine over it.

use std::sync::Arc;

use demarc_proto::{Clock, ManualClock, Nanos, TenantId};
use demarc_query::{Engine, QueryConfig};
use demarc_store::{Rows, Store, StoreConfig};
use tempfile::TempDir;

pub(crate) struct Bed {
    pub(crate) store: Arc<Store>,
    pub(crate) engine: Engine,
    _folder: TempDir,
}

impl Bed {
    pub(crate) async fn new() -> Self {
        Self::with(QueryConfig::default()).await
    }

    pub(crate) async fn with(config: QueryConfig) -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), config).await
    }

    async fn in_folder(folder: TempDir, config: QueryConfig) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Nanos(1_000_000_000_000)));
        let store = Store::open(folder.path(), StoreConfig::default(), clock)
            .await
            .unwrap();
        let engine = Engine::new(Arc::clone(&store), config).unwrap();
        Self {
            store,
            engine,
            _folder: folder,
        }
    }

    /// The same files under another store: nothing of them is in memory any more.
    pub(crate) async fn reopened(self) -> Self {
        self.store.close().await.unwrap();
        let Self {
            store,
            engine,
            _folder,
        } = self;
        drop((store, engine));
        Self::in_folder(_folder, QueryConfig::default()).await
    }

    pub(crate) async fn append(&self, tenant: &TenantId, rows: Rows) {
        self.store.append(tenant, rows).await.unwrap();
    }
}

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}
