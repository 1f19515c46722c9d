//! OTLP requests of a given size, from nothing but their numbers.

use demarc_proto::otlp::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value},
    metrics::v1::{
        Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data,
        number_data_point,
    },
    resource::v1::Resource,
};

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
