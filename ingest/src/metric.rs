//! OTLP metrics to series.

mod build;
mod delta;
mod histogram;

use std::sync::Arc;

use demarc_proto::{
    Attributes, Labels, METRIC_NAME, Nanos, TenantId,
    otlp::metrics::v1::{AggregationTemporality, Metric, ResourceMetrics, metric::Data},
};
use demarc_store::{MetricKind, MetricRows, Sample};

pub(crate) use delta::Deltas;

use crate::{
    IngestConfig,
    naming::{label_name, metric_name},
    receipt::{Refusal, Tally},
};
use build::Builder;

/// The bits of the NaN that says "this series ended". Source: Prometheus, `model/value`.
pub(crate) const STALE_MARKER: u64 = 0x7ff0_0000_0000_0002;

/// What the points of one resource share.
pub(crate) struct MetricContext<'a> {
    pub(crate) config: &'a IngestConfig,
    pub(crate) tenant: &'a TenantId,
    pub(crate) latest: Nanos,
    pub(crate) resource: &'a Arc<Attributes>,
    /// Labels that the resource gives to each of its series.
    pub(crate) base: Vec<(String, String)>,
}

impl<'a> MetricContext<'a> {
    pub(crate) fn new(
        config: &'a IngestConfig,
        tenant: &'a TenantId,
        latest: Nanos,
        resource: &'a Arc<Attributes>,
    ) -> Self {
        let base = base_labels(resource, &config.promoted_resource_attributes);
        Self {
            config,
            tenant,
            latest,
            resource,
            base,
        }
    }
}

/// `job`, `instance` and the promoted attributes.
fn base_labels(resource: &Attributes, promoted: &[String]) -> Vec<(String, String)> {
    let mut labels = identity(resource);
    for key in promoted {
        if let Some(value) = resource.text(key) {
            labels.push((label_name(key).into_owned(), value.into_owned()));
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
    if let Some(instance) = resource.str("service.instance.id") {
        labels.push(("instance".to_owned(), instance.to_owned()));
    }
    labels
}

/// Converts the metrics of one resource. Returns the series and the newest time among them.
pub(crate) fn resource_metrics(
    metrics: ResourceMetrics,
    context: &MetricContext<'_>,
    deltas: &mut Deltas,
    tally: &mut Tally,
) -> (Vec<MetricRows>, Option<Nanos>) {
    let mut builder = Builder::new(context, deltas, tally);
    for scope in metrics.scope_metrics {
        for metric in scope.metrics {
            one_metric(metric, &mut builder);
        }
    }
    let newest = builder.newest();
    let mut rows = builder.into_rows();
    if let Some(info) = newest.and_then(|at| target_info(context.resource, at)) {
        rows.push(info);
    }
    (rows, newest)
}

fn one_metric(metric: Metric, builder: &mut Builder<'_, '_>) {
    if metric.name.is_empty() {
        let sentence = "metric name \"\": must not be empty".to_owned();
        builder.refuse(Refusal::new("no_metric_name", sentence));
        return;
    }
    let (name, unit) = (metric.name, metric.unit);
    builder.help = metric.description;
    builder.unit = unit.clone();
    let start = |builder: &mut Builder<'_, '_>, kind| {
        builder.start(metric_name(&name, &unit, kind), kind);
    };
    match metric.data {
        None => {
            let sentence = format!("metric {name:?}: must hold data");
            builder.refuse(Refusal::new("no_data", sentence));
        }
        Some(Data::Gauge(gauge)) => {
            start(builder, MetricKind::Gauge);
            gauge
                .data_points
                .into_iter()
                .for_each(|point| builder.gauge(point));
        }
        Some(Data::Sum(sum)) => {
            let kind = if sum.is_monotonic {
                MetricKind::Counter
            } else {
                MetricKind::Gauge
            };
            start(builder, kind);
            let delta = temporality(sum.aggregation_temporality);
            sum.data_points
                .into_iter()
                .for_each(|point| builder.sum(point, delta));
        }
        Some(Data::Histogram(histogram)) => {
            start(builder, MetricKind::Histogram);
            let delta = temporality(histogram.aggregation_temporality);
            histogram
                .data_points
                .into_iter()
                .for_each(|point| builder.histogram(point, delta));
        }
        Some(Data::ExponentialHistogram(histogram)) => {
            start(builder, MetricKind::Histogram);
            let delta = temporality(histogram.aggregation_temporality);
            histogram
                .data_points
                .into_iter()
                .for_each(|point| builder.exponential(point, delta));
        }
        Some(Data::Summary(summary)) => {
            start(builder, MetricKind::Summary);
            summary
                .data_points
                .into_iter()
                .for_each(|point| builder.summary(point));
        }
    }
}

/// How many points the metrics of one resource hold; a metric without data counts as one.
pub(crate) fn points(metrics: &ResourceMetrics) -> usize {
    let metrics = metrics
        .scope_metrics
        .iter()
        .flat_map(|scope| &scope.metrics);
    let count = |metric: &Metric| match &metric.data {
        None => 1,
        Some(Data::Gauge(data)) => data.data_points.len(),
        Some(Data::Sum(data)) => data.data_points.len(),
        Some(Data::Histogram(data)) => data.data_points.len(),
        Some(Data::ExponentialHistogram(data)) => data.data_points.len(),
        Some(Data::Summary(data)) => data.data_points.len(),
    };
    metrics.map(count).sum()
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

/// `target_info`: the resource attributes that are not on every series; `None` when nothing would be said.
fn target_info(resource: &Attributes, at: Nanos) -> Option<MetricRows> {
    let mut pairs = identity(resource);
    if pairs.is_empty() {
        return None;
    }
    let identifying = ["service.name", "service.namespace", "service.instance.id"];
    let others: Vec<_> = resource
        .iter()
        .filter(|(key, _)| !identifying.contains(key))
        .collect();
    if others.is_empty() {
        return None;
    }
    for (key, value) in others {
        pairs.push((label_name(key).into_owned(), value.text().into_owned()));
    }
    pairs.push((METRIC_NAME.to_owned(), "target_info".to_owned()));
    Some(MetricRows {
        labels: Labels::from_pairs(pairs),
        kind: MetricKind::Info,
        help: "Target metadata".to_owned(),
        samples: vec![Sample::new(at.to_millis(), 1.0)],
        ..MetricRows::default()
    })
}
