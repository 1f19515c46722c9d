//! `io.prometheus.write.v2.Request`: texts stand once in a table of symbols, and series refer to them.

use demarc_store::Exemplar;
use xxhash_rust::xxh3::xxh3_128;

use super::{
    EXEMPLAR_BYTES, MAX_HELP_BYTES, Metadata,
    collect::Collector,
    histogram,
    incoming::{Incoming, RawSample},
    label::labels,
    v1::NewExemplar,
};
use crate::{
    IngestError, WireError,
    attribute::start_of,
    receipt::Refusal,
    wire::{Value, Wire},
};

/// Most symbols of one request. Prometheus sends at most a few thousand series, so a few ten thousand symbols.
const MAX_SYMBOLS: usize = 1 << 20;

/// The table of texts, each with its hash.
#[derive(Debug, Default)]
struct Symbols<'a> {
    texts: Vec<&'a [u8]>,
    hashes: Vec<u128>,
}

pub(super) fn read(body: &[u8], collector: &mut Collector<'_>) -> Result<(), IngestError> {
    let symbols = Symbols::read(body)?;
    let mut scratch = Scratch::default();
    let mut request = Wire::new(body);
    while let Some((field, value)) = request.next()? {
        if field == 5 {
            series(value.bytes(5)?, &symbols, collector, &mut scratch)?;
        }
    }
    Ok(())
}

impl<'a> Symbols<'a> {
    /// They may stand after the series that refer to them.
    fn read(body: &'a [u8]) -> Result<Self, WireError> {
        let mut symbols = Self::default();
        let mut request = Wire::new(body);
        while let Some((field, value)) = request.next()? {
            if field != 4 {
                continue;
            }
            if symbols.texts.len() == MAX_SYMBOLS {
                let (what, limit) = ("symbols", MAX_SYMBOLS);
                return Err(WireError::TooMany { what, limit });
            }
            let text = value.bytes(4)?;
            symbols.texts.push(text);
            symbols.hashes.push(xxh3_128(text));
        }
        Ok(symbols)
    }

    fn text(&self, reference: u64) -> Result<&'a [u8], Refusal> {
        let found = usize::try_from(reference)
            .ok()
            .and_then(|at| self.texts.get(at));
        found.copied().ok_or_else(|| self.no_symbol(reference))
    }

    fn no_symbol(&self, reference: u64) -> Refusal {
        let sentence = format!(
            "symbol {reference}: the request has {} of them",
            self.texts.len()
        );
        Refusal::new("bad_symbol", sentence)
    }

    /// The hash of the texts that `references` name.
    fn key(&self, references: &[u64], scratch: &mut Vec<u8>) -> Result<u128, Refusal> {
        if references.is_empty() || !references.len().is_multiple_of(2) {
            let sentence = format!(
                "labels_refs: {} of them; must be pairs of name and value, at least one",
                references.len()
            );
            return Err(Refusal::new("bad_label", sentence));
        }
        scratch.clear();
        for reference in references {
            let found = usize::try_from(*reference)
                .ok()
                .and_then(|at| self.hashes.get(at));
            let hash = found.ok_or_else(|| self.no_symbol(*reference))?;
            scratch.extend_from_slice(&hash.to_le_bytes());
        }
        Ok(xxh3_128(scratch))
    }

    fn pairs(
        &self,
        references: &[u64],
    ) -> impl Iterator<Item = Result<(&'a [u8], &'a [u8]), Refusal>> {
        references
            .chunks_exact(2)
            .map(|pair| Ok((self.text(pair[0])?, self.text(pair[1])?)))
    }
}

/// Memory that series use one after the other.
#[derive(Debug, Default)]
struct Scratch {
    references: Vec<u64>,
    hashes: Vec<u8>,
}

/// What a series says of its metric: numbers of the type and of the symbols for help and unit.
#[derive(Clone, Copy, Debug, Default)]
struct MetadataRefs {
    kind: u64,
    help: u64,
    unit: u64,
}

