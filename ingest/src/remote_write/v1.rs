//! `prometheus.WriteRequest`: each series carries its labels as text.

use demarc_proto::{Attributes, Millis, SpanId, TraceId};
use demarc_store::Exemplar;
use xxhash_rust::xxh3::xxh3_128;

use super::{
    EXEMPLAR_BYTES, MAX_HELP_BYTES, Metadata,
    collect::Collector,
    histogram,
    incoming::{Incoming, RawSample},
    label::labels,
};
use crate::{
    IngestError, WireError,
    attribute::start_of,
    receipt::Refusal,
    wire::{Value, Wire},
};

pub(super) fn read(body: &[u8], collector: &mut Collector<'_>) -> Result<(), IngestError> {
    let mut scratch = Vec::new();
    let mut request = Wire::new(body);
    while let Some((field, value)) = request.next()? {
        match field {
            1 => series(value.bytes(1)?, collector, &mut scratch)?,
            3 => metadata(value.bytes(3)?, collector)?,
            _ => {}
        }
    }
    Ok(())
}

/// `scratch` holds the labels of a series that writes them in several places.
fn series(
    bytes: &[u8],
    collector: &mut Collector<'_>,
    scratch: &mut Vec<u8>,
) -> Result<(), IngestError> {
    let mut message = Wire::new(bytes);
    // Where the labels stand, and whether anything else stands between them.
    let (mut first, mut last, mut is_scattered) = (0, 0, false);
    loop {
        let at = bytes.len() - message.remaining();
        let Some((field, value)) = message.next()? else {
            break;
        };
        match field {
            1 => {
                value.bytes(1)?;
                if last == 0 {
                    first = at;
                } else if last != at {
                    is_scattered = true;
                }
                last = bytes.len() - message.remaining();
            }
            2 => collector.sample_read(sample(value.bytes(2)?)?)?,
            3 => {
                let exemplar = exemplar(value.bytes(3)?)?;
                collector.weigh(EXEMPLAR_BYTES)?;
                collector.values.exemplars.push(exemplar);
            }
            4 => {
                let histogram = histogram::read(value.bytes(4)?)?;
                collector.weigh(histogram::memory_bytes(&histogram))?;
                collector.values.histograms.push(histogram);
            }
            _ => {}
        }
    }
    let written = if is_scattered {
        gather(bytes, scratch)?;
        scratch.as_slice()
    } else {
        &bytes[first..last]
    };
    collect(written, collector);
    Ok(())
}

fn collect(written: &[u8], collector: &mut Collector<'_>) {
    let limits = collector.limits;
    collector.series(&Incoming {
        key: xxh3_128(written),
        labels: &|| labels(pairs(written), limits),
        metadata: None,
        digest: 0,
    });
}

/// The label fields of a series, one after the other.
fn gather(bytes: &[u8], scratch: &mut Vec<u8>) -> Result<(), WireError> {
    scratch.clear();
    let mut message = Wire::new(bytes);
    loop {
        let at = bytes.len() - message.remaining();
        match message.next()? {
            None => return Ok(()),
            Some((1, _)) => {
                let end = bytes.len() - message.remaining();
                scratch.extend_from_slice(&bytes[at..end]);
            }
            Some(_) => {}
        }
    }
}

/// Name and value of each label in a stretch of label fields.
fn pairs(written: &[u8]) -> impl Iterator<Item = Result<(&[u8], &[u8]), Refusal>> {
    let mut fields = Wire::new(written);
    std::iter::from_fn(move || {
        let label = match fields.next() {
            Ok(None) => return None,
            Ok(Some((field, value))) => value.bytes(field).and_then(pair),
            Err(error) => Err(error),
        };
        Some(label.map_err(|error| Refusal::new("bad_label", format!("label: {error}"))))
    })
}

fn pair(label: &[u8]) -> Result<(&[u8], &[u8]), WireError> {
    let (mut name, mut text): (&[u8], &[u8]) = (&[], &[]);
    let mut message = Wire::new(label);
    while let Some((field, value)) = message.next()? {
        match field {
            1 => name = value.bytes(1)?,
            2 => text = value.bytes(2)?,
            _ => {}
        }
    }
    Ok((name, text))
}

