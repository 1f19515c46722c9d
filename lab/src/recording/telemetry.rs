//! Telemetry as OTLP, in the time of its system.

use std::{collections::BTreeMap, sync::Arc};

use demarc_proto::otlp::{
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    metrics::v1::{
        AggregationTemporality, Gauge, Metric, NumberDataPoint, ResourceMetrics, Sum, Summary,
        SummaryDataPoint, metric::Data, number_data_point, summary_data_point::ValueAtQuantile,
    },
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};

use crate::otlp;

/// Unix nanoseconds.
pub(crate) type Unix = i64;
/// Spans, records or points that go into one request.
const BATCH: usize = 2000;
/// The metric that says who calls whom, as the service graph of Tempo and of the OpenTelemetry Collector names it.
pub(crate) const CALLS: &str = "traces_service_graph_request";

/// What a system sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Telemetry {
    pub(crate) series: Vec<Series>,
    pub(crate) spans: Vec<(Resource, Span)>,
    pub(crate) logs: Vec<(Resource, LogRecord)>,
}

/// Text attributes of a point.
pub(crate) type Attributes = Vec<(String, String)>;
/// Text attributes of a resource, shared by all that it sent.
pub(crate) type Resource = Arc<Attributes>;

/// The points of one series.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) resource: Resource,
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) attributes: Attributes,
    pub(crate) points: Points,
}

/// Points by time.
#[derive(Clone, Debug)]
pub(crate) enum Points {
    /// Values.
    Gauge(Vec<(Unix, f64)>),
    /// Totals since the first of them.
    Total(Vec<(Unix, f64)>),
    /// Durations.
    Durations(Vec<Durations>),
}

/// How long requests took.
#[derive(Clone, Debug)]
pub(crate) struct Durations {
    pub(crate) at: Unix,
    /// Requests since the first point.
    pub(crate) count: f64,
    /// Sum of their durations in seconds.
    pub(crate) sum: f64,
    /// Durations of the last interval by quantile.
    pub(crate) quantiles: Vec<(f64, f64)>,
}

impl Telemetry {
    /// Takes in what another part of the recording says.
    pub(crate) fn extend(&mut self, other: Self) {
        self.series.extend(other.series);
        self.spans.extend(other.spans);
        self.logs.extend(other.logs);
    }

    /// Number of points.
    pub(crate) fn points(&self) -> usize {
        self.series.iter().map(|series| series.points.len()).sum()
    }

    /// The first and the last time of all that is here.
    pub(crate) fn range(&self) -> Option<(Unix, Unix)> {
        let points = self.series.iter().flat_map(|series| series.points.times());
        let times = points.chain(self.span_starts()).chain(self.log_times());
        times.fold(None, |range, at| match range {
            None => Some((at, at)),
            Some((first, last)) => Some((first.min(at), last.max(at))),
        })
    }

    /// When its spans began.
    pub(crate) fn span_starts(&self) -> impl Iterator<Item = Unix> {
        let starts = self.spans.iter().map(|(_, span)| span.start_time_unix_nano);
        starts.map(signed)
    }

    /// When its log records were written.
    pub(crate) fn log_times(&self) -> impl Iterator<Item = Unix> {
        let times = self.logs.iter().map(|(_, record)| record.time_unix_nano);
        times.map(signed)
    }

    /// Moves everything by so many nanoseconds.
    pub(crate) fn shift(&mut self, by: i64) {
        let moved = |at: &mut u64| *at = at.saturating_add_signed(by);
        for series in &mut self.series {
            series.points.shift(by);
        }
        for (_, span) in &mut self.spans {
            moved(&mut span.start_time_unix_nano);
            moved(&mut span.end_time_unix_nano);
        }
        for (_, record) in &mut self.logs {
            moved(&mut record.time_unix_nano);
        }
    }

    /// Forgets the points before `at`.
    pub(crate) fn keep_since(&mut self, at: Unix) {
        for series in &mut self.series {
            series.points.keep_since(at);
        }
    }

    /// Its series as requests of bounded size.
    pub(crate) fn metric_requests(&self) -> Vec<Vec<ResourceMetrics>> {
        let mut requests = Vec::new();
        let mut open: BTreeMap<&Attributes, Vec<Metric>> = BTreeMap::new();
        let mut count = 0;
        for series in &self.series {
            open.entry(&series.resource)
                .or_default()
                .push(series.metric());
            count += series.points.len();
            if count >= BATCH {
                requests.push(metrics(std::mem::take(&mut open)));
                count = 0;
            }
        }
        if count > 0 {
            requests.push(metrics(open));
        }
        requests
    }

