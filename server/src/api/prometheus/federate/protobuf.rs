//! The protobuf format: messages, each after its length.
//!
//! Source: Prometheus, `io/prometheus/client/metrics.proto`; `web/federate.go` for what is filled in.

use demarc_proto::{Labels, METRIC_NAME};
use demarc_query::{Point, PointValue, promql::Buckets, promql::Histogram as Native};
use demarc_store::CounterReset;
use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct MetricFamily {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(enumeration = "MetricType", optional, tag = "3")]
    r#type: Option<i32>,
    #[prost(message, repeated, tag = "4")]
    metric: Vec<Metric>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
enum MetricType {
    Counter = 0,
    Untyped = 3,
    Histogram = 4,
    GaugeHistogram = 5,
}

#[derive(Clone, PartialEq, Message)]
struct Metric {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(message, optional, tag = "5")]
    untyped: Option<Untyped>,
    #[prost(int64, optional, tag = "6")]
    timestamp_ms: Option<i64>,
    #[prost(message, optional, tag = "7")]
    histogram: Option<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
struct LabelPair {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    value: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Untyped {
    #[prost(double, optional, tag = "1")]
    value: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
struct Histogram {
    #[prost(double, optional, tag = "2")]
    sample_sum: Option<f64>,
    #[prost(message, repeated, tag = "3")]
    bucket: Vec<Bucket>,
    #[prost(double, optional, tag = "4")]
    sample_count_float: Option<f64>,
    #[prost(sint32, optional, tag = "5")]
    schema: Option<i32>,
    #[prost(double, optional, tag = "6")]
    zero_threshold: Option<f64>,
    #[prost(double, optional, tag = "8")]
    zero_count_float: Option<f64>,
    #[prost(message, repeated, tag = "9")]
    negative_span: Vec<BucketSpan>,
    #[prost(double, repeated, packed = "false", tag = "11")]
    negative_count: Vec<f64>,
    #[prost(message, repeated, tag = "12")]
    positive_span: Vec<BucketSpan>,
    #[prost(double, repeated, packed = "false", tag = "14")]
    positive_count: Vec<f64>,
}

/// A bucket of a classic histogram.
#[derive(Clone, PartialEq, Message)]
struct Bucket {
    #[prost(double, optional, tag = "2")]
    upper_bound: Option<f64>,
    #[prost(double, optional, tag = "4")]
    cumulative_count_float: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
struct BucketSpan {
    #[prost(sint32, optional, tag = "1")]
    offset: Option<i32>,
    #[prost(uint32, optional, tag = "2")]
    length: Option<u32>,
}

/// The samples, sorted by metric.
pub(super) fn exposition(found: &[(Labels, Point)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut family: Option<MetricFamily> = None;
    for (labels, point) in found {
        let (name, kind) = (labels.metric(), kind(&point.value) as i32);
        let is_same = family
            .as_ref()
            .is_some_and(|open| open.name() == name && open.r#type == Some(kind));
        if !is_same {
            write(family.take(), &mut out);
        }
        let open = family.get_or_insert_with(|| MetricFamily {
            name: Some(name.to_owned()),
            r#type: Some(kind),
            metric: Vec::new(),
        });
        open.metric.push(metric(labels, point));
    }
    write(family, &mut out);
    out
}

fn write(family: Option<MetricFamily>, out: &mut Vec<u8>) {
    if let Some(family) = family {
        out.extend_from_slice(&family.encode_length_delimited_to_vec());
    }
}

fn kind(value: &PointValue) -> MetricType {
    match value {
        PointValue::Float(_) => MetricType::Untyped,
        PointValue::Histogram(histogram) if histogram.reset == CounterReset::Gauge => {
            MetricType::GaugeHistogram
        }
        PointValue::Histogram(_) => MetricType::Histogram,
    }
}

fn metric(labels: &Labels, point: &Point) -> Metric {
    let mut label: Vec<LabelPair> = labels
        .iter()
        .filter(|(name, _)| *name != METRIC_NAME)
        .map(|(name, value)| pair(name, value))
        .collect();
    // Prometheus says where a sample comes from, also when nobody does.
    if labels.get("instance").is_empty() {
        label.push(pair("instance", ""));
    }
    let (untyped, histogram) = match &point.value {
        PointValue::Float(value) => (
            Some(Untyped {
                value: Some(*value),
            }),
            None,
        ),
        PointValue::Histogram(native) => (None, Some(histogram(native))),
    };
    Metric {
        label,
        untyped,
        timestamp_ms: Some(point.time.0),
        histogram,
    }
}

fn pair(name: &str, value: &str) -> LabelPair {
    LabelPair {
        name: Some(name.to_owned()),
        value: Some(value.to_owned()),
    }
}

/// Buckets with bounds of their own become those of a classic histogram: the format has no place for such bounds.
fn histogram(native: &Native) -> Histogram {
    let head = Histogram {
        sample_count_float: Some(native.count),
        sample_sum: Some(native.sum),
        ..Histogram::default()
    };
    if native.has_custom_buckets() {
        return Histogram {
            bucket: classic(native),
            ..head
        };
    }
    Histogram {
        schema: Some(native.schema),
        zero_threshold: Some(native.zero_threshold),
        zero_count_float: Some(native.zero_count),
        negative_span: spans(&native.negative),
        negative_count: native.negative.counts.clone(),
        positive_span: spans(&native.positive),
        positive_count: native.positive.counts.clone(),
        ..head
    }
}

/// The counts stand without gaps: one span holds them. Without any, an empty one says that the histogram is native.
fn spans(buckets: &Buckets) -> Vec<BucketSpan> {
    let length = u32::try_from(buckets.counts.len()).unwrap_or(u32::MAX);
    vec![BucketSpan {
        offset: Some(if length == 0 { 0 } else { buckets.offset }),
        length: Some(length),
    }]
}

fn classic(native: &Native) -> Vec<Bucket> {
    let mut cumulative = 0.0;
    let mut buckets = Vec::new();
    for (index, bound) in (0..).zip(native.custom_bounds.iter()) {
        cumulative += native.positive.get(index);
        buckets.push(Bucket {
            upper_bound: Some(*bound),
            cumulative_count_float: Some(cumulative),
        });
    }
    buckets.push(Bucket {
        upper_bound: Some(f64::INFINITY),
        cumulative_count_float: Some(native.count),
    });
    buckets
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use demarc_proto::Millis;

    use super::*;

    #[test]
    fn numbers_and_histograms_of_one_name_are_families_of_their_own() {
        let native = Native {
            schema: 0,
            count: 6.0,
            sum: 21.0,
            zero_threshold: 0.001,
            zero_count: 1.0,
            positive: Buckets {
                offset: 1,
                counts: vec![2.0, 0.0, 3.0],
            },
            ..Native::default()
        };
        let custom = Native {
            schema: demarc_store::CUSTOM_BUCKETS,
            count: 3.0,
            custom_bounds: [0.5, 1.0].as_slice().into(),
            positive: Buckets {
                offset: 0,
                counts: vec![1.0, 1.0, 1.0],
            },
            ..Native::default()
        };
        let labels = |job| Labels::from_pairs([(METRIC_NAME, "size"), ("job", job)]);
        let point = |value| Point {
            time: Millis(1500),
            value,
        };
        let of = |histogram| PointValue::Histogram(Arc::new(histogram));
        let found = [
            (labels("a"), point(of(native))),
            (labels("b"), point(PointValue::Float(0.5))),
            (labels("c"), point(of(custom))),
        ];
        let bytes = exposition(&found);
        let mut rest = bytes.as_slice();
        let mut families = Vec::new();
        while !rest.is_empty() {
            families.push(MetricFamily::decode_length_delimited(&mut rest).unwrap());
        }
        let kinds: Vec<i32> = families.iter().filter_map(|family| family.r#type).collect();
        assert_eq!(kinds, [4, 3, 4]);
        let native = families[0].metric[0].histogram.as_ref().unwrap();
        assert_eq!(native.positive_count, [2.0, 0.0, 3.0]);
        assert_eq!(native.positive_span[0].offset, Some(1));
        let custom = families[2].metric[0].histogram.as_ref().unwrap();
        let counts: Vec<f64> = custom
            .bucket
            .iter()
            .filter_map(|bucket| bucket.cumulative_count_float)
            .collect();
        assert_eq!(counts, [1.0, 2.0, 3.0]);
        let label = &families[1].metric[0].label;
        assert_eq!(label[1], pair("instance", ""));
    }
}
