//! OTLP metrics to values of series.

mod build;
mod delta;
mod histogram;
mod series;

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use demarc_proto::{
    Attributes, Labels, METRIC_NAME, Nanos, SeriesId, TenantId,
    otlp::{
        common::v1::{InstrumentationScope, any_value},
        metrics::v1::{AggregationTemporality, Metric, ResourceMetrics, metric::Data},
    },
};
use demarc_store::MetricKind;

pub(crate) use build::Sink;
pub(crate) use delta::{Added, Deltas};

use crate::{
    IngestConfig, Limits, OtlpConfig,
    attribute::{attributes, cut},
    naming::Suffix,
    receipt::Refusal,
    remote_write::{Collector, Incoming, Metadata, PointValue, RawSample},
    time::Bounds,
};
use build::Builder;

/// The bits of the NaN that says "this series ended". Source: Prometheus, `model/value`.
pub(crate) const STALE_MARKER: u64 = 0x7ff0_0000_0000_0002;

/// What the points of one resource share.
pub(crate) struct MetricContext<'a> {
    pub(crate) otlp: &'a OtlpConfig,
    pub(crate) limits: &'a Limits,
    pub(crate) tenant: &'a TenantId,
    pub(crate) bounds: Bounds,
    pub(crate) resource: &'a Arc<Attributes>,
    /// `job` and `instance`.
    pub(crate) identity: Vec<(String, String)>,
    /// Promoted attributes, for those series that have no such label of their own.
    pub(crate) base: Vec<(String, String)>,
    /// Hash of the tenant and of these labels.
    pub(crate) key: u128,
}

impl<'a> MetricContext<'a> {
    pub(crate) fn new(
        config: &'a IngestConfig,
        tenant: &'a TenantId,
        bounds: Bounds,
        resource: &'a Arc<Attributes>,
    ) -> Self {
        let (identity, base) = (identity(resource), promoted(resource, &config.otlp));
        let labels = identity.iter().chain(&base).cloned();
        Self {
            otlp: &config.otlp,
            limits: config.limits_of(tenant),
            tenant,
            bounds,
            resource,
            key: SeriesId::of(tenant, &Labels::from_pairs(labels)).0,
            identity,
            base,
        }
    }
}

fn promoted(resource: &Attributes, otlp: &OtlpConfig) -> Vec<(String, String)> {
    let promoted = resource.iter().filter(|(key, _)| otlp.promotes(key));
    joined(promoted.map(|(key, value)| (otlp.label_name(key), value.text())))
        .into_iter()
        .collect()
}

/// Labels out of attributes; keys that become the same label are joined, in the order of the keys.
fn joined<'a>(
    attributes: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)>,
) -> BTreeMap<String, String> {
    let mut labels: BTreeMap<String, String> = BTreeMap::new();
    for (name, text) in attributes {
        match labels.get_mut(name.as_ref()) {
            Some(joined) => {
                joined.push(';');
                joined.push_str(&text);
            }
            None => drop(labels.insert(name.into_owned(), text.into_owned())),
        }
    }
    labels
}

fn identity(resource: &Attributes) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    if let Some(service) = resource.str("service.name") {
        let job = match resource.str("service.namespace") {
            Some(namespace) => format!("{namespace}/{service}"),
            None => service.to_owned(),
        };
        labels.push(("job".to_owned(), job));
    }
    if let Some(instance) = resource
        .text("service.instance.id")
        .filter(|id| !id.is_empty())
    {
        labels.push(("instance".to_owned(), instance.into_owned()));
    }
    labels
}

/// Takes the metrics of one resource over. Returns the newest time among them.
pub(crate) fn resource_metrics(
    metrics: ResourceMetrics,
    context: &MetricContext<'_>,
    sink: Sink<'_, '_>,
) -> Option<Nanos> {
    let mut builder = Builder::new(context, sink);
    for scope in metrics.scope_metrics {
        let labels = scope_labels(scope.scope, scope.schema_url, context);
        builder.series.set_scope(labels);
        for metric in scope.metrics {
            one_metric(metric, &mut builder);
        }
    }
    let (first, last) = builder.times()?;
    target_info(context, first, last, builder.sink.collector);
    Some(last)
}