    /// Its spans as requests of bounded size, by start.
    pub(crate) fn span_requests(&self) -> Vec<Vec<ResourceSpans>> {
        let mut sorted: Vec<&(Resource, Span)> = self.spans.iter().collect();
        sorted.sort_by_key(|(_, span)| span.start_time_unix_nano);
        let request = |spans: &[&(Resource, Span)]| {
            let grouped = grouped(spans);
            let resources = grouped.into_iter().map(|(resource, spans)| ResourceSpans {
                resource: Some(otlp::resource(resource)),
                scope_spans: vec![ScopeSpans {
                    spans,
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            });
            resources.collect()
        };
        sorted.chunks(BATCH).map(request).collect()
    }

    /// Its log records as requests of bounded size, by time.
    pub(crate) fn log_requests(&self) -> Vec<Vec<ResourceLogs>> {
        let mut sorted: Vec<&(Resource, LogRecord)> = self.logs.iter().collect();
        sorted.sort_by_key(|(_, record)| record.time_unix_nano);
        let request = |records: &[&(Resource, LogRecord)]| {
            let grouped = grouped(records);
            let resources = grouped
                .into_iter()
                .map(|(resource, log_records)| ResourceLogs {
                    resource: Some(otlp::resource(resource)),
                    scope_logs: vec![ScopeLogs {
                        log_records,
                        ..ScopeLogs::default()
                    }],
                    ..ResourceLogs::default()
                });
            resources.collect()
        };
        sorted.chunks(BATCH).map(request).collect()
    }
}

impl Points {
    fn len(&self) -> usize {
        match self {
            Self::Gauge(points) | Self::Total(points) => points.len(),
            Self::Durations(points) => points.len(),
        }
    }

    fn times(&self) -> Vec<Unix> {
        match self {
            Self::Gauge(points) | Self::Total(points) => points.iter().map(|(at, _)| *at).collect(),
            Self::Durations(points) => points.iter().map(|point| point.at).collect(),
        }
    }

    fn keep_since(&mut self, from: Unix) {
        match self {
            Self::Gauge(points) | Self::Total(points) => points.retain(|(at, _)| *at >= from),
            Self::Durations(points) => points.retain(|point| point.at >= from),
        }
    }

    fn shift(&mut self, by: i64) {
        match self {
            Self::Gauge(points) | Self::Total(points) => {
                points.iter_mut().for_each(|(at, _)| *at += by);
            }
            Self::Durations(points) => points.iter_mut().for_each(|point| point.at += by),
        }
    }
}

impl Series {
    fn metric(&self) -> Metric {
        let data = match &self.points {
            Points::Gauge(points) => Data::Gauge(Gauge {
                data_points: self.numbers(points),
            }),
            Points::Total(points) => Data::Sum(Sum {
                data_points: self.numbers(points),
                aggregation_temporality: AggregationTemporality::Cumulative.into(),
                is_monotonic: true,
            }),
            Points::Durations(points) => Data::Summary(Summary {
                data_points: points.iter().map(|point| self.summary(point)).collect(),
            }),
        };
        Metric {
            name: self.name.to_owned(),
            unit: self.unit.to_owned(),
            data: Some(data),
            ..Metric::default()
        }
    }

    fn numbers(&self, points: &[(Unix, f64)]) -> Vec<NumberDataPoint> {
        let attributes = otlp::attributes(&self.attributes);
        let points = points.iter().map(|(at, value)| NumberDataPoint {
            time_unix_nano: at.unsigned_abs(),
            attributes: attributes.clone(),
            value: Some(number_data_point::Value::AsDouble(*value)),
            ..NumberDataPoint::default()
        });
        points.collect()
    }

    fn summary(&self, point: &Durations) -> SummaryDataPoint {
        let quantiles = point.quantiles.iter();
        SummaryDataPoint {
            time_unix_nano: point.at.unsigned_abs(),
            attributes: otlp::attributes(&self.attributes),
            count: point.count as u64,
            sum: point.sum,
            quantile_values: quantiles
                .map(|(quantile, value)| ValueAtQuantile {
                    quantile: *quantile,
                    value: *value,
                })
                .collect(),
            ..SummaryDataPoint::default()
        }
    }
}

fn metrics(by_resource: BTreeMap<&Attributes, Vec<Metric>>) -> Vec<ResourceMetrics> {
    by_resource
        .into_iter()
        .map(|(resource, metrics)| otlp::resource_metrics(resource, metrics))
        .collect()
}

fn grouped<'a, T: Clone>(rows: &[&'a (Resource, T)]) -> BTreeMap<&'a Attributes, Vec<T>> {
    let mut grouped: BTreeMap<&Attributes, Vec<T>> = BTreeMap::new();
    for (resource, row) in rows {
        grouped.entry(resource).or_default().push(row.clone());
    }
    grouped
}

fn signed(at: u64) -> Unix {
    i64::try_from(at).unwrap_or(i64::MAX)
}