fn series(
    bytes: &[u8],
    symbols: &Symbols<'_>,
    collector: &mut Collector<'_>,
    scratch: &mut Scratch,
) -> Result<(), IngestError> {
    scratch.references.clear();
    let mut metadata = MetadataRefs::default();
    let mut message = Wire::new(bytes);
    while let Some((field, value)) = message.next()? {
        match field {
            1 => value.each_varint(1, |reference| scratch.references.push(reference))?,
            2 => collector.sample_read(sample(value.bytes(2)?)?)?,
            3 => {
                let histogram = histogram::read(value.bytes(3)?)?;
                collector.weigh(histogram::memory_bytes(&histogram))?;
                collector.values.histograms.push(histogram);
            }
            4 => {
                let exemplar = exemplar(value.bytes(4)?, symbols)?;
                collector.weigh(EXEMPLAR_BYTES)?;
                collector.values.exemplars.push(exemplar);
            }
            5 => metadata = metadata_refs(value.bytes(5)?)?,
            _ => {}
        }
    }
    collect(symbols, metadata, collector, scratch);
    Ok(())
}

fn collect(
    symbols: &Symbols<'_>,
    metadata: MetadataRefs,
    collector: &mut Collector<'_>,
    scratch: &mut Scratch,
) {
    if collector.values.samples.is_empty() && collector.values.histograms.is_empty() {
        let sentence = "series: must have a sample or a histogram".to_owned();
        collector.refuse_series(Refusal::new("no_samples", sentence));
        return;
    }
    let key = match symbols.key(&scratch.references, &mut scratch.hashes) {
        Ok(key) => key,
        Err(refusal) => return collector.refuse_series(refusal),
    };
    let limits = collector.limits;
    let references = &scratch.references;
    let said = || Metadata {
        kind: Metadata::kind(metadata.kind),
        unit: symbols.said(metadata.unit),
        help: symbols.said(metadata.help),
    };
    let is_said = metadata.kind != 0 || metadata.help != 0 || metadata.unit != 0;
    collector.series(&Incoming {
        key,
        labels: &|| labels(symbols.pairs(references), limits),
        metadata: is_said.then_some(&said),
        digest: if is_said { symbols.digest(metadata) } else { 0 },
    });
}

impl Symbols<'_> {
    /// A text of metadata; reference 0 is the empty one.
    fn said(&self, reference: u64) -> String {
        let text = match reference {
            0 => &[],
            _ => self.text(reference).unwrap_or_default(),
        };
        start_of(&String::from_utf8_lossy(text), MAX_HELP_BYTES).to_owned()
    }

    /// Not zero.
    fn digest(&self, metadata: MetadataRefs) -> u32 {
        let hash = |reference: u64| match usize::try_from(reference) {
            Ok(at @ 1..) => self.hashes.get(at).map_or(0, |hash| *hash as u32),
            _ => 0,
        };
        let mixed = hash(metadata.help).rotate_left(11) ^ hash(metadata.unit);
        mixed.wrapping_mul(31).wrapping_add(metadata.kind as u32) | 1
    }
}

#[inline]
fn sample(bytes: &[u8]) -> Result<RawSample, WireError> {
    let mut sample = RawSample::default();
    let mut message = Wire::new(bytes);
    while let Some((field, value)) = message.next()? {
        match field {
            1 => sample.value = value.double(1)?,
            2 => sample.time = value.int64(2)?,
            3 => sample.start = value.int64(3)?,
            _ => {}
        }
    }
    Ok(sample)
}

fn metadata_refs(bytes: &[u8]) -> Result<MetadataRefs, WireError> {
    let mut metadata = MetadataRefs::default();
    let mut message = Wire::new(bytes);
    while let Some((field, value)) = message.next()? {
        match field {
            1 => metadata.kind = value.varint(1)?,
            3 => metadata.help = value.varint(3)?,
            4 => metadata.unit = value.varint(4)?,
            _ => {}
        }
    }
    Ok(metadata)
}

fn exemplar(bytes: &[u8], symbols: &Symbols<'_>) -> Result<Result<Exemplar, Refusal>, WireError> {
    let mut found = NewExemplar::default();
    let mut references: Vec<u64> = Vec::new();
    let mut message = Wire::new(bytes);
    while let Some((field, value)) = message.next()? {
        match field {
            1 => collect_refs(value, &mut references)?,
            _ => found.field(field, value)?,
        }
    }
    if !references.len().is_multiple_of(2) {
        let sentence = "labels_refs of an exemplar: must be pairs of name and value".to_owned();
        found.refuse(Refusal::new("bad_exemplar", sentence));
    }
    for pair in symbols.pairs(&references) {
        match pair {
            Ok((name, text)) => found.label(name, text),
            Err(refusal) => found.refuse(refusal),
        }
    }
    Ok(found.finish())
}

fn collect_refs(value: Value<'_>, references: &mut Vec<u64>) -> Result<(), WireError> {
    value.each_varint(1, |reference| references.push(reference))
}
