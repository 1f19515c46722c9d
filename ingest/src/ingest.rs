//! The entry points: one per signal, and the flush of what was derived from spans.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use demarc_proto::{
    Clock, Nanos, Observation, TenantId,
    otlp::collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
};
use demarc_store::{Rows, Samples, SpanRow, Store};
use opentelemetry::metrics::Counter;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::{
    Admission, IngestConfig, IngestError, Receipt,
    admission::Budget,
    change::change,
    log::{LogContext, record},
    metric::{Added, MetricContext, Sink, points, resource_metrics},
    pairing::{Pairing, observations},
    receipt::Tally,
    registry::{Registry, Tenant, minute},
    resource::{Reported, entity_refs, resource},
    span_metrics::{Room, SpanMetrics},
    time::Bounds,
    trace::{SpanContext, span},
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
}

#[derive(Debug, Default)]
struct Pipeline {
    pairing: Pairing,
    metrics: SpanMetrics,
    reported: Reported,
}

impl Ingest {
    /// An ingest that appends to `store` and reports what it notices to `observations`.
    pub fn new(
        store: Arc<Store>,
        config: IngestConfig,
        clock: Arc<dyn Clock>,
        observations: mpsc::Sender<Vec<Observation>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            budget: Budget::new(config.max_inflight_bytes),
            registry: Registry::default(),
            store,
            clock,
            config,
            observations,
            pipeline: Mutex::default(),
            watch: Watch::default(),
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
        let mut tally = Tally::default();
        let rows = Rows {
            spans: self.span_rows(tenant, request, &mut tally),
            ..Rows::default()
        };
        // Counted only once durable: what the sender must send again would count twice.
        self.append(tenant, &rows).await?;
        let seen = self.pipe(tenant, &rows.spans);
        Ok(self.finish(seen, tally))
    }

    /// Takes metric points. When it returns, the accepted ones are durable and can be queried.
    pub async fn metrics(
        &self,
        tenant: &TenantId,
        request: ExportMetricsServiceRequest,
    ) -> Result<Receipt, IngestError> {
        let state = self.tenant(tenant)?;
        let mut tally = Tally::default();
        let mut admission = self.admission();
        let mut collector = self.collector(tenant, &state, &mut admission);
        let mut added = Added::default();
        let mut seen = Vec::new();
        for mut metrics in request.resource_metrics {
            let entities = entity_refs(metrics.resource.as_ref());
            let attributes = match resource(metrics.resource.take(), self.config.limits_of(tenant))
            {
                Ok(attributes) => attributes,
                Err(refusal) => {
                    tally.refuse_all(refusal, points(&metrics));
                    continue;
                }
            };
            let context = MetricContext::new(&self.config, tenant, self.bounds(), &attributes);
            collector.set_resource(&attributes);
            let sink = Sink {
                collector: &mut collector,
                deltas: &mut state.deltas.lock(),
                added: &mut added,
                tally: &mut tally,
            };
            let newest = resource_metrics(metrics, &context, sink);
            let at = newest.unwrap_or_else(|| self.clock.now());
            seen.extend(
                self.pipeline
                    .lock()
                    .reported
                    .observe(tenant, (&attributes, entities), at),
            );
        }
        let mut collected = collector.finish();
        seen.append(&mut collected.seen);
        if let Err(error) = self.write(tenant, &state, collected).await {
            state.deltas.lock().take_back(added);
            return Err(error);
        }
        Ok(self.finish(seen, tally))
    }

