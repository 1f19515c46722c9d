//! An ingest over a store in a folder that goes away.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use arrow::{
    array::AsArray,
    datatypes::{Float64Type, Int64Type},
    util::pretty::pretty_format_batches,
};
use demarc_ingest::{Ingest, IngestConfig};
use demarc_proto::{Clock, Labels, ManualClock, Nanos, Observation, TenantId};
use demarc_store::{Retention, Store, StoreConfig, Table};
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
        Self::with(IngestConfig::default()).await
    }

    pub(crate) async fn with(config: IngestConfig) -> Self {
        let store = StoreConfig {
            retention: Retention {
                metrics_days: 90,
                traces_days: 30,
                logs_days: 184,
                ..Retention::FOREVER
            },
            ..StoreConfig::default()
        };
        Self::over(store, config).await
    }

    /// One that takes rows of whatever age.
    pub(crate) async fn keeping() -> Self {
        Self::over(StoreConfig::default(), IngestConfig::default()).await
    }

    async fn over(store: StoreConfig, config: IngestConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(NOW));
        let shared: Arc<dyn Clock> = clock.clone();
        let store = Store::open(folder.path(), store, Arc::clone(&shared))
            .await
            .unwrap();
        let (sender, observations) = mpsc::channel(100);
        let ingest = Ingest::new(Arc::clone(&store), config, shared, sender);
        Self {
            ingest,
            store,
            clock,
            observations,
            _folder: folder,
        }
    }

    /// How many rows a table holds of the tenant.
    pub(crate) fn rows(&self, table: Table) -> usize {
        let batches = self.store.snapshot(&TenantId::default()).head(table);
        batches.iter().map(|batch| batch.num_rows()).sum()
    }

    /// The newest value of each series of the tenant, by its labels as Prometheus writes them.
    pub(crate) fn values(&self) -> BTreeMap<String, f64> {
        let snapshot = self.store.snapshot(&TenantId::default());
        let mut names = HashMap::new();
        for batch in snapshot.head(Table::Series) {
            let ids = batch["series_id"].as_binary::<i32>();
            let labels = batch["labels"].as_map();
            for row in 0..batch.num_rows() {
                let entries = labels.value(row);
                let text = |at: usize| entries.column(at).as_string::<i32>().clone();
                let (keys, values) = (text(0), text(1));
                let pairs = keys.iter().zip(values.iter());
                let pairs = pairs.map(|(key, value)| (key.unwrap(), value.unwrap()));
                let labels = Labels::from_pairs(pairs);
                names.insert(ids.value(row).to_vec(), labels.to_string());
            }
        }
        let mut newest: BTreeMap<String, (i64, f64)> = BTreeMap::new();
        for batch in snapshot.head(Table::Samples) {
            let ids = batch["series_id"].as_binary::<i32>();
            let times = batch["time"].as_primitive::<Int64Type>();
            let values = batch["value"].as_primitive::<Float64Type>();
            for row in 0..batch.num_rows() {
                let name = names[ids.value(row)].clone();
                let one = newest.entry(name).or_insert((i64::MIN, 0.0));
                if times.value(row) >= one.0 {
                    *one = (times.value(row), values.value(row));
                }
            }
        }
        newest
            .into_iter()
            .map(|(name, (_, value))| (name, value))
            .collect()
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
