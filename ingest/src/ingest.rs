//! The entry points: one per signal, and the flush of what was derived from spans.

use std::{
    sync::{Arc, LazyLock, Weak},
    time::Duration,
};

use demarc_proto::{
    Clock, Nanos, Observation, TenantId,
    otlp::collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
};
use demarc_store::{Columns, Rows, Store, Table};
use opentelemetry::metrics::Counter;
use parking_lot::Mutex;
use prost::Message;
use tokio::sync::mpsc;

use crate::{
    Admission, IngestConfig, IngestError, Receipt, Signal,
    admission::Budget,
    envelope::groups,
    log::{self, Records},
    metric::{Added, MetricContext, Sink, points, resource_metrics},
    pipeline::Pipeline,
    receipt::Tally,
    registry::{Registry, Tenant, minute},
    remote_write::Collected,
    rules::Rules,
    span_metrics::Room,
    time::Bounds,
    trace::{self, Traces},
    watch::Watch,
};

static DROPPED: LazyLock<Counter<u64>> = LazyLock::new(|| {
    opentelemetry::global::meter("demarc")
        .u64_counter("ingest_dropped_observations")
        .with_description("Observations that the topology was too busy to take")
        .build()
});

/// Turns requests into durable rows.
#[derive(Debug)]
pub struct Ingest {
    pub(crate) store: Arc<Store>,
    pub(crate) clock: Arc<dyn Clock>,
    config: IngestConfig,
    registry: Registry,
    budget: Budget,
    observations: mpsc::Sender<Vec<Observation>>,
    pipeline: Mutex<Pipeline>,
    pub(crate) watch: Watch,
    pub(crate) itself: Weak<Self>,
}

/// The metric points of a request.
pub(crate) struct Points {
    pub(crate) state: Arc<Tenant>,
    pub(crate) collected: Collected,
    seen: Vec<Observation>,
    pub(crate) tally: Tally,
    /// What they have added to sums.
    pub(crate) added: Added,
}

