//! Takes the points of one resource over, one by one.

use std::cmp::Ordering;

use demarc_proto::{
    Millis, Nanos, SpanId, TraceId,
    otlp::metrics::v1::{Exemplar as OtlpExemplar, HistogramDataPoint, SummaryDataPoint, exemplar},
};
use demarc_store::{Exemplar, Histogram};
use prost::Message;

use super::{
    Added, Deltas, MetricContext, STALE_MARKER, Temporality,
    series::{Part, Series},
};
use crate::{
    DeltaTemporality, IngestError, Signal, WireError,
    attribute::{Bad, attributes},
    envelope::messages,
    receipt::{Refusal, Tally},
    remote_write::{Collector, Incoming, MAX_BUCKETS, PointValue, RawSample},
    wire::Wire,
};

/// OTLP: the point says that the series has no value any more.
pub(super) const NO_RECORDED_VALUE: u32 = 1;

/// Where points go.
pub(crate) struct Sink<'a, 'c> {
    pub(crate) collector: &'a mut Collector<'c>,
    pub(crate) deltas: &'a mut Deltas,
    /// What is added to `deltas`.
    pub(crate) added: &'a mut Added,
    pub(crate) tally: &'a mut Tally,
}

pub(super) struct Builder<'a, 'c, 's, 'b> {
    pub(super) series: Series<'a, 'c>,
    pub(super) sink: Sink<'a, 's>,
    times: Option<(Nanos, Nanos)>,
    /// Used again for the next point.
    number: RawNumber<'b>,
}

/// A `NumberDataPoint` as it stands on the wire.
#[derive(Debug, Default)]
struct RawNumber<'b> {
    attributes: Vec<&'b [u8]>,
    exemplars: Vec<&'b [u8]>,
    start: u64,
    time: u64,
    value: Option<f64>,
    flags: u32,
}

impl<'b> RawNumber<'b> {
    fn read(&mut self, bytes: &'b [u8]) -> Result<(), WireError> {
        self.attributes.clear();
        self.exemplars.clear();
        (self.start, self.time, self.value, self.flags) = (0, 0, None, 0);
        let mut message = Wire::new(bytes);
        while let Some((field, value)) = message.next()? {
            match field {
                2 => self.start = value.fixed64(2)?,
                3 => self.time = value.fixed64(3)?,
                4 => self.value = Some(value.double(4)?),
                5 => self.exemplars.push(value.bytes(5)?),
                6 => self.value = Some(value.fixed64(6)?.cast_signed() as f64),
                7 => self.attributes.push(value.bytes(7)?),
                8 => self.flags = value.varint(8)? as u32,
                _ => {}
            }
        }
        Ok(())
    }
}

/// A message of a kind of which there are few, decoded.
pub(super) fn decode<M: Message + Default>(bytes: &[u8]) -> Result<M, IngestError> {
    M::decode(bytes).map_err(|source| IngestError::Protobuf {
        signal: Signal::Metrics,
        source,
    })
}

/// The attributes of a point as they are written.
pub(super) fn written(point: &[u8], field: u32) -> Result<Vec<&[u8]>, WireError> {
    messages(point, field).collect()
}

impl<'a, 'c, 's, 'b> Builder<'a, 'c, 's, 'b> {
    pub(super) fn new(context: &'a MetricContext<'c>, sink: Sink<'a, 's>) -> Self {
        Self {
            series: Series::new(context),
            sink,
            times: None,
            number: RawNumber::default(),
        }
    }

    /// The first and the last time of accepted points.
    pub(super) fn times(&self) -> Option<(Nanos, Nanos)> {
        self.times
    }

    /// Refuses that many points.
    pub(super) fn refuse_all(&mut self, refusal: Refusal, points: usize) {
        self.sink.tally.refuse_all(refusal, points);
    }

    /// Whether points of this kind are refused.
    pub(super) fn refuses(&self, temporality: Temporality) -> bool {
        let refuses = self.series.context.otlp.delta_temporality == DeltaTemporality::Refuse;
        refuses && temporality == Temporality::Delta
    }

    /// Refuses that many differences.
    pub(super) fn refuse_delta(&mut self, points: usize) {
        let sentence = format!(
            "metric {:?}: delta temporality is refused (otlp.delta_temporality)",
            self.series.name()
        );
        self.refuse_all(Refusal::new("delta_temporality", sentence), points);
    }

    pub(super) fn gauge(&mut self, point: &'b [u8], temporality: Temporality) -> Result<(), Bad> {
        let mut number = std::mem::take(&mut self.number);
        let read = number.read(point);
        // A gauge counts from nowhere.
        number.start = 0;
        self.numbered(number, read, temporality)
    }