/// `otel_scope_*`, where the configuration asks for them.
fn scope_labels(
    scope: Option<InstrumentationScope>,
    schema_url: String,
    context: &MetricContext<'_>,
) -> Vec<(String, String)> {
    let Some(scope) = scope.filter(|_| context.otlp.promote_scope_metadata) else {
        return Vec::new();
    };
    let mut labels = vec![
        ("otel_scope_name".to_owned(), scope.name),
        ("otel_scope_version".to_owned(), scope.version),
        ("otel_scope_schema_url".to_owned(), schema_url),
    ];
    // Attributes that cannot be taken are left out: the scope's points are good without them.
    let attributes = attributes(scope.attributes, context.limits).unwrap_or_default();
    for (key, value) in attributes.iter() {
        let name = format!("otel_scope_{}", context.otlp.label_name(key));
        labels.push((name, value.text().into_owned()));
    }
    labels
}

fn one_metric(metric: Metric, builder: &mut Builder<'_, '_, '_>) {
    let points = points_of(&metric);
    if metric.name.is_empty() {
        let sentence = "metric name \"\": must not be empty".to_owned();
        builder.refuse_all(Refusal::new("no_metric_name", sentence), points);
        return;
    }
    let Some(data) = metric.data.as_ref() else {
        let sentence = format!("metric {:?}: must hold data", metric.name);
        builder.refuse_all(Refusal::new("no_data", sentence), points);
        return;
    };
    let (kind, suffix) = kind_of(data);
    let limits = builder.series.context.limits;
    let metadata = Metadata {
        kind: said_kind(&metric).unwrap_or(kind),
        unit: cut(metric.unit, limits.max_name_bytes),
        help: cut(metric.description, limits.max_value_bytes),
    };
    builder.series.set_metric(&metric.name, suffix, metadata);
    let Some(data) = metric.data else { return };
    match data {
        Data::Gauge(gauge) => {
            builder.each(gauge.data_points, Temporality::Cumulative, Builder::gauge);
        }
        Data::Sum(sum) => {
            let temporality = temporality(sum.aggregation_temporality);
            let one = match sum.is_monotonic {
                true => Builder::sum,
                false => Builder::gauge,
            };
            builder.each(sum.data_points, temporality, one);
        }
        Data::Histogram(histogram) => {
            let temporality = temporality(histogram.aggregation_temporality);
            let one = match builder.series.context.otlp.convert_histograms_to_nhcb {
                true => Builder::custom,
                false => Builder::classic,
            };
            builder.each(histogram.data_points, temporality, one);
        }
        Data::ExponentialHistogram(histogram) => {
            let temporality = temporality(histogram.aggregation_temporality);
            builder.each(histogram.data_points, temporality, Builder::exponential);
        }
        Data::Summary(summary) => {
            let points = summary.data_points;
            builder.each(points, Temporality::Cumulative, Builder::summary);
        }
    }
}

fn kind_of(data: &Data) -> (MetricKind, Suffix) {
    match data {
        Data::Gauge(_) => (MetricKind::Gauge, Suffix::Ratio),
        Data::Sum(sum) if sum.is_monotonic => (MetricKind::Counter, Suffix::Total),
        Data::Sum(_) => (MetricKind::Gauge, Suffix::None),
        Data::Histogram(_) | Data::ExponentialHistogram(_) => (MetricKind::Histogram, Suffix::None),
        Data::Summary(_) => (MetricKind::Summary, Suffix::None),
    }
}

