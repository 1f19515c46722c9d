//! Metrics to signals: one table of queries, in the names of the OpenTelemetry semantic conventions and of common exporters.

use std::time::Duration;

use demarc_proto::{EntityId, Labels, METRIC_NAME, TenantId};
use demarc_topology::{EntityKind, Graph};

use super::Series;
use crate::{
    Evidence, IncidentError, ProcessFact, Shift, Signal, SignalFact, StoredQuery, shift::Point,
};

/// How a result's labels name its entity.
#[derive(Clone, Copy, Debug)]
enum Naming {
    Host,
    Pod,
    Link,
    Service,
    Process,
}

/// One query of the table; `$w` stands for the window that rates and means are taken over, `$m` for further matchers. A query without
/// `$w` is a selection whose samples are taken as they are.
struct Source {
    signal: Signal,
    naming: Naming,
    query: &'static str,
}

const fn source(signal: Signal, naming: Naming, query: &'static str) -> Source {
    Source {
        signal,
        naming,
        query,
    }
}

/// Source of names: OpenTelemetry semantic conventions, "System", "Process", "Hardware" and "Kubernetes" metrics, as translated to
/// Prometheus; node_exporter; cAdvisor; kube-state-metrics.
const SOURCES: [Source; 21] = [
    source(
        Signal::HostCpu,
        Naming::Host,
        "1 - avg by (host_name) (avg_over_time(system_cpu_utilization_ratio{cpu_mode=\"idle\"$m}[$w]))",
    ),
    source(
        Signal::HostCpu,
        Naming::Host,
        "1 - avg by (instance) (rate(node_cpu_seconds_total{mode=\"idle\"$m}[$w]))",
    ),
    source(
        Signal::HostCpu,
        Naming::Host,
        "k8s_node_cpu_utilization_ratio{$m}",
    ),
    source(
        Signal::HostCpuWait,
        Naming::Host,
        "sum by (host_name) (rate(process_scheduler_wait_time_seconds_total{$m}[$w]))",
    ),
    source(
        Signal::HostCpuWait,
        Naming::Host,
        "sum by (instance) (rate(node_pressure_cpu_waiting_seconds_total{$m}[$w]))",
    ),
    source(
        Signal::HostMemory,
        Naming::Host,
        "sum by (host_name) (avg_over_time(system_memory_utilization_ratio{state=\"used\"$m}[$w]))",
    ),
    source(
        Signal::HostMemory,
        Naming::Host,
        "1 - sum by (instance) (avg_over_time(node_memory_MemAvailable_bytes{$m}[$w])) / \
         sum by (instance) (avg_over_time(node_memory_MemTotal_bytes{$m}[$w]))",
    ),
    source(
        Signal::HostDisk,
        Naming::Host,
        "max by (host_name) (rate(system_disk_io_time_seconds_total{$m}[$w]))",
    ),
    source(
        Signal::HostDisk,
        Naming::Host,
        "max by (instance) (rate(node_disk_io_time_seconds_total{$m}[$w]))",
    ),
    source(
        Signal::PodCpu,
        Naming::Pod,
        "sum by (k8s_namespace_name, k8s_pod_name) (avg_over_time(k8s_pod_cpu_usage{$m}[$w]))",
    ),
    source(
        Signal::PodCpuLimit,
        Naming::Pod,
        "k8s_pod_cpu_limit_utilization_ratio{$m}",
    ),
    source(
        Signal::PodMemoryLimit,
        Naming::Pod,
        "k8s_pod_memory_limit_utilization_ratio{$m}",
    ),
    source(
        Signal::HostMemory,
        Naming::Host,
        "k8s_node_memory_utilization_ratio{$m}",
    ),
    source(
        Signal::PodMemory,
        Naming::Pod,
        "sum by (k8s_namespace_name, k8s_pod_name) (avg_over_time(k8s_pod_memory_usage_bytes{$m}[$w]))",
    ),
    source(
        Signal::ProcessCpu,
        Naming::Process,
        "sum by (host_name, process_owner, process_executable_name) \
         (avg_over_time(process_cpu_utilization_ratio{$m}[$w]))",
    ),
    source(
        Signal::LinkDelay,
        Naming::Link,
        "max by (network_link_name) (avg_over_time(network_link_rtt_seconds{$m}[$w]))",
    ),
    source(
        Signal::LinkLoss,
        Naming::Link,
        "sum by (network_link_name) (rate(system_network_packet_dropped_total{network_link_name!=\"\"$m}[$w]))",
    ),
    source(
        Signal::LockWait,
        Naming::Service,
        "sum by (service_namespace, service_name) (rate(db_server_lock_wait_time_seconds_total{$m}[$w]))",
    ),
    source(
        Signal::LockWait,
        Naming::Service,
        "sum by (service_namespace, service_name) (rate(mysql_row_lock_time_milliseconds_total{$m}[$w])) / 1000",
    ),
    source(
        Signal::Restarts,
        Naming::Service,
        "sum by (service_namespace, service_name) (rate(service_restarts_total{$m}[$w]))",
    ),
    source(
        Signal::Restarts,
        Naming::Pod,
        "sum by (k8s_namespace_name, k8s_pod_name) (rate(k8s_container_restarts_total{$m}[$w]))",
    ),
];

/// Intervals of senders are guessed from the window's step, then taken as a minute.
const SLOW_SENDER: Duration = Duration::from_secs(150);

