//! Which queries tell of which signals: one table, in the names of the OpenTelemetry semantic conventions and of common exporters.

use std::time::Duration;

use crate::Signal;

/// How a result's labels name its entity.
#[derive(Clone, Copy, Debug)]
pub(super) enum Naming {
    Host,
    Pod,
    Link,
    Service,
    Process,
}

/// One query of the table; `$w` stands for the window that rates and means are taken over, `$m` for further matchers. A query without
/// `$w` is a selection whose samples are taken as they are.
pub(super) struct Source {
    pub(super) signal: Signal,
    pub(super) naming: Naming,
    pub(super) query: &'static str,
}

const fn source(signal: Signal, naming: Naming, query: &'static str) -> Source {
    Source {
        signal,
        naming,
        query,
    }
}

/// Of several that tell the same of one entity, the first one counts.
///
/// Source of names: OpenTelemetry semantic conventions, "System", "Process", "Hardware" and "Kubernetes" metrics, and those of the
/// Collector's receivers hostmetrics, kubeletstats and k8s_cluster, as translated to Prometheus; node_exporter; cAdvisor;
/// kube-state-metrics.
pub(super) const SOURCES: [Source; 37] = [
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
        "sum by (k8s_cluster_name, k8s_namespace_name, k8s_pod_name) (avg_over_time(k8s_pod_cpu_usage{$m}[$w]))",
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
        "sum by (k8s_cluster_name, k8s_namespace_name, k8s_pod_name) (avg_over_time(k8s_pod_memory_usage_bytes{$m}[$w]))",
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
        "sum by (k8s_cluster_name, k8s_namespace_name, k8s_pod_name) (rate(k8s_container_restarts_total{$m}[$w]))",
    ),
    source(
        Signal::HostCpu,
        Naming::Host,
        "1 - avg by (host_name) (avg_over_time(system_cpu_utilization_ratio{state=\"idle\"$m}[$w]))",
    ),
    source(
        Signal::HostCpu,
        Naming::Host,
        "1 - sum by (host_name) (rate(system_cpu_time_seconds_total{state=\"idle\"$m}[$w])) / \
         sum by (host_name) (rate(system_cpu_time_seconds_total{$m}[$w]))",
    ),
    source(
        Signal::HostCpu,
        Naming::Host,
        "1 - sum by (host_name) (rate(system_cpu_time_seconds_total{cpu_mode=\"idle\"$m}[$w])) / \
         sum by (host_name) (rate(system_cpu_time_seconds_total{$m}[$w]))",
    ),
    source(
        Signal::HostCpu,
        Naming::Host,
        "sum by (k8s_node_name) (avg_over_time(k8s_node_cpu_usage{$m}[$w])) / \
         sum by (k8s_node_name) (avg_over_time(k8s_node_allocatable_cpu{$m}[$w]))",
    ),
    source(
        Signal::HostCpu,
        Naming::Host,
        "sum by (instance, node) (rate(container_cpu_usage_seconds_total{id=\"/\"$m}[$w])) / \
         sum by (instance, node) (avg_over_time(machine_cpu_cores{$m}[$w]))",
    ),
    source(
        Signal::HostMemory,
        Naming::Host,
        "sum by (host_name) (avg_over_time(system_memory_usage_bytes{state=\"used\"$m}[$w])) / \
         sum by (host_name) (avg_over_time(system_memory_usage_bytes{$m}[$w]))",
    ),
    source(
        Signal::HostMemory,
        Naming::Host,
        "sum by (host_name) (avg_over_time(system_memory_usage_bytes{system_memory_state=\"used\"$m}[$w])) / \
         sum by (host_name) (avg_over_time(system_memory_usage_bytes{$m}[$w]))",
    ),
    source(
        Signal::HostMemory,
        Naming::Host,
        "sum by (k8s_node_name) (avg_over_time(k8s_node_memory_working_set_bytes{$m}[$w])) / \
         sum by (k8s_node_name) (avg_over_time(k8s_node_allocatable_memory_bytes{$m}[$w]))",
    ),
    source(
        Signal::HostMemory,
        Naming::Host,
        "sum by (instance, node) (avg_over_time(container_memory_working_set_bytes{id=\"/\"$m}[$w])) / \
         sum by (instance, node) (avg_over_time(machine_memory_bytes{$m}[$w]))",
    ),
    source(
        Signal::PodCpu,
        Naming::Pod,
        "sum by (cluster, namespace, pod) (rate(container_cpu_usage_seconds_total{container!=\"\"$m}[$w]))",
    ),
    source(
        Signal::PodCpuLimit,
        Naming::Pod,
        "sum by (cluster, namespace, pod) (rate(container_cpu_usage_seconds_total{container!=\"\"$m}[$w])) / \
         sum by (cluster, namespace, pod) (avg_over_time(kube_pod_container_resource_limits{resource=\"cpu\"$m}[$w]))",
    ),
    source(
        Signal::PodMemory,
        Naming::Pod,
        "sum by (k8s_cluster_name, k8s_namespace_name, k8s_pod_name) (avg_over_time(k8s_pod_memory_working_set_bytes{$m}[$w]))",
    ),
    source(
        Signal::PodMemory,
        Naming::Pod,
        "sum by (cluster, namespace, pod) (avg_over_time(container_memory_working_set_bytes{container!=\"\"$m}[$w]))",
    ),
    source(
        Signal::PodMemoryLimit,
        Naming::Pod,
        "sum by (cluster, namespace, pod) (avg_over_time(container_memory_working_set_bytes{container!=\"\"$m}[$w])) / \
         sum by (cluster, namespace, pod) (avg_over_time(kube_pod_container_resource_limits{resource=\"memory\"$m}[$w]))",
    ),
    source(
        Signal::Restarts,
        Naming::Pod,
        "sum by (k8s_cluster_name, k8s_namespace_name, k8s_pod_name) (rate(k8s_container_restarts{$m}[$w]))",
    ),
    source(
        Signal::Restarts,
        Naming::Pod,
        "sum by (cluster, namespace, pod) (rate(kube_pod_container_status_restarts_total{$m}[$w]))",
    ),
];

impl Source {
    /// The first metric that the query names.
    pub(super) fn metric(&self) -> &'static str {
        let before = self.query.split('{').next().unwrap_or_default();
        let word = |c: char| c == '(' || c == ' ';
        before.rsplit(word).next().unwrap_or_default()
    }

    /// The query with further matchers, over windows of that length.
    pub(super) fn text(&self, matchers: &str, over: Duration) -> String {
        let query = self.query.replace("$w", &format!("{}s", over.as_secs()));
        let (alone, further) = match matchers {
            "" => (String::new(), String::new()),
            matchers => (format!("{{{matchers}}}"), format!(", {matchers}")),
        };
        query.replace("{$m}", &alone).replace("$m", &further)
    }
}
