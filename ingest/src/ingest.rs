//! The entry points: one per signal, and the flush of what was derived from spans.

use std::sync::{Arc, LazyLock};

use demarc_proto::{
    Clock, Nanos, Observation, TenantId,
    otlp::collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
};
use demarc_store::{Rows, SpanRow, Store};
use opentelemetry::metrics::Counter;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::{
    IngestConfig, IngestError, Receipt, Signal,
    change::change,
    log::{LogContext, record},
    metric::{Deltas, MetricContext, points, resource_metrics},
    pairing::{Pairing, observations},
    receipt::Tally,
    resource::{Reported, entity_refs, resource},
    span_metrics::SpanMetrics,
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
    store: Arc<Store>,
    config: IngestConfig,
    clock: Arc<dyn Clock>,
    observations: mpsc::Sender<Vec<Observation>>,
    pipeline: Mutex<Pipeline>,
    deltas: Mutex<Deltas>,
    watch: Watch,
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
            store,
            config,
            clock,
            observations,
            pipeline: Mutex::default(),
            deltas: Mutex::default(),
            watch: Watch::default(),
        })
    }

    /// Reports the series of these metrics to the topology from now on.
    pub fn watch(&self, metrics: impl IntoIterator<Item = String>) {
        self.watch.set(metrics);
    }

    /// Takes spans. When it returns, the accepted ones are durable and can be queried.
    #[tracing::instrument(skip_all, err, fields(%tenant))]
    pub async fn traces(
        &self,
        tenant: &TenantId,
        request: ExportTraceServiceRequest,
    ) -> Result<Receipt, IngestError> {
        let mut tally = Tally::default();
        let rows = Rows {
            spans: self.span_rows(request, &mut tally),
            ..Rows::default()
        };
        // Counted only once durable: what the sender must send again would count twice.
        self.append(tenant, &rows).await?;
        let seen = self.pipe(tenant, &rows.spans);
        Ok(self.finish(Signal::Traces, seen, tally))
    }

    /// Takes metric points. When it returns, the accepted ones are durable and can be queried.
    #[tracing::instrument(skip_all, err, fields(%tenant))]
    pub async fn metrics(
        &self,
        tenant: &TenantId,
        request: ExportMetricsServiceRequest,
    ) -> Result<Receipt, IngestError> {
        let mut tally = Tally::default();
        let mut rows = Rows::default();
        let mut seen = Vec::new();
        for mut metrics in request.resource_metrics {
            let entities = entity_refs(metrics.resource.as_ref());
            let attributes = match resource(metrics.resource.take(), &self.config) {
                Ok(attributes) => attributes,
                Err(refusal) => {
                    tally.refuse_all(refusal, points(&metrics));
                    continue;
                }
            };
            let context = MetricContext::new(&self.config, tenant, self.latest(), &attributes);
            let (series, newest) =
                resource_metrics(metrics, &context, &mut self.deltas.lock(), &mut tally);
            seen.extend(self.watch.observe(tenant, &series, Some(&attributes)));
            rows.metrics.extend(series);
            let at = newest.unwrap_or_else(|| self.clock.now());
            seen.extend(
                self.pipeline
                    .lock()
                    .reported
                    .observe(tenant, (&attributes, entities), at),
            );
        }
        self.append(tenant, &rows).await?;
        Ok(self.finish(Signal::Metrics, seen, tally))
    }

    /// Takes log records. When it returns, the accepted ones are durable and can be queried.
    #[tracing::instrument(skip_all, err, fields(%tenant))]
    pub async fn logs(
        &self,
        tenant: &TenantId,
        request: ExportLogsServiceRequest,
    ) -> Result<Receipt, IngestError> {
        let mut tally = Tally::default();
        let mut rows = Rows::default();
        let mut seen = Vec::new();
        for logs in request.resource_logs {
            let entities = entity_refs(logs.resource.as_ref());
            let attributes = match resource(logs.resource, &self.config) {
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
                    config: &self.config,
                    now: self.clock.now(),
                    latest: self.latest(),
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
        Ok(self.finish(Signal::Logs, seen, tally))
    }

    /// Writes the metrics derived from spans, and reports the calls whose sides have met or waited long enough.
    ///
    /// Call it every [`IngestConfig::span_metrics_interval`], and once more before the store closes.
    #[tracing::instrument(skip_all, err)]
    pub async fn flush_span_metrics(&self) -> Result<(), IngestError> {
        let now = self.clock.now();
        let wait = std::time::Duration::from_secs(self.config.pair_wait_seconds);
        let (seen, by_tenant) = {
            let mut pipeline = self.pipeline.lock();
            let calls = pipeline
                .pairing
                .take(now.minus(wait), self.config.max_pending_calls);
            for call in &calls {
                pipeline.metrics.call(call, self.config.max_span_series);
            }
            (observations(&calls), pipeline.metrics.rows(now.to_millis()))
        };
        self.report(seen);
        for (tenant, metrics) in by_tenant {
            self.store
                .append(
                    &tenant,
                    Rows {
                        metrics,
                        ..Rows::default()
                    },
                )
                .await?;
        }
        Ok(())
    }

    /// What ingest was told.
    pub fn config(&self) -> &IngestConfig {
        &self.config
    }

    fn span_rows(&self, request: ExportTraceServiceRequest, tally: &mut Tally) -> Vec<SpanRow> {
        let mut rows = Vec::new();
        for spans in request.resource_spans {
            let attributes = match resource(spans.resource, &self.config) {
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
                    config: &self.config,
                    latest: self.latest(),
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
            pipeline
                .metrics
                .span(tenant, span, self.config.max_span_series);
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
        if !rows.is_empty() {
            self.store.append(tenant, rows).await?;
        }
        Ok(())
    }

    fn finish(&self, signal: Signal, seen: Vec<Observation>, tally: Tally) -> Receipt {
        self.report(seen);
        let receipt = tally.into_receipt();
        receipt.count(signal);
        receipt
    }

    /// The topology may be behind; the acknowledgement never waits for it.
    fn report(&self, seen: Vec<Observation>) {
        let count = seen.len() as u64;
        if count > 0 && self.observations.try_send(seen).is_err() {
            DROPPED.add(count, &[]);
        }
    }

    fn latest(&self) -> Nanos {
        let tolerance = std::time::Duration::from_secs(self.config.future_tolerance_seconds);
        self.clock.now().plus(tolerance)
    }
}
