//! Collects the points of one resource into series.

use std::collections::BTreeMap;

use demarc_proto::{
    Labels, METRIC_NAME, Millis, Nanos, SpanId, TraceId,
    otlp::{
        common::v1::KeyValue,
        metrics::v1::{
            Exemplar as OtlpExemplar, HistogramDataPoint, NumberDataPoint, SummaryDataPoint,
            exemplar, number_data_point::Value,
        },
    },
};
use demarc_store::{Exemplar, Histogram, MetricKind, MetricRows, Sample};

use super::{Deltas, MetricContext, STALE_MARKER, Temporality};
use crate::{
    attribute::{attributes, cut},
    naming::label_name,
    receipt::{Refusal, Tally},
    trace::time,
};

/// OTLP: the point says that the series has no value any more.
const NO_RECORDED_VALUE: u32 = 1;

pub(super) struct Builder<'a, 'c> {
    pub(super) context: &'a MetricContext<'c>,
    pub(super) deltas: &'a mut Deltas,
    tally: &'a mut Tally,
    series: BTreeMap<Labels, MetricRows>,
    newest: Option<Nanos>,
    name: String,
    kind: MetricKind,
    pub(super) unit: String,
    pub(super) help: String,
}

impl<'a, 'c> Builder<'a, 'c> {
    pub(super) fn new(
        context: &'a MetricContext<'c>,
        deltas: &'a mut Deltas,
        tally: &'a mut Tally,
    ) -> Self {
        Self {
            context,
            deltas,
            tally,
            series: BTreeMap::new(),
            newest: None,
            name: String::new(),
            kind: MetricKind::Unknown,
            unit: String::new(),
            help: String::new(),
        }
    }

    /// The points that follow belong to the metric `name`.
    pub(super) fn start(&mut self, name: String, kind: MetricKind) {
        self.name = cut(name, self.context.config.max_value_bytes);
        self.kind = kind;
    }

    pub(super) fn newest(&self) -> Option<Nanos> {
        self.newest
    }

    pub(super) fn into_rows(self) -> Vec<MetricRows> {
        self.series.into_values().collect()
    }

    pub(super) fn refuse(&mut self, refusal: Refusal) {
        self.tally.refuse(refusal);
    }

    /// Counts the point as accepted or refused.
    pub(super) fn settle(&mut self, outcome: Result<(), Refusal>) {
        match outcome {
            Ok(()) => self.tally.accept(1),
            Err(refusal) => self.tally.refuse(refusal),
        }
    }

    pub(super) fn gauge(&mut self, point: NumberDataPoint) {
        let outcome = self.number(point, Temporality::Cumulative);
        self.settle(outcome);
    }

    pub(super) fn sum(&mut self, point: NumberDataPoint, temporality: Temporality) {
        let outcome = self.number(point, temporality);
        self.settle(outcome);
    }

    fn number(&mut self, point: NumberDataPoint, temporality: Temporality) -> Result<(), Refusal> {
        let at = self.time(point.time_unix_nano)?;
        let labels = self.labels(point.attributes, "", &[])?;
        let mut value = match point.value {
            _ if point.flags & NO_RECORDED_VALUE != 0 => f64::from_bits(STALE_MARKER),
            Some(Value::AsDouble(value)) => value,
            Some(Value::AsInt(value)) => value as f64,
            None => {
                let sentence = format!("metric {:?}: a point must have a value", self.name);
                return Err(Refusal::new("no_value", sentence));
            }
        };
        if temporality == Temporality::Delta && !value.is_nan() {
            value = self.deltas.add(self.context.tenant, &labels, value);
        }
        let exemplars = self.exemplars(point.exemplars);
        self.sample(labels.clone(), at, value);
        self.row(labels).exemplars.extend(exemplars);
        Ok(())
    }

    pub(super) fn summary(&mut self, point: SummaryDataPoint) {
        let outcome = self.summary_point(point);
        self.settle(outcome);
    }

    fn summary_point(&mut self, point: SummaryDataPoint) -> Result<(), Refusal> {
        let at = self.time(point.time_unix_nano)?;
        let stale = point.flags & NO_RECORDED_VALUE != 0;
        let value = |value: f64| {
            if stale {
                f64::from_bits(STALE_MARKER)
            } else {
                value
            }
        };
        for quantile in point.quantile_values {
            let text = quantile.quantile.to_string();
            let labels = self.labels(point.attributes.clone(), "", &[("quantile", &text)])?;
            self.sample(labels, at, value(quantile.value));
        }
        let labels = self.labels(point.attributes.clone(), "_sum", &[])?;
        self.sample(labels, at, value(point.sum));
        let labels = self.labels(point.attributes, "_count", &[])?;
        self.sample(labels, at, value(point.count as f64));
        Ok(())
    }

    pub(super) fn histogram(&mut self, point: HistogramDataPoint, temporality: Temporality) {
        let outcome = self.classic(point, temporality);
        self.settle(outcome);
    }