    pub(super) fn sum(&mut self, point: &'b [u8], temporality: Temporality) -> Result<(), Bad> {
        let mut number = std::mem::take(&mut self.number);
        let read = number.read(point);
        self.numbered(number, read, temporality)
    }

    fn numbered(
        &mut self,
        number: RawNumber<'b>,
        read: Result<(), WireError>,
        temporality: Temporality,
    ) -> Result<(), Bad> {
        let taken = read
            .map_err(Bad::from)
            .and_then(|()| self.number(&number, temporality));
        self.number = number;
        taken
    }

    fn number(&mut self, point: &RawNumber<'b>, temporality: Temporality) -> Result<(), Bad> {
        let at = self.time(point.time)?;
        let mut value = match point.value {
            _ if point.flags & NO_RECORDED_VALUE != 0 => f64::from_bits(STALE_MARKER),
            Some(value) => value,
            None => {
                let name = self.series.name();
                let sentence = format!("metric {name:?}: a point must have a value");
                return Err(Refusal::new("no_value", sentence).into());
            }
        };
        let mut start = start(point.start, at);
        let key = self.series.point_key(&point.attributes);
        if temporality == Temporality::Delta && value.to_bits() != STALE_MARKER {
            if !value.is_finite() {
                let name = self.series.name();
                let sentence = format!("metric {name:?}: a difference of {value}: must be finite");
                return Err(Refusal::new("not_finite", sentence).into());
            }
            if !self.is_new_delta(key, at)? {
                return Ok(());
            }
            value = self.sink.deltas.add(key, value, self.sink.added);
            start = None;
        }
        let exemplars: Result<Vec<OtlpExemplar>, IngestError> =
            point.exemplars.iter().map(|bytes| decode(bytes)).collect();
        let exemplars = self.exemplars(exemplars?);
        let sample = sample(at, value, start);
        let place = Place {
            key,
            attributes: &point.attributes,
            part: Part::Whole,
        };
        self.write(place, PointValue::Sample(sample), exemplars)?;
        Ok(())
    }

    pub(super) fn summary(&mut self, bytes: &'b [u8], _: Temporality) -> Result<(), Bad> {
        let point: SummaryDataPoint = decode(bytes)?;
        let attributes = written(bytes, 7)?;
        let at = self.time(point.time_unix_nano)?;
        let is_stale = point.flags & NO_RECORDED_VALUE != 0;
        let start = start(point.start_time_unix_nano, at);
        let key = self.series.point_key(&attributes);
        let quantiles = point.quantile_values.iter();
        let quantiles = quantiles.map(|one| (Part::Quantile(one.quantile), one.value, None));
        let totals = [
            (Part::Sum, point.sum, start),
            (Part::Count, point.count as f64, start),
        ];
        for (part, value, start) in quantiles.chain(totals) {
            let value = if is_stale {
                f64::from_bits(STALE_MARKER)
            } else {
                value
            };
            let place = Place {
                key,
                attributes: &attributes,
                part,
            };
            let sample = sample(at, value, start);
            self.write(place, PointValue::Sample(sample), Vec::new())?;
        }
        Ok(())
    }

    /// A histogram with explicit bounds, as `_bucket`, `_sum` and `_count` series.
    pub(super) fn classic(&mut self, bytes: &'b [u8], temporality: Temporality) -> Result<(), Bad> {
        let point: HistogramDataPoint = decode(bytes)?;
        let attributes = written(bytes, 9)?;
        let at = self.time(point.time_unix_nano)?;
        self.check_bounds(&point)?;
        let is_stale = point.flags & NO_RECORDED_VALUE != 0;
        let is_delta = temporality == Temporality::Delta;
        let start = start(point.start_time_unix_nano, at).filter(|_| !is_delta);
        let key = self.series.point_key(&attributes);
        if is_delta && !is_stale && !self.is_new_delta(Part::Count.key(key), at)? {
            return Ok(());
        }
        let mut exemplars = self.exemplars(point.exemplars);
        let mut parts = Vec::with_capacity(point.explicit_bounds.len() + 3);
        let mut cumulative = 0.0;
        for (bound, count) in point.explicit_bounds.iter().zip(&point.bucket_counts) {
            cumulative += *count as f64;
            // The last bucket has the count of all.
            if *bound != f64::INFINITY {
                parts.push((Part::Bucket(*bound), cumulative));
            }
        }
        parts.push((Part::Bucket(f64::INFINITY), point.count as f64));
        parts.extend(point.sum.map(|sum| (Part::Sum, sum)));
        parts.push((Part::Count, point.count as f64));
        for (part, value) in parts {
            let value = match is_delta {
                _ if is_stale => f64::from_bits(STALE_MARKER),
                true => self.sink.deltas.add(part.key(key), value, self.sink.added),
                false => value,
            };
            let is_whole = matches!(part, Part::Bucket(f64::INFINITY));
            let exemplars = if is_whole {
                std::mem::take(&mut exemplars)
            } else {
                Vec::new()
            };
            let place = Place {
                key,
                attributes: &attributes,
                part,
            };
            let sample = sample(at, value, start);
            self.write(place, PointValue::Sample(sample), exemplars)?;
        }
        Ok(())
    }

