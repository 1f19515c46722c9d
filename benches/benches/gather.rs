//! How long a question takes from the first query to the verdict in a large system, and how long fifty at once.
//!
//! `cargo bench -p demarc-benches --bench gather -- [services] [instances of each] [series of each instance]`; 5000, 4 and 50 when not
//! given: 20,000 instances and a million series, ten minutes of them, and 180,000 spans.

use std::{
    collections::BTreeMap,
    io::Write,
    sync::Arc,
    time::{Duration, Instant},
};

use demarc_incident::{Demarcation, IncidentConfig, Question, Registry, SymptomKind};
use demarc_ingest::{Ingest, IngestConfig, Limits};
use demarc_proto::{
    Clock, Labels, Nanos, Observation, SystemClock, TenantId,
    otlp::{
        collector::{
            metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest,
        },
        common::v1::{AnyValue, KeyValue, any_value::Value},
        metrics::v1::{
            Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data,
            number_data_point,
        },
        resource::v1::Resource,
        trace::v1::{ResourceSpans, ScopeSpans, Span, span::SpanKind},
    },
};
use demarc_query::{Engine, QueryConfig};
use demarc_rules::{Alert, AlertEvent, AlertState, Transition};
use demarc_store::{Store, StoreConfig};
use demarc_topology::{Responsibility, Topology, TopologyConfig};
use tokio::sync::mpsc;

/// Systems that do not call each other; each has its own front and its own trouble.
const SYSTEMS: u64 = 50;
/// Requests of all systems together, and the services that each goes through.
const REQUESTS: u64 = 20_000;
const DEPTH: u64 = 5;
/// Points of each series, a minute apart.
const POINTS: u64 = 10;
const SECOND_NS: u64 = 1_000_000_000;
/// How long before now the trouble begins.
const TROUBLE_NS: u64 = 180 * SECOND_NS;

#[derive(Clone, Copy)]
struct Size {
    services: u64,
    instances: u64,
    series: u64,
}

impl Size {
    fn from_arguments() -> Self {
        let [services, instances, series] = demarc_benches::numbers([5_000, 4, 50]);
        Self {
            services,
            instances,
            series,
        }
    }

    /// The `step`th service that a request of a system goes through; the first is its front.
    fn service(self, request: u64, step: u64) -> u64 {
        let each = self.services / SYSTEMS;
        let within = if step == 0 {
            0
        } else {
            1 + (request / SYSTEMS * 7 + step * 13) % (each - 1)
        };
        request % SYSTEMS * each + within
    }
}

fn pair(key: &str, value: String) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(value)),
        }),
        ..KeyValue::default()
    }
}

fn resource(service: u64, instance: u64) -> Resource {
    let pod = format!("service-{service}-{instance}");
    Resource {
        attributes: vec![
            pair("service.name", format!("service-{service}")),
            pair("service.instance.id", pod.clone()),
            pair("k8s.namespace.name", format!("ns-{}", service % SYSTEMS)),
            pair("k8s.pod.name", pod),
            pair(
                "k8s.node.name",
                format!("node-{}", (service * 4 + instance) % 1_000),
            ),
        ],
        ..Resource::default()
    }
}

/// What one instance measures: the use of its limits, and other series that say nothing of a fault.
fn metrics(size: Size, (service, instance): (u64, u64), now: u64) -> ResourceMetrics {
    let names = [
        "k8s.pod.cpu_limit_utilization",
        "k8s.pod.memory_limit_utilization",
    ];
    let metric = |at: u64| {
        let points = (0..POINTS).map(|step| NumberDataPoint {
            time_unix_nano: now - (POINTS - step) * 60 * SECOND_NS,
            value: Some(number_data_point::Value::AsDouble(
                ((service * 31 + step * 7 + at) % 40) as f64 / 100.0,
            )),
            ..NumberDataPoint::default()
        });
        let name = names
            .get(at as usize)
            .map_or_else(|| format!("app.figure_{at}"), |name| (*name).to_owned());
        Metric {
            name,
            unit: "1".to_owned(),
            data: Some(Data::Gauge(Gauge {
                data_points: points.collect(),
            })),
            ..Metric::default()
        }
    };
    ResourceMetrics {
        resource: Some(resource(service, instance)),
        scope_metrics: vec![ScopeMetrics {
            metrics: (0..size.series).map(metric).collect(),
            ..ScopeMetrics::default()
        }],
        ..ResourceMetrics::default()
    }
}

