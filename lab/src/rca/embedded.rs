//! An engine in this process over a temporary store.

use std::sync::Arc;

use demarc_incident::{Demarcation, IncidentConfig, Question, Registry, SymptomKind, Verdict};
use demarc_ingest::{Ingest, IngestConfig, Receipt};
use demarc_proto::{
    Clock, Nanos, Observation, SystemClock, TenantId, TimeRange,
    otlp::collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
};
use demarc_query::{Engine, QueryConfig};
use demarc_store::{Retention, Store, StoreConfig};
use demarc_topology::{Graph, Responsibility, Topology, TopologyConfig};
use tokio::sync::{Mutex, mpsc};

use crate::recording::{Recording, System, Telemetry};

/// Recordings are sent in any order: a case may be hours or days before the times of peace that it is compared with.
const OUT_OF_ORDER_SECONDS: u64 = 365 * 86_400;
/// One row in so many may be refused: recordings hold log lines whose times are years off, and a case may begin where peace ended.
const MOST_REFUSED: u64 = 10;
/// Batches of observations that may wait.
const OBSERVATIONS: usize = 65_536;

/// An engine with one tenant.
pub(crate) struct Embedded {
    tenant: TenantId,
    ingest: Arc<Ingest>,
    topology: Arc<Topology>,
    demarcation: Arc<Demarcation>,
    observations: Mutex<mpsc::Receiver<Vec<Observation>>>,
    /// The folder goes away with this.
    _folder: tempfile::TempDir,
}

impl Embedded {
    pub(crate) async fn open() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        // Recordings are small: they stay in memory, so that every case is read alike.
        let config = StoreConfig {
            flush_rows: usize::MAX,
            flush_bytes: usize::MAX,
            flush_interval_seconds: 86_400,
            // They are as old as they are.
            retention: Retention::FOREVER,
            ..StoreConfig::default()
        };
        let store = Store::open(&folder.path().join("data"), config, Arc::clone(&clock)).await?;
        let (sender, observations) = mpsc::channel(OBSERVATIONS);
        let ingest = Ingest::new(
            Arc::clone(&store),
            IngestConfig {
                out_of_order_seconds: OUT_OF_ORDER_SECONDS,
                ..IngestConfig::default()
            },
            Arc::clone(&clock),
            sender,
        );
        let engine = Arc::new(Engine::new(Arc::clone(&store), QueryConfig::default())?);
        let topology = Topology::open(
            store,
            TopologyConfig::default(),
            Responsibility::default(),
            Arc::clone(&clock),
        )
        .await?;
        ingest.watch(topology.mappings().metrics());
        let demarcation = Demarcation::new(
            engine,
            Arc::clone(&topology),
            Registry::open(&folder.path().join("state.db")).await?,
            IncidentConfig::default(),
            clock,
        );
        Ok(Self {
            tenant: TenantId::new("recorded")?,
            ingest,
            topology,
            demarcation,
            observations: Mutex::new(observations),
            _folder: folder,
        })
    }

    /// Sends telemetry through ingest, and what ingest notices to the topology; returns what is odd about the recording.
    pub(crate) async fn load(&self, telemetry: &Telemetry) -> anyhow::Result<Option<String>> {
        let tenant = &self.tenant;
        let mut receipts = Vec::new();
        for resource_metrics in telemetry.metric_requests() {
            let request = ExportMetricsServiceRequest { resource_metrics };
            receipts.push(self.ingest.metrics(tenant, request).await?);
        }
        for resource_spans in telemetry.span_requests() {
            let request = ExportTraceServiceRequest { resource_spans };
            receipts.push(self.ingest.traces(tenant, request).await?);
        }
        for resource_logs in telemetry.log_requests() {
            let request = ExportLogsServiceRequest { resource_logs };
            receipts.push(self.ingest.logs(tenant, request).await?);
        }
        self.ingest.flush_span_metrics().await?;
        let mut observations = self.observations.lock().await;
        while let Ok(batch) = observations.try_recv() {
            self.topology.observe(&batch);
        }
        Ok(refusals(&receipts))
    }

    /// Asks who caused what a recording shows.
    pub(crate) async fn ask(
        &self,
        recording: &Recording,
        system: &System,
    ) -> anyhow::Result<Verdict> {
        let range = |(from, to): &(i64, i64)| TimeRange::new(Nanos(*from), Nanos(to + 1));
        let question = Question {
            tenant: self.tenant.clone(),
            service: recording.entry.clone(),
            symptom: match recording.symptom {
                Some("latency") => SymptomKind::Latency,
                Some("errors") => SymptomKind::Errors,
                _ => SymptomKind::Any,
            },
            since: Nanos(recording.since),
            until: Some(Nanos(recording.until)),
            history: system.history.iter().filter_map(range).collect(),
        };
        Ok(self.demarcation.ask(&question).await?)
    }

    /// The topology on which a recording was judged.
    pub(crate) fn graph(&self, recording: &Recording) -> Arc<Graph> {
        self.topology.graph_at(Nanos(recording.until))
    }
}

/// Says so where more than single rows were refused: then what is judged is not what was recorded.
fn refusals(receipts: &[Receipt]) -> Option<String> {
    let accepted: u64 = receipts.iter().map(|one| one.accepted).sum();
    let refused: u64 = receipts
        .iter()
        .flat_map(|one| &one.rejected)
        .map(|one| one.count)
        .sum();
    if refused * MOST_REFUSED <= accepted + refused {
        return None;
    }
    let first = receipts.iter().find_map(|one| one.rejected.first());
    Some(format!(
        "{refused} of {} rows were refused, such as: {first:?}",
        accepted + refused
    ))
}
