//! The SDK's metrics in Prometheus' text format.
//!
//! Source: Prometheus, "Exposition formats"; OpenTelemetry, "Prometheus and OpenMetrics Compatibility".

use std::fmt::Write;

use opentelemetry::KeyValue;
use opentelemetry_sdk::metrics::data::{
    AggregatedMetrics, Histogram, Metric, MetricData, ResourceMetrics,
};

/// All metrics, sorted by name.
pub(crate) fn render(metrics: &ResourceMetrics) -> String {
    let mut blocks: Vec<String> = metrics
        .scope_metrics()
        .flat_map(|scope| scope.metrics())
        .map(|metric| match metric.data() {
            AggregatedMetrics::F64(data) => block(metric, data),
            AggregatedMetrics::U64(data) => block(metric, data),
            AggregatedMetrics::I64(data) => block(metric, data),
        })
        .collect();
    blocks.sort();
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "# TYPE demarc_build_info gauge\ndemarc_build_info{{version=\"{version}\"}} 1\n{}",
        blocks.concat()
    )
}

fn block<T: Copy + std::fmt::Display>(metric: &Metric, data: &MetricData<T>) -> String {
    let base = name(metric.name());
    let mut text = String::new();
    match data {
        MetricData::Gauge(gauge) => {
            head(&mut text, &base, metric, "gauge");
            for point in gauge.data_points() {
                line(&mut text, &base, point.attributes(), &[], point.value());
            }
        }
        MetricData::Sum(sum) => {
            let is_counter = sum.is_monotonic();
            let full = if is_counter && !base.ends_with("_total") {
                format!("{base}_total")
            } else {
                base
            };
            head(
                &mut text,
                &full,
                metric,
                if is_counter { "counter" } else { "gauge" },
            );
            for point in sum.data_points() {
                line(&mut text, &full, point.attributes(), &[], point.value());
            }
        }
        MetricData::Histogram(histogram) => {
            head(&mut text, &base, metric, "histogram");
            buckets(&mut text, &base, histogram);
        }
        // No instrument of this program is aggregated so.
        MetricData::ExponentialHistogram(_) => {}
    }
    text
}

fn buckets<T: Copy + std::fmt::Display>(text: &mut String, name: &str, histogram: &Histogram<T>) {
    for point in histogram.data_points() {
        let mut sum = 0;
        let bounds = point
            .bounds()
            .map(|bound| bound.to_string())
            .chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(point.bucket_counts()) {
            sum += count;
            line(
                text,
                &format!("{name}_bucket"),
                point.attributes(),
                &[("le", &bound)],
                sum,
            );
        }
        line(
            text,
            &format!("{name}_sum"),
            point.attributes(),
            &[],
            point.sum(),
        );
        line(
            text,
            &format!("{name}_count"),
            point.attributes(),
            &[],
            point.count(),
        );
    }
}

fn head(text: &mut String, name: &str, metric: &Metric, kind: &str) {
    if !metric.description().is_empty() {
        let _ = writeln!(
            text,
            "# HELP {name} {}",
            metric.description().replace('\n', " ")
        );
    }
    let _ = writeln!(text, "# TYPE {name} {kind}");
}

fn line<'a>(
    text: &mut String,
    metric: &str,
    attributes: impl Iterator<Item = &'a KeyValue>,
    more: &[(&str, &str)],
    value: impl std::fmt::Display,
) {
    let own = attributes.map(|pair| (name(pair.key.as_str()), pair.value.as_str().into_owned()));
    let more = more
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let labels: Vec<String> = own
        .chain(more)
        .map(|(name, value)| {
            let value = value
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            format!("{name}=\"{value}\"")
        })
        .collect();
    let labels = if labels.is_empty() {
        String::new()
    } else {
        format!("{{{}}}", labels.join(","))
    };
    let _ = writeln!(text, "{metric}{labels} {value}");
}

fn name(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '_' || c == ':' {
                c
            } else {
                '_'
            }
        })
        .collect()
}