impl Ingest {
    /// An ingest that appends to `store` and reports what it notices to `observations`.
    pub fn new(
        store: Arc<Store>,
        config: IngestConfig,
        clock: Arc<dyn Clock>,
        observations: mpsc::Sender<Vec<Observation>>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|itself| Self {
            budget: Budget::new(config.max_inflight_bytes),
            registry: Registry::default(),
            store,
            clock,
            config,
            observations,
            pipeline: Mutex::default(),
            watch: Watch::default(),
            itself: Weak::clone(itself),
        })
    }

    /// Reports the series of these metrics to the topology from now on.
    pub fn watch(&self, metrics: impl IntoIterator<Item = String>) {
        self.watch.set(metrics);
    }

    /// Memory for a request, none yet: [`Admission::grow`] takes it.
    pub fn admission(&self) -> Admission {
        self.budget.admission()
    }

    /// Takes spans. When it returns, the accepted ones are durable and can be queried.
    pub async fn traces(
        &self,
        tenant: &TenantId,
        request: ExportTraceServiceRequest,
    ) -> Result<Receipt, IngestError> {
        let read = trace::read(
            &request.encode_to_vec(),
            &self.rules(tenant, Signal::Traces),
        )?;
        self.take_traces(tenant, read).await
    }

    pub(crate) async fn take_traces(
        &self,
        tenant: &TenantId,
        read: Traces,
    ) -> Result<Receipt, IngestError> {
        let Some(spans) = read.spans else {
            return Ok(self.finish(Vec::new(), read.tally));
        };
        // Counted only once durable: what the sender must send again would count twice.
        let columns = Columns {
            spans: Some(spans.clone()),
            ..Columns::default()
        };
        self.append(tenant, columns, &Rows::default()).await?;
        let room = self.room(self.clock.now());
        let mut pipeline = self.pipeline.lock();
        let seen = pipeline.spans(tenant, &spans, &read.resources, room);
        drop(pipeline);
        Ok(self.finish(seen, read.tally))
    }

    /// Takes metric points. When it returns, the accepted ones are durable and can be queried.
    pub async fn metrics(
        &self,
        tenant: &TenantId,
        request: ExportMetricsServiceRequest,
    ) -> Result<Receipt, IngestError> {
        let points = self.read_metrics(tenant, &request.encode_to_vec())?;
        self.take_points(tenant, points).await
    }

    pub(crate) async fn take_points(
        &self,
        tenant: &TenantId,
        points: Points,
    ) -> Result<Receipt, IngestError> {
        let written = self.write(tenant, &points.state, points.collected).await;
        if let Err(error) = written {
            points.state.deltas.lock().take_back(points.added);
            return Err(error);
        }
        Ok(self.finish(points.seen, points.tally))
    }

    /// Reads an `ExportMetricsServiceRequest`.
    pub(crate) fn read_metrics(
        &self,
        tenant: &TenantId,
        body: &[u8],
    ) -> Result<Points, IngestError> {
        let state = self.tenant(tenant)?;
        let mut added = Added::default();
        let read = self.collect_metrics((tenant, &state), body, &mut added);
        let (collected, seen, tally) = match read {
            Ok(read) => read,
            Err(error) => {
                state.deltas.lock().take_back(added);
                return Err(error);
            }
        };
        Ok(Points {
            state,
            collected,
            seen,
            tally,
            added,
        })
    }

    fn collect_metrics(
        &self,
        (tenant, state): (&TenantId, &Tenant),
        body: &[u8],
        added: &mut Added,
    ) -> Result<(Collected, Vec<Observation>, Tally), IngestError> {
        let mut tally = Tally::default();
        let bounds = self.bounds(tenant, Signal::Metrics);
        let mut admission = self.admission();
        let mut collector = self.collector(tenant, state, &mut admission);
        let mut seen = Vec::new();
        let limits = self.config.limits_of(tenant);
        for group in groups(body) {
            let group = group?;
            let sender = match group.sender(Signal::Metrics, limits)? {
                Ok(sender) => sender,
                Err(refusal) => {
                    tally.refuse_all(refusal, points(group, limits)?);
                    continue;
                }
            };
            let context = MetricContext::new(&self.config, tenant, bounds, &sender.resource);
            collector.set_resource(&sender.resource);
            let sink = Sink {
                collector: &mut collector,
                deltas: &mut state.deltas.lock(),
                added: &mut *added,
                tally: &mut tally,
            };
            let newest = resource_metrics(group, &context, sink)?;
            let at = newest.unwrap_or_else(|| self.clock.now());
            let noted = (sender.resource.as_ref(), sender.entities);
            let mut pipeline = self.pipeline.lock();
            seen.extend(pipeline.reported.observe(tenant, noted, at));
        }
        let mut collected = collector.finish();
        seen.append(&mut collected.seen);
        Ok((collected, seen, tally))
    }

    /// Takes log records. When it returns, the accepted ones are durable and can be queried.
    pub async fn logs(
        &self,
        tenant: &TenantId,
        request: ExportLogsServiceRequest,
    ) -> Result<Receipt, IngestError> {
        let read = log::read(&request.encode_to_vec(), &self.rules(tenant, Signal::Logs))?;
        self.take_logs(tenant, read).await
    }

    pub(crate) async fn take_logs(
        &self,
        tenant: &TenantId,
        read: Records,
    ) -> Result<Receipt, IngestError> {
        let columns = Columns {
            logs: read.logs,
            ..Columns::default()
        };
        let rows = Rows {
            changes: read.changes,
            ..Rows::default()
        };
        self.append(tenant, columns, &rows).await?;
        let mut seen = Vec::new();
        let mut pipeline = self.pipeline.lock();
        for (sender, at) in read.senders {
            let noted = (sender.resource.as_ref(), sender.entities);
            seen.extend(pipeline.reported.observe(tenant, noted, at));
        }
        drop(pipeline);
        Ok(self.finish(seen, read.tally))
    }

    /// Writes the metrics derived from spans, and reports the calls whose sides have met or waited long enough.
    ///
    /// Call it every [`IngestConfig::span_metrics_interval`], and once more before the store closes.
    #[tracing::instrument(skip_all, err)]
    pub async fn flush_span_metrics(&self) -> Result<(), IngestError> {
        let now = self.clock.now();
        let wait = Duration::from_secs(self.config.pair_wait_seconds);
        let idle = Duration::from_secs(self.config.series_idle_seconds);
        self.registry.forget_idle(minute(now.minus(idle)));
        self.registry.forget_deleted(|id| self.store.series(id));
        let (seen, by_tenant) = {
            let mut pipeline = self.pipeline.lock();
            pipeline.overdue(
                now.minus(wait),
                self.config.max_pending_calls,
                self.room(now),
            );
            pipeline.take(now)
        };
        self.report(seen);
        let mut outcome = Ok(());
        for (tenant, metrics) in by_tenant {
            let rows = Rows {
                metrics,
                ..Rows::default()
            };
            // One tenant's failure must not keep the others' metrics from being written.
            let written = self.store.append(&tenant, rows).await;
            outcome = outcome.and(written.map_err(IngestError::from));
        }
        outcome
    }

    /// What ingest was told.
    pub fn config(&self) -> &IngestConfig {
        &self.config
    }

    /// What a request of `tenant` is judged by now.
    pub(crate) fn rules(&self, tenant: &TenantId, signal: Signal) -> Rules {
        Rules {
            tenant: tenant.clone(),
            limits: self.config.limits_of(tenant).clone(),
            bounds: self.bounds(tenant, signal),
            now: self.clock.now(),
        }
    }

    /// Appends rows as far as the tenant's rate allows.
    pub(crate) async fn append(
        &self,
        tenant: &TenantId,
        columns: Columns,
        rows: &Rows,
    ) -> Result<(), IngestError> {
        let count = columns.len() + rows.len();
        if count == 0 {
            return Ok(());
        }
        let limit = self.config.limits_of(tenant).max_rows_per_second;
        let state = self.tenant(tenant)?;
        state.rows.take("rows", count, limit, self.clock.now())?;
        self.store.append_columns(tenant, columns, rows).await?;
        Ok(())
    }

    fn room(&self, now: Nanos) -> Room {
        Room {
            now,
            max_series: self.config.max_span_series,
        }
    }

    /// Counts bytes against the tenant's rate.
    pub(crate) fn take_bytes(&self, tenant: &TenantId, bytes: usize) -> Result<(), IngestError> {
        let limit = self.config.limits_of(tenant).max_bytes_per_second;
        let state = self.tenant(tenant)?;
        state.bytes.take("bytes", bytes, limit, self.clock.now())
    }

    /// What is remembered of the tenant.
    pub(crate) fn tenant(&self, tenant: &TenantId) -> Result<Arc<Tenant>, IngestError> {
        let limit = self.config.max_tenants;
        if !self.registry.has_room(tenant, limit) {
            return Err(IngestError::TooManyTenants { limit });
        }
        self.registry
            .tenant(tenant, limit, self.store.series(tenant))
    }

    /// How many more series of a tenant the store may get.
    pub(crate) fn series_left(&self, tenant: &Tenant) -> usize {
        self.registry.series_left(tenant, self.config.max_series)
    }

    /// The times that rows may have now.
    pub(crate) fn bounds(&self, tenant: &TenantId, signal: Signal) -> Bounds {
        let table = match signal {
            Signal::Traces => Table::Spans,
            Signal::Logs => Table::Logs,
            Signal::Metrics | Signal::RemoteWrite => Table::Samples,
        };
        let kept = self.store.kept(tenant, table, self.clock.now());
        Bounds::now(&self.config, kept, self.clock.as_ref())
    }

    fn finish(&self, seen: Vec<Observation>, tally: Tally) -> Receipt {
        self.report(seen);
        tally.into_receipt()
    }

    /// The topology may be behind; the acknowledgement never waits for it.
    pub(crate) fn report(&self, seen: Vec<Observation>) {
        let count = seen.len() as u64;
        if count > 0 && self.observations.try_send(seen).is_err() {
            DROPPED.add(count, &[]);
        }
    }
}
