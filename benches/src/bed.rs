//! An engine without its sockets, in a folder that goes away with it.

use std::{path::Path, sync::Arc};

use demarc_ingest::{Ingest, IngestConfig};
use demarc_proto::{Clock, SystemClock, TenantId};
use demarc_query::{Engine, QueryConfig};
use demarc_store::{Store, StoreConfig};
use tempfile::TempDir;

/// Store, ingest and query engine over a temporary folder, writing with fsync as in production.
#[derive(Debug)]
pub struct Bed {
    /// Takes OTLP requests.
    pub ingest: Arc<Ingest>,
    /// Answers queries.
    pub engine: Engine,
    /// Where the rows are.
    pub store: Arc<Store>,
    /// The tenant that the load belongs to.
    pub tenant: TenantId,
    folder: TempDir,
}

impl Bed {
    /// Opens an empty engine.
    ///
    /// # Panics
    /// When no temporary folder can be made or the store does not open there: nothing can be measured then.
    pub async fn open() -> Self {
        Self::with(StoreConfig::default()).await
    }

    /// Opens an empty engine of which the store is set so.
    ///
    /// # Panics
    /// As [`Bed::open`].
    pub async fn with(config: StoreConfig) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = Store::open(folder.path(), config, Arc::clone(&clock))
            .await
            .expect("an empty folder opens");
        let (observations, mut seen) = tokio::sync::mpsc::channel(1024);
        tokio::spawn(async move { while seen.recv().await.is_some() {} });
        let ingest = Ingest::new(
            Arc::clone(&store),
            IngestConfig::default(),
            clock,
            observations,
        );
        let engine = Engine::new(Arc::clone(&store), QueryConfig::default())
            .expect("the default configuration is valid");
        Self {
            ingest,
            engine,
            store,
            tenant: TenantId::default(),
            folder,
        }
    }

    /// Where the store keeps its files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}