    /// Whether a difference is to be added: `false` when it was, and is sent again. One that comes late cannot be: the sum at
    /// its time is written already.
    pub(super) fn is_new_delta(&mut self, key: u128, at: Millis) -> Result<bool, Refusal> {
        match self.sink.collector.order(key, at) {
            Ordering::Greater => Ok(true),
            Ordering::Equal => Ok(false),
            Ordering::Less => {
                let sentence = format!(
                    "metric {:?}: a difference at {} comes after a later one was added up",
                    self.series.name(),
                    at.0
                );
                Err(Refusal::new("late_delta", sentence))
            }
        }
    }

    /// Writes a native histogram.
    pub(super) fn native(
        &mut self,
        attributes: &[&[u8]],
        at: Millis,
        histogram: Histogram,
        exemplars: Vec<Exemplar>,
    ) -> Result<(), Refusal> {
        let key = self.series.point_key(attributes);
        let value = PointValue::Histogram(at.0, Box::new(histogram));
        let place = Place {
            key,
            attributes,
            part: Part::Whole,
        };
        self.write(place, value, exemplars)
    }

    fn write(
        &mut self,
        place: Place<'_>,
        value: PointValue,
        exemplars: Vec<Exemplar>,
    ) -> Result<(), Refusal> {
        let series = &self.series;
        let incoming = Incoming {
            key: place.part.key(place.key),
            labels: &|| series.labels(place.attributes, place.part),
            metadata: Some(&|| series.metadata()),
            digest: series.digest(),
        };
        self.sink.collector.point(&incoming, value, exemplars)
    }

    /// Explicit bounds must rise, and there must be a count for each and one beyond.
    pub(super) fn check_bounds(&self, point: &HistogramDataPoint) -> Result<(), Refusal> {
        let (bounds, counts) = (&point.explicit_bounds, &point.bucket_counts);
        let is_rising = bounds.windows(2).all(|pair| pair[0] < pair[1]);
        let are_numbers = !bounds.iter().any(|bound| bound.is_nan());
        let fits = counts.is_empty() || counts.len() == bounds.len() + 1;
        if is_rising && are_numbers && fits && bounds.len() <= MAX_BUCKETS {
            return Ok(());
        }
        let sentence = format!(
            "metric {:?}: {} bucket_counts, {} explicit_bounds; the bounds must be at most {MAX_BUCKETS} rising numbers, \
             the counts one more",
            self.series.name(),
            counts.len(),
            bounds.len()
        );
        Err(Refusal::new("bad_buckets", sentence))
    }

    /// Checks a point's time and remembers the first and the last.
    pub(super) fn time(&mut self, unix_nano: u64) -> Result<Millis, Refusal> {
        let at = self
            .series
            .context
            .bounds
            .check("time_unix_nano", unix_nano)?;
        let (first, last) = self.times.unwrap_or((at, at));
        self.times = Some((first.min(at), last.max(at)));
        Ok(at.to_millis())
    }

    /// Those exemplars that have a time and a value; the others say nothing.
    pub(super) fn exemplars(&self, exemplars: Vec<OtlpExemplar>) -> Vec<Exemplar> {
        let row = |exemplar: OtlpExemplar| {
            let bounds = self.series.context.bounds;
            let at = bounds
                .check("time_unix_nano", exemplar.time_unix_nano)
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
                attributes: attributes(exemplar.filtered_attributes, self.series.context.limits)
                    .ok()?,
            })
        };
        exemplars.into_iter().filter_map(row).collect()
    }
}

/// One series of a point.
#[derive(Clone, Copy)]
struct Place<'p> {
    /// The key of the point.
    key: u128,
    attributes: &'p [&'p [u8]],
    part: Part,
}

fn sample(at: Millis, value: f64, start: Option<Millis>) -> RawSample {
    RawSample {
        time: at.0,
        value,
        start: start.map_or(0, |start| start.0),
    }
}

/// When a counter began to count; `None` when its sender does not say, or says what cannot be.
pub(super) fn start(unix_nano: u64, at: Millis) -> Option<Millis> {
    let start = Nanos(i64::try_from(unix_nano).ok()?).to_millis();
    (unix_nano != 0 && start < at).then_some(start)
}