/// The spans of one request: each service serves it and calls the next; the last of them is slow in the time of trouble.
fn request(size: Size, number: u64, now: u64) -> Vec<ResourceSpans> {
    let start = now - 600 * SECOND_NS + number * (590 * SECOND_NS / REQUESTS);
    let is_slow = start > now - TROUBLE_NS;
    let slow = if is_slow { 80_000_000 } else { 0 };
    let id = |step: u64, side: u64| (number * 100 + step * 2 + side + 1).to_be_bytes().to_vec();
    let span = |(step, side): (u64, u64), name: String| {
        let inner = step * 2 + side;
        let duration = 40_000_000 - inner * 2_000_000 + slow;
        Span {
            trace_id: [(number + 1).to_be_bytes(), now.to_be_bytes()].concat(),
            span_id: id(step, side),
            parent_span_id: match (step, side) {
                (0, 0) => Vec::new(),
                (step, 0) => id(step - 1, 1),
                (step, _) => id(step, 0),
            },
            name,
            kind: if side == 0 {
                SpanKind::Server.into()
            } else {
                SpanKind::Client.into()
            },
            start_time_unix_nano: start + inner * 500_000,
            end_time_unix_nano: start + inner * 500_000 + duration,
            ..Span::default()
        }
    };
    let steps = (0..DEPTH).map(|step| {
        let service = size.service(number, step);
        let mut spans = vec![span((step, 0), format!("GET /{service}"))];
        if step + 1 < DEPTH {
            spans.push(span(
                (step, 1),
                format!("call {}", size.service(number, step + 1)),
            ));
        }
        ResourceSpans {
            resource: Some(resource(service, number % size.instances)),
            scope_spans: vec![ScopeSpans {
                spans,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }
    });
    steps.collect()
}

struct Bed {
    ingest: Arc<Ingest>,
    topology: Arc<Topology>,
    demarcation: Arc<Demarcation>,
    observations: mpsc::Receiver<Vec<Observation>>,
    tenant: TenantId,
    _folder: tempfile::TempDir,
}

impl Bed {
    async fn open() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = Store::open(
            &folder.path().join("data"),
            StoreConfig::default(),
            Arc::clone(&clock),
        )
        .await?;
        let (sender, observations) = mpsc::channel(1 << 20);
        let limits = Limits {
            max_active_series: 10_000_000,
            ..Limits::default()
        };
        let config = IngestConfig {
            limits,
            ..IngestConfig::default()
        };
        let ingest = Ingest::new(Arc::clone(&store), config, Arc::clone(&clock), sender);
        let engine = Arc::new(Engine::new(Arc::clone(&store), QueryConfig::default())?);
        let topology = Topology::open(
            store,
            TopologyConfig::default(),
            Responsibility::default(),
            Arc::clone(&clock),
        )
        .await?;
        ingest.watch(topology.mappings().metrics());
        let registry = Registry::open(&folder.path().join("state.db")).await?;
        let demarcation = Demarcation::new(
            engine,
            Arc::clone(&topology),
            registry,
            IncidentConfig::default(),
            clock,
        );
        Ok(Self {
            ingest,
            topology,
            demarcation,
            observations,
            tenant: TenantId::default(),
            _folder: folder,
        })
    }

    async fn fill(&mut self, size: Size, now: u64) -> anyhow::Result<()> {
        for service in 0..size.services {
            let resource_metrics =
                (0..size.instances).map(|instance| metrics(size, (service, instance), now));
            let request = ExportMetricsServiceRequest {
                resource_metrics: resource_metrics.collect(),
            };
            self.ingest.metrics(&self.tenant, request).await?;
            self.observe();
        }
        for first in (0..REQUESTS).step_by(200) {
            let requests = first..(first + 200).min(REQUESTS);
            let resource_spans = requests
                .flat_map(|number| request(size, number, now))
                .collect();
            self.ingest
                .traces(&self.tenant, ExportTraceServiceRequest { resource_spans })
                .await?;
            self.observe();
        }
        self.ingest.flush_span_metrics().await?;
        self.observe();
        Ok(())
    }

    fn observe(&mut self) {
        while let Ok(batch) = self.observations.try_recv() {
            self.topology.observe(&batch);
        }
    }
}

fn question(size: Size, tenant: &TenantId, system: u64, now: u64) -> Question {
    Question {
        tenant: tenant.clone(),
        service: format!("service-{}", size.service(system, 0)),
        symptom: SymptomKind::Latency,
        since: nanos(now - TROUBLE_NS),
        until: None,
        history: Vec::new(),
    }
}

fn alert(size: Size, tenant: &TenantId, system: u64, now: u64) -> AlertEvent {
    let front = format!("service-{}", size.service(system, 0));
    let labels = [
        ("alertname", "Slow"),
        ("service", front.as_str()),
        ("kind", "latency"),
    ];
    let since = nanos(now - TROUBLE_NS);
    AlertEvent {
        alert: Alert {
            tenant: tenant.clone(),
            labels: Labels::from_pairs(labels),
            annotations: BTreeMap::new(),
            value: 1.0,
            state: AlertState::Firing {
                since,
                fired_at: since,
            },
            expr: "slow".to_owned(),
        },
        transition: Transition::Firing,
        at: nanos(now),
    }
}

fn nanos(at: u64) -> Nanos {
    Nanos(i64::try_from(at).unwrap_or(i64::MAX))
}

fn say(line: &str) {
    // A reader that went away is no reason to stop measuring.
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn milliseconds(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

fn main() -> anyhow::Result<()> {
    // `cargo test --benches` only wants to know that it runs.
    let is_test = std::env::args().any(|argument| argument == "--test");
    let mut size = Size::from_arguments();
    if is_test {
        size = Size {
            services: 5 * SYSTEMS,
            instances: 1,
            series: 2,
        };
    }
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(measure(size))
}

async fn measure(size: Size) -> anyhow::Result<()> {
    let mut bed = Bed::open().await?;
    let now = SystemClock.now().0.unsigned_abs();
    let begun = Instant::now();
    bed.fill(size, now).await?;
    let series = size.services * size.instances * size.series;
    say(&format!(
        "{} services, {} instances, {series} series: filled in {:.1} s",
        size.services,
        size.services * size.instances,
        begun.elapsed().as_secs_f64()
    ));
    for system in 0..3 {
        let begun = Instant::now();
        let verdict = bed
            .demarcation
            .ask(&question(size, &bed.tenant, system, now))
            .await?;
        let first = verdict
            .ranking
            .first()
            .map(|first| first.suspect.entity.to_string());
        say(&format!(
            "one question: {:.0} ms, first {}",
            milliseconds(begun.elapsed()),
            first.as_deref().unwrap_or("nobody")
        ));
    }
    let alerts: Vec<AlertEvent> = (0..SYSTEMS)
        .map(|system| alert(size, &bed.tenant, system, now))
        .collect();
    let begun = Instant::now();
    bed.demarcation.alerts(&alerts).await?;
    let grouped = begun.elapsed();
    let due = bed.demarcation.due().await?;
    let round = bed.demarcation.round();
    for id in &due {
        bed.demarcation.conclude(id, &round).await?;
    }
    say(&format!(
        "{} alerts at once: grouped into {} incidents in {:.0} ms, all verdicts in {:.1} s",
        alerts.len(),
        due.len(),
        milliseconds(grouped),
        begun.elapsed().as_secs_f64()
    ));
    Ok(())
}
