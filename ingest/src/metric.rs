//! OTLP metrics to values of series.

mod build;
mod delta;
mod histogram;
mod series;

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use demarc_proto::{
    Attributes, Labels, METRIC_NAME, Nanos, SeriesId, TenantId,
    otlp::metrics::v1::AggregationTemporality,
};
use demarc_store::MetricKind;

pub(crate) use build::Sink;
pub(crate) use delta::{Added, Deltas};

use crate::{
    IngestConfig, IngestError, Limits, OtlpConfig, Signal, WireError,
    attribute::{Bad, Raw, attributes, pair, start_of, utf8},
    envelope::{Group, Scope, messages},
    naming::Suffix,
    receipt::Refusal,
    remote_write::{Collector, Incoming, Metadata, PointValue, RawSample},
    time::Bounds,
    wire::Wire,
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
    group: Group<'_>,
    context: &MetricContext<'_>,
    sink: Sink<'_, '_>,
) -> Result<Option<Nanos>, IngestError> {
    let mut builder = Builder::new(context, sink);
    for scope in group.scopes(context.limits) {
        let scope = scope?;
        if context.otlp.promote_scope_metadata {
            builder.series.set_scope(scope_labels(&scope, context)?);
        }
        for metric in scope.items() {
            one_metric(metric?, &mut builder)?;
        }
    }
    let Some((first, last)) = builder.times() else {
        return Ok(None);
    };
    target_info(context, first, last, builder.sink.collector);
    Ok(Some(last))
}

/// `otel_scope_*`; nothing for a scope that is not named at all.
fn scope_labels(
    scope: &Scope<'_>,
    context: &MetricContext<'_>,
) -> Result<Vec<(String, String)>, IngestError> {
    let (Some(found), schema_url) = scope.named(Signal::Metrics)? else {
        return Ok(Vec::new());
    };
    let mut labels = vec![
        ("otel_scope_name".to_owned(), found.name),
        ("otel_scope_version".to_owned(), found.version),
        ("otel_scope_schema_url".to_owned(), schema_url.to_owned()),
    ];
    // Attributes that cannot be taken are left out: the scope's points are good without them.
    let attributes = attributes(found.attributes, context.limits).unwrap_or_default();
    for (key, value) in attributes.iter() {
        let name = format!("otel_scope_{}", context.otlp.label_name(key));
        labels.push((name, value.text().into_owned()));
    }
    Ok(labels)
}

/// A metric as it stands on the wire.
#[derive(Debug, Default)]
struct RawMetric<'a> {
    name: &'a str,
    help: &'a str,
    unit: &'a str,
    metadata: Vec<&'a [u8]>,
    data: Option<RawData<'a>>,
}

/// The points of a metric, by the number of the field that holds them.
#[derive(Clone, Copy, Debug)]
struct RawData<'a> {
    field: u32,
    bytes: &'a [u8],
    temporality: Temporality,
    is_monotonic: bool,
}

const GAUGE: u32 = 5;
const SUM: u32 = 7;
const HISTOGRAM: u32 = 9;
const EXPONENTIAL: u32 = 10;
const SUMMARY: u32 = 11;

impl<'a> RawMetric<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, WireError> {
        let mut metric = Self::default();
        let mut message = Wire::new(bytes);
        while let Some((field, value)) = message.next()? {
            match field {
                1 => metric.name = utf8(1, value.bytes(1)?)?,
                2 => metric.help = utf8(2, value.bytes(2)?)?,
                3 => metric.unit = utf8(3, value.bytes(3)?)?,
                GAUGE | SUM | HISTOGRAM | EXPONENTIAL | SUMMARY => {
                    metric.data = Some(RawData::read(field, value.bytes(field)?)?);
                }
                12 => metric.metadata.push(value.bytes(12)?),
                _ => {}
            }
        }
        Ok(metric)
    }

    /// How many points there are; a metric without data counts as one.
    fn points(&self) -> Result<usize, WireError> {
        let mut points = 0;
        if let Some(data) = self.data {
            for point in data.points() {
                point?;
                points += 1;
            }
        }
        Ok(if self.data.is_some() { points } else { 1 })
    }
}

