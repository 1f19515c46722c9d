//! Exponential histograms of OTLP to native histograms.
//!
//! Source: OpenTelemetry, "Prometheus and OpenMetrics Compatibility", exponential histograms: schema = scale, at most 8;
//! bucket index + 1, because Prometheus' bucket `i` ends at base^i where OTLP's begins there.

use demarc_proto::{
    Millis,
    otlp::metrics::v1::{
        ExponentialHistogramDataPoint, HistogramDataPoint,
        exponential_histogram_data_point::Buckets as OtlpBuckets,
    },
};
use demarc_store::{Buckets, CUSTOM_BUCKETS, Histogram};

use super::{
    STALE_MARKER, Temporality,
    build::{Builder, NO_RECORDED_VALUE, decode, start, written},
};
use crate::{
    attribute::Bad,
    receipt::Refusal,
    remote_write::{MAX_BUCKETS, coarser},
};

const MAX_SCHEMA: i32 = 8;
const MIN_SCHEMA: i32 = -4;
/// The finest scale that OTLP names.
const MAX_SCALE: i32 = 20;
/// Prometheus' width of the zero bucket where OTLP leaves it open.
const DEFAULT_ZERO_THRESHOLD: f64 = 1e-128;

impl<'b> Builder<'_, '_, '_, 'b> {
    /// An exponential histogram, as a native one.
    pub(super) fn exponential(
        &mut self,
        bytes: &'b [u8],
        temporality: Temporality,
    ) -> Result<(), Bad> {
        let point: ExponentialHistogramDataPoint = decode(bytes)?;
        let attributes = written(bytes, 1)?;
        let at = self.time(point.time_unix_nano)?;
        let mut histogram = native(&point)?;
        histogram.start = start(point.start_time_unix_nano, at);
        let exemplars = self.exemplars(point.exemplars);
        let Some(histogram) = self.added_up(&attributes, at, histogram, temporality)? else {
            return Ok(());
        };
        self.native(&attributes, at, histogram, exemplars)?;
        Ok(())
    }

    /// A histogram with explicit bounds, as a native one with custom buckets.
    pub(super) fn custom(&mut self, bytes: &'b [u8], temporality: Temporality) -> Result<(), Bad> {
        let point: HistogramDataPoint = decode(bytes)?;
        let attributes = written(bytes, 9)?;
        let at = self.time(point.time_unix_nano)?;
        self.check_bounds(&point)?;
        let sum = sum(point.sum, point.flags)?;
        let mut bounds = point.explicit_bounds;
        let mut counts: Vec<f64> = point
            .bucket_counts
            .iter()
            .map(|count| *count as f64)
            .collect();
        if bounds.last() == Some(&f64::INFINITY) {
            // The bucket that has no end is there without a bound.
            bounds.pop();
            let beyond = counts.pop().unwrap_or_default();
            if let Some(last) = counts.last_mut() {
                *last += beyond;
            }
        }
        let histogram = Histogram {
            start: start(point.start_time_unix_nano, at),
            count: point.count as f64,
            sum,
            schema: CUSTOM_BUCKETS,
            positive: Buckets { offset: 0, counts },
            custom_bounds: bounds,
            ..Histogram::default()
        };
        let exemplars = self.exemplars(point.exemplars);
        let Some(histogram) = self.added_up(&attributes, at, histogram, temporality)? else {
            return Ok(());
        };
        self.native(&attributes, at, histogram, exemplars)?;
        Ok(())
    }

    /// The sum of all observations so far, where `histogram` has only the newest; `None` when these were added before.
    fn added_up(
        &mut self,
        attributes: &[&[u8]],
        at: Millis,
        histogram: Histogram,
        temporality: Temporality,
    ) -> Result<Option<Histogram>, Refusal> {
        if temporality == Temporality::Cumulative || histogram.sum.to_bits() == STALE_MARKER {
            return Ok(Some(histogram));
        }
        let key = self.series.point_key(attributes);
        if !self.is_new_delta(key, at)? {
            return Ok(None);
        }
        let timeless = Histogram {
            start: None,
            ..histogram
        };
        let added = &mut *self.sink.added;
        Ok(Some(self.sink.deltas.add_histogram(key, timeless, added)))
    }
}

/// The sum of observations, or the mark that the series has ended. A native histogram cannot do without.
fn sum(sum: Option<f64>, flags: u32) -> Result<f64, Refusal> {
    if flags & NO_RECORDED_VALUE != 0 {
        return Ok(f64::from_bits(STALE_MARKER));
    }
    sum.ok_or_else(|| {
        let sentence =
            "histogram without a sum: must have one to become a native histogram".to_owned();
        Refusal::new("no_sum", sentence)
    })
}

fn native(point: &ExponentialHistogramDataPoint) -> Result<Histogram, Refusal> {
    if point.scale < MIN_SCHEMA || point.scale > MAX_SCALE {
        let sentence = format!("scale {}: must be {MIN_SCHEMA} to {MAX_SCALE}", point.scale);
        return Err(Refusal::new("bad_scale", sentence));
    }
    if point.zero_threshold.is_nan() || point.zero_threshold < 0.0 {
        let sentence = format!("zero_threshold {}: must be 0 or more", point.zero_threshold);
        return Err(Refusal::new("bad_buckets", sentence));
    }
    let shift = (point.scale - MAX_SCHEMA).max(0);
    Ok(Histogram {
        count: point.count as f64,
        sum: sum(point.sum, point.flags)?,
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

/// Bucket `i` of OTLP begins where Prometheus' bucket `i` ends. Merges 2^shift buckets into one, which lowers the scale by
/// `shift`.
fn buckets(buckets: Option<&OtlpBuckets>, shift: i32) -> Result<Buckets, Refusal> {
    let Some(buckets) = buckets.filter(|buckets| !buckets.bucket_counts.is_empty()) else {
        return Ok(Buckets::default());
    };
    let counts = &buckets.bucket_counts;
    let last = i64::from(buckets.offset) + counts.len() as i64;
    if counts.len() > MAX_BUCKETS || i32::try_from(last + 1).is_err() {
        let sentence = format!(
            "buckets: {} of them from offset {}; at most {MAX_BUCKETS}, with indexes of 32 bits",
            counts.len(),
            buckets.offset
        );
        return Err(Refusal::new("bad_buckets", sentence));
    }
    let fine = Buckets {
        offset: buckets.offset + 1,
        counts: counts.iter().map(|count| *count as f64).collect(),
    };
    Ok(if shift == 0 {
        fine
    } else {
        coarser(&fine, shift)
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
            sum: Some(1.0),
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