/// The kind that a receiver of Prometheus metrics noted before it made a gauge or sum of them.
fn said_kind(metric: &Metric) -> Option<MetricKind> {
    match &metric.data {
        Some(Data::Gauge(_)) => {}
        Some(Data::Sum(sum)) if !sum.is_monotonic => {}
        _ => return None,
    }
    let noted = metric
        .metadata
        .iter()
        .find(|pair| pair.key == "prometheus.type")?;
    match noted.value.as_ref()?.value.as_ref()? {
        any_value::Value::StringValue(kind) => match kind.as_str() {
            "unknown" => Some(MetricKind::Unknown),
            "info" => Some(MetricKind::Info),
            "stateset" => Some(MetricKind::StateSet),
            _ => None,
        },
        _ => None,
    }
}

/// How many points the metrics of one resource hold; a metric without data counts as one.
pub(crate) fn points(metrics: &ResourceMetrics) -> usize {
    let metrics = metrics
        .scope_metrics
        .iter()
        .flat_map(|scope| &scope.metrics);
    metrics.map(points_of).sum()
}

fn points_of(metric: &Metric) -> usize {
    match &metric.data {
        None => 1,
        Some(Data::Gauge(data)) => data.data_points.len(),
        Some(Data::Sum(data)) => data.data_points.len(),
        Some(Data::Histogram(data)) => data.data_points.len(),
        Some(Data::ExponentialHistogram(data)) => data.data_points.len(),
        Some(Data::Summary(data)) => data.data_points.len(),
    }
}

/// What the values count from; unspecified is read as cumulative.
fn temporality(code: i32) -> Temporality {
    if code == AggregationTemporality::Delta as i32 {
        Temporality::Delta
    } else {
        Temporality::Cumulative
    }
}

/// What a sum counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Temporality {
    /// Since the last export.
    Delta,
    /// Since the start of the process.
    Cumulative,
}

/// Half of Prometheus' lookback: `target_info` is written so often that it is never stale between two values.
const INFO_STEP_NS: i64 = 150_000_000_000;
/// Most values of `target_info` that one request makes.
const MAX_INFO_VALUES: usize = 100;

/// Writes `target_info`: the resource attributes that are not on every series, from the first to the last of the times;
/// nothing when it would say nothing.
fn target_info(
    context: &MetricContext<'_>,
    first: Nanos,
    last: Nanos,
    collector: &mut Collector<'_>,
) {
    let is_other = |key: &str| !IDENTIFYING.contains(&key);
    if context.identity.is_empty() || !context.resource.iter().any(|(key, _)| is_other(key)) {
        return;
    }
    let labels = info_labels(context);
    let metadata = Metadata {
        kind: MetricKind::Info,
        unit: String::new(),
        help: "Target metadata".to_owned(),
    };
    let incoming = Incoming {
        key: SeriesId::of(context.tenant, &labels).0,
        labels: &|| Ok(labels.clone()),
        metadata: Some(&|| metadata.clone()),
        digest: metadata.digest(),
    };
    let steps = (0..MAX_INFO_VALUES as i64)
        .map(|step| Nanos(first.0.saturating_add(step.saturating_mul(INFO_STEP_NS))))
        .take_while(|at| *at < last);
    for at in steps.chain([last]) {
        let sample = RawSample {
            time: at.to_millis().0,
            value: 1.0,
            start: 0,
        };
        // Where it is refused, another request was there before with a later one.
        let _ = collector.point(&incoming, PointValue::Sample(sample), Vec::new());
    }
}

/// The attributes that `job` and `instance` are made of.
const IDENTIFYING: [&str; 3] = ["service.name", "service.namespace", "service.instance.id"];

fn info_labels(context: &MetricContext<'_>) -> Labels {
    let keeps_all = context.otlp.keep_identifying_resource_attributes;
    let said = context
        .resource
        .iter()
        .filter(|(key, _)| keeps_all || !IDENTIFYING.contains(key));
    let mut pairs = joined(said.map(|(key, value)| (context.otlp.label_name(key), value.text())));
    pairs.extend(context.identity.iter().cloned());
    pairs.insert(METRIC_NAME.to_owned(), "target_info".to_owned());
    Labels::from_pairs(pairs)
}