impl<'a> RawData<'a> {
    fn read(field: u32, bytes: &'a [u8]) -> Result<Self, WireError> {
        let (mut temporality, mut is_monotonic) = (0, false);
        if matches!(field, SUM | HISTOGRAM | EXPONENTIAL) {
            let mut message = Wire::new(bytes);
            while let Some((number, value)) = message.next()? {
                match number {
                    2 => temporality = value.varint(2)?,
                    3 if field == SUM => is_monotonic = value.varint(3)? != 0,
                    _ => {}
                }
            }
        }
        Ok(Self {
            field,
            bytes,
            temporality: self::temporality(temporality),
            is_monotonic,
        })
    }

    fn points(&self) -> impl Iterator<Item = Result<&'a [u8], WireError>> + use<'a> {
        messages(self.bytes, 1)
    }
}

fn one_metric<'a>(
    bytes: &'a [u8],
    builder: &mut Builder<'_, '_, '_, 'a>,
) -> Result<(), IngestError> {
    let metric = RawMetric::read(bytes)?;
    if metric.name.is_empty() {
        let sentence = "metric name \"\": must not be empty".to_owned();
        builder.refuse_all(Refusal::new("no_metric_name", sentence), metric.points()?);
        return Ok(());
    }
    let Some(data) = metric.data else {
        let sentence = format!("metric {:?}: must hold data", metric.name);
        builder.refuse_all(Refusal::new("no_data", sentence), 1);
        return Ok(());
    };
    let (kind, suffix) = kind_of(&data);
    let limits = builder.series.context.limits;
    let metadata = Metadata {
        kind: said_kind(&metric)?.unwrap_or(kind),
        unit: start_of(metric.unit, limits.max_name_bytes).to_owned(),
        help: start_of(metric.help, limits.max_value_bytes).to_owned(),
    };
    builder.series.set_metric(metric.name, suffix, metadata);
    let makes_custom = builder.series.context.otlp.convert_histograms_to_nhcb;
    let one = match data.field {
        SUM if data.is_monotonic => Builder::sum,
        GAUGE | SUM => Builder::gauge,
        HISTOGRAM if makes_custom => Builder::custom,
        HISTOGRAM => Builder::classic,
        EXPONENTIAL => Builder::exponential,
        _ => Builder::summary,
    };
    if builder.refuses(data.temporality) {
        builder.refuse_delta(metric.points()?);
        return Ok(());
    }
    for point in data.points() {
        match one(builder, point?, data.temporality) {
            Ok(()) => builder.sink.tally.accept(1),
            Err(Bad::Row(refusal)) => builder.sink.tally.refuse(refusal),
            Err(Bad::Request(error)) => return Err(error),
        }
    }
    Ok(())
}

fn kind_of(data: &RawData<'_>) -> (MetricKind, Suffix) {
    match data.field {
        GAUGE => (MetricKind::Gauge, Suffix::Ratio),
        SUM if data.is_monotonic => (MetricKind::Counter, Suffix::Total),
        SUM => (MetricKind::Gauge, Suffix::None),
        HISTOGRAM | EXPONENTIAL => (MetricKind::Histogram, Suffix::None),
        _ => (MetricKind::Summary, Suffix::None),
    }
}

/// The kind that a receiver of Prometheus metrics noted before it made a gauge or sum of them.
fn said_kind(metric: &RawMetric<'_>) -> Result<Option<MetricKind>, WireError> {
    let may_say = metric
        .data
        .is_some_and(|data| data.field == GAUGE || data.field == SUM && !data.is_monotonic);
    if !may_say {
        return Ok(None);
    }
    for field in &metric.metadata {
        if let ("prometheus.type", value) = pair(field)? {
            return Ok(match value {
                Some(Raw::Str("unknown")) => Some(MetricKind::Unknown),
                Some(Raw::Str("info")) => Some(MetricKind::Info),
                Some(Raw::Str("stateset")) => Some(MetricKind::StateSet),
                _ => None,
            });
        }
    }
    Ok(None)
}

/// How many points the metrics of one resource hold; a metric without data counts as one.
pub(crate) fn points(group: Group<'_>, limits: &Limits) -> Result<usize, WireError> {
    let mut points = 0;
    for scope in group.scopes(limits) {
        for metric in scope?.items() {
            points += RawMetric::read(metric?)?.points()?;
        }
    }
    Ok(points)
}

/// What the values count from; unspecified is read as cumulative.
fn temporality(code: u64) -> Temporality {
    if code == AggregationTemporality::Delta as u64 {
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
