//! Wires the crates together.

use std::sync::Arc;

use anyhow::Context;
use demarc_incident::{Demarcation, Registry};
use demarc_ingest::Ingest;
use demarc_notify::Notifier;
use demarc_proto::{Clock, Nanos, Observation, SystemClock, TenantId};
use demarc_query::Engine;
use demarc_report::ReportConfig;
use demarc_rules::Rules;
use demarc_store::Store;
use demarc_topology::Topology;
use tokio::sync::mpsc;

use crate::config::Config;

/// Batches of observations that may wait for the topology.
const OBSERVATION_QUEUE: usize = 4096;

/// Everything that handlers and loops need.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) store: Arc<Store>,
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) topology: Arc<Topology>,
    pub(crate) rules: Arc<Rules>,
    pub(crate) demarcation: Arc<Demarcation>,
    pub(crate) notifier: Arc<Notifier>,
    pub(crate) report: ReportConfig,
    pub(crate) operator: TenantId,
    pub(crate) config: Config,
    pub(crate) started: Nanos,
}

/// What ingest noticed, on its way to the topology.
pub(crate) type Observations = mpsc::Receiver<Vec<Observation>>;

impl App {
    /// Opens the store and everything above it.
    pub(crate) async fn open(config: &Config) -> anyhow::Result<(Arc<Self>, Observations)> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let responsibility = config.responsibility()?;
        let sets = config.rule_sets()?;
        let store = Store::open(&config.data_dir, config.store.clone(), Arc::clone(&clock))
            .await
            .with_context(|| format!("open store in {}", config.data_dir.display()))?;
        let (sender, observations) = mpsc::channel(OBSERVATION_QUEUE);
        let ingest = Ingest::new(
            Arc::clone(&store),
            config.ingest.clone(),
            Arc::clone(&clock),
            sender,
        );
        let engine = Arc::new(Engine::new(Arc::clone(&store), config.query.clone())?);
        let topology = Topology::open(
            Arc::clone(&store),
            config.topology.clone(),
            responsibility,
            Arc::clone(&clock),
        )
        .await?;
        ingest.watch(topology.mappings().metrics());
        let rules = Rules::new(
            Arc::clone(&engine),
            Arc::clone(&store),
            sets,
            config.rules.clone(),
            Arc::clone(&clock),
        );
        let registry = Registry::open(&config.data_dir.join("state.db")).await?;
        let demarcation = Demarcation::new(
            Arc::clone(&engine),
            Arc::clone(&topology),
            registry,
            config.incident.clone(),
            Arc::clone(&clock),
        );
        let notifier = notifier(config, &clock)?;
        let app = Self {
            started: clock.now(),
            config: config.clone(),
            clock,
            store,
            ingest,
            engine,
            topology,
            rules,
            demarcation,
            notifier,
            report: config.report.clone(),
            operator: config.operator()?,
        };
        Ok((Arc::new(app), observations))
    }

    /// Writes what is only in memory, then closes the store.
    pub(crate) async fn close(&self) -> anyhow::Result<()> {
        self.ingest.flush_span_metrics().await?;
        self.topology.close().await?;
        self.store.close().await?;
        Ok(())
    }
}

fn notifier(config: &Config, clock: &Arc<dyn Clock>) -> anyhow::Result<Arc<Notifier>> {
    Ok(Arc::new(Notifier::new(
        config.notify.clone(),
        config.operator()?,
        config.external_url.clone(),
        Arc::clone(clock),
    )))
}
