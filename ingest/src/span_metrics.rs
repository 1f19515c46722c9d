//! RED metrics from spans and service-graph metrics from calls, named as Tempo's metrics-generator names them.

use std::collections::BTreeMap;

use demarc_proto::{Labels, METRIC_NAME, Millis, TenantId};
use demarc_store::{MetricKind, MetricRows, Sample, SpanRow};

use crate::pairing::Call;

/// Upper bounds of the latency buckets, in seconds.
const BOUNDS: [f64; 16] = [
    0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 8.192,
    16.384, 32.768, 65.536,
];

/// Cumulative metrics since this process started, per tenant.
#[derive(Debug, Default)]
pub(crate) struct SpanMetrics {
    series: BTreeMap<(TenantId, Family, Labels), Red>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Family {
    Span,
    Edge,
}

#[derive(Clone, Debug, Default)]
struct Red {
    calls: f64,
    failed: f64,
    latency: Latency,
    client_latency: Latency,
}

#[derive(Clone, Debug, Default)]
struct Latency {
    buckets: [f64; BOUNDS.len()],
    count: f64,
    sum: f64,
}

impl Latency {
    fn observe(&mut self, duration_ns: i64) {
        let seconds = duration_ns as f64 / 1e9;
        for (bucket, bound) in self.buckets.iter_mut().zip(BOUNDS) {
            if seconds <= bound {
                *bucket += 1.0;
            }
        }
        self.count += 1.0;
        self.sum += seconds;
    }
}

impl SpanMetrics {
    /// Counts a span under its service, operation, kind and status.
    pub(crate) fn span(&mut self, tenant: &TenantId, span: &SpanRow, max_series: usize) {
        let namespace = span.resource.str("service.namespace").unwrap_or_default();
        let labels = |operation: &str| {
            Labels::from_pairs([
                ("service", span.service.as_str()),
                ("service_namespace", namespace),
                ("span_name", operation),
                ("span_kind", &format!("SPAN_KIND_{}", span.kind)),
                ("status_code", &format!("STATUS_CODE_{}", span.status)),
            ])
        };
        let mut key = (tenant.clone(), Family::Span, labels(&span.name));
        if self.series.len() >= max_series && !self.series.contains_key(&key) {
            key.2 = labels("other");
        }
        let red = self.series.entry(key).or_default();
        red.calls += 1.0;
        red.latency.observe(span.duration_ns);
    }

    /// Counts a call under its two sides, for the tenant of the calling side, else of the called one.
    pub(crate) fn call(&mut self, call: &Call, max_series: usize) {
        let Some(first) = call.client.as_ref().or(call.server.as_ref()) else {
            return;
        };
        let Some((client, server)) = call.names() else {
            return;
        };
        let labels = Labels::from_pairs([
            ("client", client.as_str()),
            ("server", server.as_str()),
            ("connection_type", call.connection_type()),
        ]);
        let key = (first.tenant.clone(), Family::Edge, labels);
        if self.series.len() >= max_series && !self.series.contains_key(&key) {
            return;
        }
        let red = self.series.entry(key).or_default();
        red.calls += 1.0;
        red.failed += if first.failed { 1.0 } else { 0.0 };
        if let Some(side) = &call.server {
            red.latency.observe(side.duration_ns);
        }
        if let Some(side) = &call.client {
            red.client_latency.observe(side.duration_ns);
        }
    }

    /// The values of all series at `time`, per tenant.
    ///
    /// A series that was written before is written again even when nothing happened, so that it does not go stale while its
    /// service is only quiet.
    pub(crate) fn rows(&self, time: Millis) -> BTreeMap<TenantId, Vec<MetricRows>> {
        let mut rows: BTreeMap<TenantId, Vec<MetricRows>> = BTreeMap::new();
        for ((tenant, family, labels), red) in &self.series {
            let rows = rows.entry(tenant.clone()).or_default();
            let mut writer = Writer { labels, time, rows };
            match family {
                Family::Span => {
                    writer.counter("traces_spanmetrics_calls_total", red.calls);
                    writer.latency("traces_spanmetrics_latency", &red.latency);
                }
                Family::Edge => {
                    writer.counter("traces_service_graph_request_total", red.calls);
                    writer.counter("traces_service_graph_request_failed_total", red.failed);
                    writer.latency("traces_service_graph_request_server_seconds", &red.latency);
                    writer.latency(
                        "traces_service_graph_request_client_seconds",
                        &red.client_latency,
                    );
                }
            }
        }
        rows
    }
}

struct Writer<'a> {
    labels: &'a Labels,
    time: Millis,
    rows: &'a mut Vec<MetricRows>,
}

impl Writer<'_> {
    fn counter(&mut self, name: &str, value: f64) {
        self.push(name, None, MetricKind::Counter, value);
    }

    fn latency(&mut self, name: &str, latency: &Latency) {
        if latency.count == 0.0 {
            return;
        }
        let bucket = format!("{name}_bucket");
        for (bound, value) in BOUNDS.iter().zip(latency.buckets) {
            self.push(
                &bucket,
                Some(&bound.to_string()),
                MetricKind::Histogram,
                value,
            );
        }
        self.push(&bucket, Some("+Inf"), MetricKind::Histogram, latency.count);
        self.push(
            &format!("{name}_sum"),
            None,
            MetricKind::Histogram,
            latency.sum,
        );
        self.push(
            &format!("{name}_count"),
            None,
            MetricKind::Histogram,
            latency.count,
        );
    }

    fn push(&mut self, name: &str, le: Option<&str>, kind: MetricKind, value: f64) {
        let mut labels = self.labels.clone();
        labels.set(METRIC_NAME, name);
        if let Some(le) = le {
            labels.set("le", le);
        }
        let samples = vec![Sample::new(self.time, value)];
        self.rows.push(MetricRows {
            labels,
            kind,
            samples,
            ..MetricRows::default()
        });
    }
}