    /// Takes log records. When it returns, the accepted ones are durable and can be queried.
    pub async fn logs(
        &self,
        tenant: &TenantId,
        request: ExportLogsServiceRequest,
    ) -> Result<Receipt, IngestError> {
        let mut tally = Tally::default();
        let mut rows = Rows::default();
        let mut seen = Vec::new();
        let limits = self.config.limits_of(tenant);
        for logs in request.resource_logs {
            let entities = entity_refs(logs.resource.as_ref());
            let attributes = match resource(logs.resource, limits) {
                Ok(attributes) => attributes,
                Err(refusal) => {
                    let scopes = logs.scope_logs.iter();
                    tally.refuse_all(refusal, scopes.map(|scope| scope.log_records.len()).sum());
                    continue;
                }
            };
            for scope in logs.scope_logs {
                let name = scope.scope.map(|scope| scope.name).unwrap_or_default();
                let context = LogContext {
                    limits,
                    now: self.clock.now(),
                    bounds: self.bounds(),
                    resource: &attributes,
                    scope: &name,
                };
                for one in scope.log_records {
                    match record(one, &context) {
                        Ok(row) => rows.logs.push(row),
                        Err(refusal) => tally.refuse(refusal),
                    }
                }
            }
            let at = rows
                .logs
                .last()
                .map_or_else(|| self.clock.now(), |row| row.time);
            seen.extend(
                self.pipeline
                    .lock()
                    .reported
                    .observe(tenant, (&attributes, entities), at),
            );
        }
        tally.accept(rows.logs.len() as u64);
        rows.changes = rows
            .logs
            .iter()
            .filter_map(|row| change(tenant, row))
            .collect();
        self.append(tenant, &rows).await?;
        Ok(self.finish(seen, tally))
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
        let (seen, by_tenant) = {
            let mut pipeline = self.pipeline.lock();
            let calls = pipeline
                .pairing
                .take(now.minus(wait), self.config.max_pending_calls);
            for call in &calls {
                pipeline.metrics.call(call, self.room(now));
            }
            (observations(&calls), pipeline.metrics.rows(now))
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

    fn span_rows(
        &self,
        tenant: &TenantId,
        request: ExportTraceServiceRequest,
        tally: &mut Tally,
    ) -> Vec<SpanRow> {
        let limits = self.config.limits_of(tenant);
        let mut rows = Vec::new();
        for spans in request.resource_spans {
            let attributes = match resource(spans.resource, limits) {
                Ok(attributes) => attributes,
                Err(refusal) => {
                    let scopes = spans.scope_spans.iter();
                    tally.refuse_all(refusal, scopes.map(|scope| scope.spans.len()).sum());
                    continue;
                }
            };
            for scope in spans.scope_spans {
                let name = scope.scope.map(|scope| scope.name).unwrap_or_default();
                let context = SpanContext {
                    limits,
                    bounds: self.bounds(),
                    resource: &attributes,
                    scope: &name,
                };
                for one in scope.spans {
                    match span(one, &context) {
                        Ok(row) => rows.push(row),
                        Err(refusal) => tally.refuse(refusal),
                    }
                }
            }
        }
        tally.accept(rows.len() as u64);
        rows
    }

    /// Counts spans, looks for their other sides, and notes their resources.
    fn pipe(&self, tenant: &TenantId, spans: &[SpanRow]) -> Vec<Observation> {
        let now = self.clock.now();
        let mut pipeline = self.pipeline.lock();
        let mut seen = Vec::new();
        let mut last: Option<&Arc<demarc_proto::Attributes>> = None;
        for span in spans {
            pipeline.pairing.add(tenant, span, now);
            pipeline.metrics.span(tenant, span, self.room(now));
            if !last.is_some_and(|last| Arc::ptr_eq(last, &span.resource)) {
                seen.extend(pipeline.reported.observe(
                    tenant,
                    (&span.resource, Vec::new()),
                    span.start,
                ));
                last = Some(&span.resource);
            }
        }
        seen
    }

    async fn append(&self, tenant: &TenantId, rows: &Rows) -> Result<(), IngestError> {
        self.append_columns(tenant, Samples::default(), rows).await
    }

    pub(crate) async fn append_columns(
        &self,
        tenant: &TenantId,
        samples: Samples,
        rows: &Rows,
    ) -> Result<(), IngestError> {
        let count = samples.len() + rows.len();
        if count == 0 {
            return Ok(());
        }
        let limit = self.config.limits_of(tenant).max_rows_per_second;
        let state = self.tenant(tenant)?;
        state.rows.take("rows", count, limit, self.clock.now())?;
        self.store.append_columns(tenant, samples, rows).await?;
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

    /// The times that rows may have now.
    pub(crate) fn bounds(&self) -> Bounds {
        Bounds::now(&self.config, self.clock.as_ref())
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
