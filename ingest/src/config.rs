//! What `ingest` may be told.

use std::time::Duration;

/// Limits and naming of ingest.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IngestConfig {
    /// Largest request body after decompression, in bytes.
    pub max_body_bytes: usize,
    /// Most attributes of one resource, span, point or record; a row with more is rejected.
    pub max_attributes: usize,
    /// Longest attribute value, span name or metric name, in bytes; longer values are cut.
    pub max_value_bytes: usize,
    /// How far ahead of the clock a row's time may be, in seconds; rows beyond are rejected.
    pub future_tolerance_seconds: u64,
    /// Resource attributes that become labels of every series of the resource.
    pub promoted_resource_attributes: Vec<String>,
    /// How often metrics derived from spans are written, in seconds.
    pub span_metrics_interval_seconds: u64,
    /// How long one side of a call waits for the other, in seconds.
    pub pair_wait_seconds: u64,
    /// Most calls that wait for their other side; beyond, the oldest are counted one-sided.
    pub max_pending_calls: usize,
    /// Most series derived from spans; further combinations count under the operation `other`.
    pub max_span_series: usize,
}

impl Default for IngestConfig {
    fn default() -> Self {
        let promoted = [
            "service.name",
            "service.namespace",
            "service.version",
            "service.instance.id",
            "deployment.environment.name",
            "host.name",
            "k8s.cluster.name",
            "k8s.namespace.name",
            "k8s.node.name",
            "k8s.pod.name",
            "k8s.deployment.name",
            "k8s.container.name",
            "container.name",
            "cloud.region",
            "cloud.availability_zone",
            "network.link.name",
            "db.system.name",
        ];
        Self {
            max_body_bytes: 16 << 20,
            max_attributes: 256,
            max_value_bytes: 16 << 10,
            future_tolerance_seconds: 600,
            promoted_resource_attributes: promoted.map(str::to_owned).to_vec(),
            span_metrics_interval_seconds: 5,
            pair_wait_seconds: 10,
            max_pending_calls: 100_000,
            max_span_series: 20_000,
        }
    }
}

impl IngestConfig {
    /// How often metrics derived from spans are written.
    pub fn span_metrics_interval(&self) -> Duration {
        Duration::from_secs(self.span_metrics_interval_seconds)
    }

    /// Names the first setting that cannot work, its value, and what would be right.
    pub fn validate(&self) -> Result<(), String> {
        let positive = [
            ("max_body_bytes", self.max_body_bytes),
            ("max_attributes", self.max_attributes),
            ("max_value_bytes", self.max_value_bytes),
            (
                "span_metrics_interval_seconds",
                self.span_metrics_interval_seconds as usize,
            ),
            ("max_pending_calls", self.max_pending_calls),
            ("max_span_series", self.max_span_series),
        ];
        for (name, value) in positive {
            if value == 0 {
                return Err(format!("{name} = 0: must be at least 1"));
            }
        }
        Ok(())
    }
}