/// Reads every signal that a tenant's metrics tell of entities in scope.
pub(crate) async fn read(
    series: &Series<'_>,
    graph: &Graph,
    evidence: &mut Evidence,
) -> Result<(), IncidentError> {
    for source in SOURCES.iter().filter(|source| series.has(source.metric())) {
        let (over, found) = source.read(series).await?;
        for (labels, points) in found {
            let shift = series.window.shift_over(&points, over);
            let query = stored(series, source, &labels, over);
            let tenant = series.tenant;
            note(source, tenant, &labels, (shift, query), (graph, evidence));
        }
    }
    Ok(())
}

impl Source {
    /// The points of every series, and the time that each point sums up.
    async fn read(
        &self,
        series: &Series<'_>,
    ) -> Result<(Duration, Vec<(Labels, Vec<Point>)>), IncidentError> {
        if !self.query.contains("$w") {
            return Ok((
                Duration::ZERO,
                series.all_samples(&text(self, "", Duration::ZERO)).await?,
            ));
        }
        // Two samples of a sender that reports once a step, and some slack.
        let short = series.window.step * 2 + Duration::from_secs(2);
        let found = series.steps(&text(self, "", short)).await?;
        if found.is_empty() && short < SLOW_SENDER {
            return Ok((
                SLOW_SENDER,
                series.steps(&text(self, "", SLOW_SENDER)).await?,
            ));
        }
        Ok((short, found))
    }

    /// The first metric that the query names.
    fn metric(&self) -> &'static str {
        let before = self.query.split('{').next().unwrap_or_default();
        let word = |c: char| c == '(' || c == ' ';
        before.rsplit(word).next().unwrap_or_default()
    }
}

fn text(source: &Source, matchers: &str, over: Duration) -> String {
    let query = source.query.replace("$w", &format!("{}s", over.as_secs()));
    let query = query.replace(
        "{$m}",
        &match matchers {
            "" => String::new(),
            matchers => format!("{{{matchers}}}"),
        },
    );
    query.replace(
        "$m",
        &match matchers {
            "" => String::new(),
            matchers => format!(", {matchers}"),
        },
    )
}

fn stored(series: &Series<'_>, source: &Source, labels: &Labels, over: Duration) -> StoredQuery {
    let matchers: Vec<String> = labels
        .iter()
        .filter(|(name, _)| *name != METRIC_NAME)
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    series.stored(text(source, &matchers.join(", "), over))
}

/// Takes a result in where its entity is in scope.
fn note(
    source: &Source,
    tenant: &TenantId,
    labels: &Labels,
    (shift, query): (Shift, StoredQuery),
    (graph, evidence): (&Graph, &mut Evidence),
) {
    let signal = source.signal;
    let candidates = match source.naming {
        Naming::Host => host_ids(labels),
        Naming::Pod => vec![pod_id(labels)],
        Naming::Link => vec![EntityId(format!(
            "link:{}",
            labels.get("network_link_name")
        ))],
        Naming::Service => vec![service_id(tenant, labels)],
        Naming::Process => {
            for host in host_ids(labels) {
                if evidence.entities.contains_key(&host) {
                    let name = labels.get("process_executable_name").to_owned();
                    let service = process_service(graph, &host, labels.get("process_owner"), &name);
                    let (cpu, query) = (shift, query.clone());
                    evidence.processes.push(ProcessFact {
                        host,
                        name,
                        service,
                        cpu,
                        query,
                    });
                }
            }
            return;
        }
    };
    for entity in candidates {
        let is_known = evidence.signal(&entity, signal).is_some();
        if evidence.entities.contains_key(&entity) && !is_known {
            evidence.signals.push(SignalFact {
                entity,
                signal,
                shift,
                query: query.clone(),
            });
        }
    }
}

fn host_ids(labels: &Labels) -> Vec<EntityId> {
    let mut ids = Vec::new();
    for label in ["host_name", "k8s_node_name", "instance"] {
        // Prometheus' `instance` is `host:port`.
        let name = labels.get(label);
        let name = if label == "instance" {
            name.split(':').next().unwrap_or(name)
        } else {
            name
        };
        if !name.is_empty() {
            ids.extend(["host", "node"].map(|kind| EntityId(format!("{kind}:{name}"))));
        }
    }
    ids
}

fn pod_id(labels: &Labels) -> EntityId {
    let pod = labels.get("k8s_pod_name");
    EntityId(match labels.get("k8s_namespace_name") {
        "" => format!("pod:{pod}"),
        namespace => format!("pod:{namespace}/{pod}"),
    })
}

/// The service that the labels of its resource name.
pub(super) fn service_id(tenant: &TenantId, labels: &Labels) -> EntityId {
    let name = match labels.get("service_name") {
        "" => labels.get("service"),
        name => name,
    };
    EntityId(match labels.get("service_namespace") {
        "" => format!("service:{tenant}/{name}"),
        namespace => format!("service:{tenant}/{namespace}/{name}"),
    })
}

/// The service on `host` that a process is of: the one of its name, its owner's before others'.
fn process_service(graph: &Graph, host: &EntityId, owner: &str, name: &str) -> Option<EntityId> {
    let mut services: Vec<_> = graph
        .carried_by(host)
        .into_iter()
        .filter(|entity| entity.name == name && entity.kind != EntityKind::Instance)
        .collect();
    services.sort_by_key(|entity| {
        entity
            .tenant
            .as_ref()
            .is_none_or(|tenant| tenant.as_str() != owner)
    });
    services.first().map(|entity| entity.id.clone())
}