#[inline]
fn sample(bytes: &[u8]) -> Result<RawSample, WireError> {
    let mut sample = RawSample::default();
    let mut message = Wire::new(bytes);
    while let Some((field, value)) = message.next()? {
        match field {
            1 => sample.value = value.double(1)?,
            2 => sample.time = value.int64(2)?,
            _ => {}
        }
    }
    Ok(sample)
}

fn exemplar(bytes: &[u8]) -> Result<Result<Exemplar, Refusal>, WireError> {
    let mut found = NewExemplar::default();
    let mut message = Wire::new(bytes);
    while let Some((field, value)) = message.next()? {
        match field {
            1 => {
                let (name, text) = pair(value.bytes(1)?)?;
                found.label(name, text);
            }
            _ => found.field(field, value)?,
        }
    }
    Ok(found.finish())
}

/// An exemplar while it is read; both versions share all but the labels.
#[derive(Debug, Default)]
pub(super) struct NewExemplar {
    trace_id: Option<TraceId>,
    span_id: Option<SpanId>,
    attributes: Attributes,
    value: f64,
    time: i64,
    refusal: Option<Refusal>,
}

/// Most labels of one exemplar, and most bytes of them: room for ids and a few words. Prometheus takes 128 characters.
const MAX_EXEMPLAR_LABELS: usize = 64;
const MAX_EXEMPLAR_BYTES: usize = 4096;

impl NewExemplar {
    pub(super) fn label(&mut self, name: &[u8], text: &[u8]) {
        let (Ok(name), Ok(text)) = (std::str::from_utf8(name), std::str::from_utf8(text)) else {
            let sentence = "label of an exemplar: must be UTF-8".to_owned();
            self.refuse(Refusal::new("invalid_utf8", sentence));
            return;
        };
        match name {
            "trace_id" | "traceID" if TraceId::from_hex(text).is_ok() => {
                self.trace_id = TraceId::from_hex(text).ok();
            }
            "span_id" | "spanID" if SpanId::from_hex(text).is_ok() => {
                self.span_id = SpanId::from_hex(text).ok();
            }
            _ if self.attributes.len() >= MAX_EXEMPLAR_LABELS
                || text.len() + name.len() > MAX_EXEMPLAR_BYTES =>
            {
                let sentence = format!(
                    "labels of an exemplar: at most {MAX_EXEMPLAR_LABELS}, each of at most {MAX_EXEMPLAR_BYTES} bytes"
                );
                self.refuse(Refusal::new("bad_exemplar", sentence));
            }
            _ => self.attributes.set(name, text.into()),
        }
    }

    pub(super) fn field(&mut self, field: u32, value: Value<'_>) -> Result<(), WireError> {
        match field {
            2 => self.value = value.double(2)?,
            3 => self.time = value.int64(3)?,
            _ => {}
        }
        Ok(())
    }

    pub(super) fn refuse(&mut self, refusal: Refusal) {
        self.refusal.get_or_insert(refusal);
    }

    pub(super) fn finish(self) -> Result<Exemplar, Refusal> {
        if let Some(refusal) = self.refusal {
            return Err(refusal);
        }
        Ok(Exemplar {
            time: Millis(self.time),
            value: self.value,
            trace_id: self.trace_id,
            span_id: self.span_id,
            attributes: self.attributes,
        })
    }
}

fn metadata(bytes: &[u8], collector: &mut Collector<'_>) -> Result<(), WireError> {
    let mut family: &[u8] = &[];
    let mut metadata = Metadata::default();
    let mut message = Wire::new(bytes);
    while let Some((field, value)) = message.next()? {
        match field {
            1 => metadata.kind = Metadata::kind(value.varint(1)?),
            2 => family = value.bytes(2)?,
            4 => metadata.help = text(4, value)?,
            5 => metadata.unit = text(5, value)?,
            _ => {}
        }
    }
    let family = std::str::from_utf8(family).map_err(|_| WireError::Utf8(2))?;
    collector.set_metadata(family, metadata);
    Ok(())
}

fn text(field: u32, value: Value<'_>) -> Result<String, WireError> {
    let text = std::str::from_utf8(value.bytes(field)?).map_err(|_| WireError::Utf8(field))?;
    Ok(start_of(text, MAX_HELP_BYTES).to_owned())
}