    fn classic(
        &mut self,
        point: HistogramDataPoint,
        temporality: Temporality,
    ) -> Result<(), Refusal> {
        let at = self.time(point.time_unix_nano)?;
        if !point.bucket_counts.is_empty()
            && point.bucket_counts.len() != point.explicit_bounds.len() + 1
        {
            let sentence = format!(
                "metric {:?}: {} bucket_counts with {} explicit_bounds; must be one more",
                self.name,
                point.bucket_counts.len(),
                point.explicit_bounds.len()
            );
            return Err(Refusal::new("bad_buckets", sentence));
        }
        let stale = point.flags & NO_RECORDED_VALUE != 0;
        let exemplars = self.exemplars(point.exemplars);
        let mut parts = Vec::new();
        let mut cumulative = 0.0;
        for (bound, count) in point.explicit_bounds.iter().zip(&point.bucket_counts) {
            cumulative += *count as f64;
            parts.push(("_bucket", Some(format_bound(*bound)), cumulative));
        }
        parts.push(("_bucket", Some("+Inf".to_owned()), point.count as f64));
        if let Some(sum) = point.sum {
            parts.push(("_sum", None, sum));
        }
        parts.push(("_count", None, point.count as f64));
        for (suffix, bound, value) in parts {
            let extra = bound.as_deref().map(|bound| ("le", bound));
            let labels = self.labels(point.attributes.clone(), suffix, extra.as_slice())?;
            let value = match temporality {
                _ if stale => f64::from_bits(STALE_MARKER),
                Temporality::Delta => self.deltas.add(self.context.tenant, &labels, value),
                Temporality::Cumulative => value,
            };
            let is_last_bucket = bound.as_deref() == Some("+Inf");
            self.sample(labels.clone(), at, value);
            if is_last_bucket {
                self.row(labels).exemplars.extend(exemplars.iter().cloned());
            }
        }
        Ok(())
    }

    /// Checks a point's time and remembers the newest.
    pub(super) fn time(&mut self, unix_nano: u64) -> Result<Millis, Refusal> {
        let at = time("time_unix_nano", unix_nano, self.context.latest)?;
        self.newest = self.newest.max(Some(at));
        Ok(at.to_millis())
    }

    /// The labels of a series: those of the resource, the point's attributes, the metric's name.
    pub(super) fn labels(
        &self,
        pairs: Vec<KeyValue>,
        suffix: &str,
        extra: &[(&str, &str)],
    ) -> Result<Labels, Refusal> {
        let point = attributes(pairs, self.context.config)?;
        let mut labels: BTreeMap<String, String> = BTreeMap::new();
        for (key, value) in point.iter() {
            let text = value.text();
            // Keys that become the same label are joined, in the order of the keys.
            labels
                .entry(label_name(key).into_owned())
                .and_modify(|joined| {
                    joined.push(';');
                    joined.push_str(&text);
                })
                .or_insert_with(|| text.clone().into_owned());
        }
        for (name, value) in &self.context.base {
            labels.entry(name.clone()).or_insert_with(|| value.clone());
        }
        labels.insert(METRIC_NAME.to_owned(), format!("{}{suffix}", self.name));
        labels.extend(
            extra
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        Ok(Labels::from_pairs(labels))
    }

    fn sample(&mut self, labels: Labels, time: Millis, value: f64) {
        self.row(labels).samples.push(Sample::new(time, value));
    }

    pub(super) fn native(&mut self, labels: Labels, time: Millis, histogram: Histogram) {
        self.row(labels).histograms.push((time, histogram));
    }

    pub(super) fn row(&mut self, labels: Labels) -> &mut MetricRows {
        let (kind, unit, help) = (self.kind, &self.unit, &self.help);
        self.series
            .entry(labels.clone())
            .or_insert_with(|| MetricRows {
                labels,
                kind,
                unit: unit.clone(),
                help: help.clone(),
                ..MetricRows::default()
            })
    }

    /// Those exemplars that have a time and a value; the others say nothing.
    pub(super) fn exemplars(&self, exemplars: Vec<OtlpExemplar>) -> Vec<Exemplar> {
        let row = |exemplar: OtlpExemplar| {
            let at = time(
                "time_unix_nano",
                exemplar.time_unix_nano,
                self.context.latest,
            )
            .ok()?;
            let value = match exemplar.value? {
                exemplar::Value::AsDouble(value) => value,
                exemplar::Value::AsInt(value) => value as f64,
            };
            Some(Exemplar {
                time: at.to_millis(),
                value,
                trace_id: TraceId::from_bytes(&exemplar.trace_id),
                span_id: SpanId::from_bytes(&exemplar.span_id),
                attributes: attributes(exemplar.filtered_attributes, self.context.config).ok()?,
            })
        };
        exemplars.into_iter().filter_map(row).collect()
    }
}

/// A bucket's bound as Prometheus writes it.
fn format_bound(bound: f64) -> String {
    if bound == f64::INFINITY {
        "+Inf".to_owned()
    } else {
        bound.to_string()
    }
}
