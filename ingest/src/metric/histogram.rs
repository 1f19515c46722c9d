//! Exponential histograms of OTLP to native histograms.
//!
//! Source: OpenTelemetry, "Prometheus and OpenMetrics Compatibility", exponential histograms: schema = scale, at most 8;
//! bucket index + 1, because Prometheus' bucket `i` ends at base^i where OTLP's begins there.

use demarc_proto::otlp::metrics::v1::{
    ExponentialHistogramDataPoint, exponential_histogram_data_point::Buckets as OtlpBuckets,
};
use demarc_store::{Buckets, Histogram};

use super::{STALE_MARKER, Temporality, build::Builder};
use crate::receipt::Refusal;

const MAX_SCHEMA: i32 = 8;
const MIN_SCHEMA: i32 = -4;
/// Most buckets of one sign: no SDK sends more than 160 by default.
const MAX_BUCKETS: usize = 10_000;
/// Prometheus' width of the zero bucket where OTLP leaves it open.
const DEFAULT_ZERO_THRESHOLD: f64 = 1e-128;

impl Builder<'_, '_> {
    /// Takes over one point of an exponential histogram.
    pub(super) fn exponential(
        &mut self,
        point: ExponentialHistogramDataPoint,
        temporality: Temporality,
    ) {
        let outcome = self.exponential_point(point, temporality);
        self.settle(outcome);
    }

    fn exponential_point(
        &mut self,
        point: ExponentialHistogramDataPoint,
        temporality: Temporality,
    ) -> Result<(), Refusal> {
        let at = self.time(point.time_unix_nano)?;
        let histogram = native(&point)?;
        let exemplars = self.exemplars(point.exemplars);
        let labels = self.labels(point.attributes, "", &[])?;
        let histogram = match temporality {
            Temporality::Delta => {
                self.deltas
                    .add_histogram(self.context.tenant, &labels, histogram)
            }
            Temporality::Cumulative => histogram,
        };
        self.native(labels.clone(), at, histogram);
        self.row(labels).exemplars.extend(exemplars);
        Ok(())
    }
}

fn native(point: &ExponentialHistogramDataPoint) -> Result<Histogram, Refusal> {
    if point.scale < MIN_SCHEMA || point.scale > 20 {
        let sentence = format!("scale {}: must be {MIN_SCHEMA} to 20", point.scale);
        return Err(Refusal::new("bad_scale", sentence));
    }
    let shift = (point.scale - MAX_SCHEMA).max(0);
    let is_stale = point.flags & 1 != 0;
    let sum = if is_stale {
        f64::from_bits(STALE_MARKER)
    } else {
        point.sum.unwrap_or(f64::NAN)
    };
    Ok(Histogram {
        count: point.count as f64,
        sum,
        schema: point.scale - shift,
        zero_threshold: if point.zero_threshold > 0.0 {
            point.zero_threshold
        } else {
            DEFAULT_ZERO_THRESHOLD
        },
        zero_count: point.zero_count as f64,
        positive: buckets(point.positive.as_ref(), shift)?,
        negative: buckets(point.negative.as_ref(), shift)?,
        ..Histogram::default()
    })
}

/// Merges 2^shift buckets into one, which lowers the scale by `shift`.
fn buckets(buckets: Option<&OtlpBuckets>, shift: i32) -> Result<Buckets, Refusal> {
    let Some(buckets) = buckets.filter(|buckets| !buckets.bucket_counts.is_empty()) else {
        return Ok(Buckets::default());
    };
    let last = i64::from(buckets.offset) + buckets.bucket_counts.len() as i64;
    if buckets.bucket_counts.len() > MAX_BUCKETS || i32::try_from(last + 1).is_err() {
        let sentence = format!(
            "buckets: {} of them from offset {}; at most {MAX_BUCKETS}, with indexes of 32 bits",
            buckets.bucket_counts.len(),
            buckets.offset
        );
        return Err(Refusal::new("bad_buckets", sentence));
    }
    let first = buckets.offset >> shift;
    let mut counts: Vec<f64> = Vec::new();
    for (at, count) in buckets.bucket_counts.iter().enumerate() {
        let index = (i64::from(buckets.offset) + at as i64) >> shift;
        let slot = usize::try_from(index - i64::from(first)).unwrap_or(0);
        if counts.len() <= slot {
            counts.resize(slot + 1, 0.0);
        }
        counts[slot] += *count as f64;
    }
    Ok(Buckets {
        offset: first + 1,
        counts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_above_eight_is_lowered_by_merging_buckets() {
        let point = ExponentialHistogramDataPoint {
            scale: 9,
            count: 10,
            positive: Some(OtlpBuckets {
                offset: -1,
                bucket_counts: vec![1, 2, 3, 4],
            }),
            ..Default::default()
        };
        let histogram = native(&point).unwrap();
        assert_eq!(histogram.schema, 8);
        // OTLP indexes -1 | 0, 1 | 2 become -1, 0, 1, and Prometheus counts one further.
        assert_eq!(
            histogram.positive,
            Buckets {
                offset: 0,
                counts: vec![1.0, 5.0, 4.0]
            }
        );
    }

    #[test]
    fn an_absurd_scale_is_refused() {
        let point = ExponentialHistogramDataPoint {
            scale: 1000,
            ..Default::default()
        };
        assert_eq!(native(&point).unwrap_err().reason, "bad_scale");
    }
}
