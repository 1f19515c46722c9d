//! What `ingest` may be told.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use demarc_proto::TenantId;

use crate::{Limits, TranslationStrategy};

/// Limits and naming of ingest.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IngestConfig {
    /// Largest request body, before and after decompression, in bytes.
    pub max_body_bytes: usize,
    /// Most bytes of request bodies held at once, over all tenants; beyond, requests are refused until later.
    pub max_inflight_bytes: usize,
    /// Most tenants; requests of further ones are refused.
    pub max_tenants: usize,
    /// Most series in memory, over all tenants, those included that have had no value for long; values of further series are
    /// refused.
    pub max_series: usize,
    /// Limits of every tenant that has none of its own.
    pub limits: Limits,
    /// Limits by tenant. What an entry leaves out is the default of [`Limits`], not of `limits`.
    pub tenant_limits: BTreeMap<String, Limits>,
    /// How far ahead of the clock a row's time may be, in seconds; rows beyond are rejected.
    pub future_tolerance_seconds: u64,
    /// How far behind the clock a row's time may be, in seconds; older rows are rejected. Ten years by default.
    pub max_age_seconds: u64,
    /// How far behind the newest value of its series a value may be, in seconds; older values are rejected.
    pub out_of_order_seconds: u64,
    /// How long a series counts as active after its last value, in seconds.
    pub series_idle_seconds: u64,
    /// How OTLP metrics become series.
    pub otlp: OtlpConfig,
    /// How often metrics derived from spans are written, in seconds.
    pub span_metrics_interval_seconds: u64,
    /// How long one side of a call waits for the other, in seconds.
    pub pair_wait_seconds: u64,
    /// Most calls that wait for their other side; beyond, the oldest are counted one-sided.
    pub max_pending_calls: usize,
    /// Most label sets of one tenant's metrics derived from spans; further combinations count under the operation `other`,
    /// and where there are too many of those, under one series with the label `metric_overflow`.
    pub max_span_series: usize,
}

/// How OTLP metrics become series. Names and meanings are those of the section `otlp` of Prometheus' configuration.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OtlpConfig {
    /// How names are written.
    pub translation_strategy: TranslationStrategy,
    /// Resource attributes that become labels of every series of the resource.
    pub promote_resource_attributes: Vec<String>,
    /// Whether all of them do, but for `ignore_resource_attributes`; `promote_resource_attributes` then says nothing.
    pub promote_all_resource_attributes: bool,
    /// Resource attributes that do not become labels.
    pub ignore_resource_attributes: Vec<String>,
    /// Whether `target_info` also has the attributes that `job` and `instance` are made of.
    pub keep_identifying_resource_attributes: bool,
    /// Whether histograms with explicit bounds become native histograms with custom buckets.
    pub convert_histograms_to_nhcb: bool,
    /// Whether a label that begins with a single `_` gets `key` before it.
    pub label_name_underscore_sanitization: bool,
    /// Whether name, version, schema URL and attributes of the scope become labels `otel_scope_*`.
    pub promote_scope_metadata: bool,
    /// What becomes of values that count since the last export.
    pub delta_temporality: DeltaTemporality,
}

/// What becomes of values that count since the last export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeltaTemporality {
    /// They are added up.
    #[default]
    Convert,
    /// They are refused.
    Refuse,
}

impl Default for OtlpConfig {
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
            "k8s.cronjob.name",
            "k8s.daemonset.name",
            "k8s.job.name",
            "k8s.replicaset.name",
            "k8s.statefulset.name",
            "container.name",
            "deployment.environment",
            "cloud.region",
            "cloud.availability_zone",
            "network.link.name",
            "db.system.name",
        ];
        Self {
            translation_strategy: TranslationStrategy::default(),
            promote_resource_attributes: promoted.map(str::to_owned).to_vec(),
            promote_all_resource_attributes: false,
            ignore_resource_attributes: Vec::new(),
            keep_identifying_resource_attributes: false,
            convert_histograms_to_nhcb: false,
            label_name_underscore_sanitization: true,
            promote_scope_metadata: false,
            delta_temporality: DeltaTemporality::default(),
        }
    }
}

impl OtlpConfig {
    fn validate(&self) -> Result<(), String> {
        let all = self.promote_all_resource_attributes;
        if !all && !self.ignore_resource_attributes.is_empty() {
            let sentence = "ignore_resource_attributes: only with promote_all_resource_attributes";
            return Err(sentence.to_owned());
        }
        Ok(())
    }

    /// Whether a resource attribute becomes a label.
    pub(crate) fn promotes(&self, key: &str) -> bool {
        let is_in = |list: &[String]| list.iter().any(|one| one == key);
        if self.promote_all_resource_attributes {
            !is_in(&self.ignore_resource_attributes)
        } else {
            is_in(&self.promote_resource_attributes)
        }
    }

    pub(crate) fn label_name<'a>(&self, key: &'a str) -> Cow<'a, str> {
        self.translation_strategy
            .label_name(key, self.label_name_underscore_sanitization)
    }
}

impl Default for IngestConfig {
    fn default() -> Self {
        Self {
            max_body_bytes: 64 << 20,
            max_inflight_bytes: 256 << 20,
            max_tenants: 10_000,
            max_series: 4_000_000,
            limits: Limits::default(),
            tenant_limits: BTreeMap::new(),
            future_tolerance_seconds: 600,
            max_age_seconds: 10 * 365 * 86_400,
            out_of_order_seconds: 3600,
            series_idle_seconds: 3600,
            otlp: OtlpConfig::default(),
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

    /// What a tenant may send.
    pub fn limits_of(&self, tenant: &TenantId) -> &Limits {
        self.tenant_limits
            .get(tenant.as_str())
            .unwrap_or(&self.limits)
    }

    /// Names the first setting that cannot work, its value, and what would be right.
    pub fn validate(&self) -> Result<(), String> {
        let positive = [
            ("max_body_bytes", self.max_body_bytes),
            ("max_tenants", self.max_tenants),
            ("max_series", self.max_series),
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
        if self.max_inflight_bytes < self.max_body_bytes {
            return Err(format!(
                "max_inflight_bytes = {}: must be at least max_body_bytes, {}",
                self.max_inflight_bytes, self.max_body_bytes
            ));
        }
        self.otlp
            .validate()
            .map_err(|sentence| format!("otlp.{sentence}"))?;
        self.limits
            .validate()
            .map_err(|sentence| format!("limits: {sentence}"))?;
        for (tenant, limits) in &self.tenant_limits {
            TenantId::new(tenant.clone()).map_err(|error| format!("tenant_limits: {error}"))?;
            limits
                .validate()
                .map_err(|sentence| format!("tenant_limits.{tenant}: {sentence}"))?;
        }
        Ok(())
    }
}
