//! Whatever arrives, nothing panics, and nothing that was accepted before is lost.

use demarc_ingest::{Encoding, decode_logs, decode_metrics, decode_traces};
use demarc_proto::{
    TenantId,
    otlp::{
        collector::metrics::v1::ExportMetricsServiceRequest,
        metrics::v1::{
            ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
            HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
            exponential_histogram_data_point::Buckets, metric::Data, number_data_point::Value,
        },
    },
};
use proptest::prelude::*;

use crate::bed::Bed;

fn number_points() -> impl Strategy<Value = Vec<NumberDataPoint>> {
    let point = (any::<u64>(), any::<u64>(), any::<f64>(), any::<bool>()).prop_map(
        |(start, time, value, has_value)| NumberDataPoint {
            start_time_unix_nano: start,
            time_unix_nano: time,
            value: has_value.then_some(Value::AsDouble(value)),
            ..NumberDataPoint::default()
        },
    );
    prop::collection::vec(point, 0..4)
}

fn data() -> impl Strategy<Value = Option<Data>> {
    let gauge = number_points().prop_map(|data_points| Some(Data::Gauge(Gauge { data_points })));
    let sum = (number_points(), 0..4_i32, any::<bool>()).prop_map(
        |(data_points, temporality, is_monotonic)| {
            Some(Data::Sum(Sum {
                data_points,
                aggregation_temporality: temporality,
                is_monotonic,
            }))
        },
    );
    let histogram = (
        any::<u64>(),
        prop::collection::vec(any::<u64>(), 0..5),
        prop::collection::vec(any::<f64>(), 0..5),
        0..4_i32,
    )
        .prop_map(|(time, bucket_counts, explicit_bounds, temporality)| {
            let point = HistogramDataPoint {
                time_unix_nano: time,
                bucket_counts,
                explicit_bounds,
                ..HistogramDataPoint::default()
            };
            Some(Data::Histogram(Histogram {
                data_points: vec![point],
                aggregation_temporality: temporality,
            }))
        });
    let exponential = (
        any::<i32>(),
        any::<i32>(),
        prop::collection::vec(any::<u64>(), 0..5),
        any::<f64>(),
    )
        .prop_map(|(scale, offset, bucket_counts, zero_threshold)| {
            let point = ExponentialHistogramDataPoint {
                time_unix_nano: 1,
                scale,
                zero_threshold,
                positive: Some(Buckets {
                    offset,
                    bucket_counts,
                }),
                ..ExponentialHistogramDataPoint::default()
            };
            Some(Data::ExponentialHistogram(ExponentialHistogram {
                data_points: vec![point],
                aggregation_temporality: 2,
            }))
        });
    prop_oneof![Just(None), gauge, sum, histogram, exponential]
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..400)) {
        for encoding in [Encoding::Protobuf, Encoding::Json] {
            let _ = decode_traces(encoding, &body);
            let _ = decode_metrics(encoding, &body);
            let _ = decode_logs(encoding, &body);
        }
    }
}

#[test]
fn any_metric_is_counted_once_as_accepted_or_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let bed = runtime.block_on(Bed::new());
    let tenant = TenantId::default();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(512));
    let metric = (".{0,12}", ".{0,6}", data());
    runner
        .run(&metric, |(name, unit, data)| {
            let points = match &data {
                Some(Data::Gauge(gauge)) => gauge.data_points.len(),
                Some(Data::Sum(sum)) => sum.data_points.len(),
                _ => 1,
            };
            let metric = Metric {
                name,
                unit,
                data,
                ..Metric::default()
            };
            let scope = ScopeMetrics {
                metrics: vec![metric],
                ..ScopeMetrics::default()
            };
            let request = ExportMetricsServiceRequest {
                resource_metrics: vec![ResourceMetrics {
                    scope_metrics: vec![scope],
                    ..ResourceMetrics::default()
                }],
            };
            let receipt = runtime
                .block_on(bed.ingest.metrics(&tenant, request))
                .unwrap();
            let refused: u64 = receipt.rejected.iter().map(|one| one.count).sum();
            prop_assert!(receipt.accepted + refused >= 1 || points == 0);
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn a_difference_that_is_sent_again_is_added_once() {
    let bed = Bed::new().await;
    let tenant = TenantId::default();
    let now = crate::bed::NOW.0.unsigned_abs();
    let request = |time: u64| {
        let point = NumberDataPoint {
            time_unix_nano: time,
            value: Some(Value::AsInt(5)),
            ..NumberDataPoint::default()
        };
        let sum = Sum {
            data_points: vec![point],
            aggregation_temporality: 1,
            is_monotonic: true,
        };
        let metric = Metric {
            name: "jobs".to_owned(),
            data: Some(Data::Sum(sum)),
            ..Metric::default()
        };
        let scope = ScopeMetrics {
            metrics: vec![metric],
            ..ScopeMetrics::default()
        };
        ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                scope_metrics: vec![scope],
                ..ResourceMetrics::default()
            }],
        }
    };
    let second = 1_000_000_000;
    for (time, refused) in [(now, 0), (now, 0), (now + second, 0), (now - second, 1)] {
        let sent = bed.ingest.metrics(&tenant, request(time)).await.unwrap();
        assert_eq!(sent.rejected_count(), refused, "{}", sent.message());
    }
    assert_eq!(bed.values()["jobs_total"], 10.0);
}
