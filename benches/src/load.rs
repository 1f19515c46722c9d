//! OTLP requests of a given size, from nothing but their numbers.

use demarc_proto::otlp::{
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{AnyValue, KeyValue, any_value::Value},
    metrics::v1::{
        Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data,
        number_data_point,
    },
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, span::SpanKind},
};

/// `count` server spans of one service, each a trace of its own, starting at `start_ns`, a millisecond apart.
pub fn spans(count: u64, start_ns: u64) -> ExportTraceServiceRequest {
    let spans = (0..count)
        .map(|n| span(n, start_ns + n * 1_000_000))
        .collect();
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource()),
            scope_spans: vec![ScopeSpans {
                spans,
                ..Default::default()
            }],
            ..Default::default()
        }],
    }
}

/// One point, at `time_ns`, of each of `series` gauge series.
pub fn gauges(series: u64, time_ns: u64) -> ExportMetricsServiceRequest {
    let data_points = (0..series).map(|n| point(n, time_ns)).collect();
    let metric = Metric {
        name: "bench.queue.length".to_owned(),
        unit: "{item}".to_owned(),
        data: Some(Data::Gauge(Gauge { data_points })),
        ..Default::default()
    };
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(resource()),
            scope_metrics: vec![ScopeMetrics {
                metrics: vec![metric],
                ..Default::default()
            }],
            ..Default::default()
        }],
    }
}

fn span(n: u64, start_ns: u64) -> Span {
    let mut trace_id = start_ns.to_be_bytes().to_vec();
    trace_id.extend((n + 1).to_be_bytes());
    Span {
        trace_id,
        span_id: (n + 1).to_be_bytes().to_vec(),
        name: format!("GET /items/{}", n % 20),
        kind: SpanKind::Server.into(),
        start_time_unix_nano: start_ns,
        end_time_unix_nano: start_ns + 1_000_000 + (n % 97) * 100_000,
        attributes: vec![
            text("http.request.method", "GET"),
            text("http.route", &format!("/items/{}", n % 20)),
            text("server.address", "bench.local"),
        ],
        ..Default::default()
    }
}

fn point(n: u64, time_ns: u64) -> NumberDataPoint {
    NumberDataPoint {
        time_unix_nano: time_ns,
        attributes: vec![
            text("queue", &format!("q{n}")),
            text("shard", &format!("{}", n % 10)),
        ],
        value: Some(number_data_point::Value::AsDouble(
            ((n * 7919) % 1000) as f64,
        )),
        ..Default::default()
    }
}

fn resource() -> Resource {
    Resource {
        attributes: vec![
            text("service.name", "bench"),
            text("service.instance.id", "bench-0"),
            text("host.name", "bench-host"),
        ],
        ..Default::default()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(value.to_owned())),
        }),
        ..Default::default()
    }
}
