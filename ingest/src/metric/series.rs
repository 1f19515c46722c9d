//! The series that points belong to: found by a hash of what names them, named in full only when they are new.

use demarc_proto::{Labels, METRIC_NAME};
use xxhash_rust::xxh3::{xxh3_128, xxh3_128_with_seed};

use super::{MetricContext, joined};
use crate::{
    Signal,
    attribute::{Bad, cut, typed},
    naming::Suffix,
    receipt::Refusal,
    remote_write::Metadata,
};

/// One metric of one scope of one resource.
pub(super) struct Series<'a, 'c> {
    pub(super) context: &'a MetricContext<'c>,
    /// Labels that the scope gives to each of its series.
    scope: Vec<(String, String)>,
    name: String,
    metadata: Metadata,
    digest: u32,
    /// Hash of all of the above.
    key: u128,
    scratch: Vec<u8>,
}

/// Which of the series that one point makes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Whole,
    /// Up to this bound.
    Bucket(f64),
    Quantile(f64),
    Sum,
    Count,
}

impl Part {
    fn suffix(self) -> &'static str {
        match self {
            Self::Whole | Self::Quantile(_) => "",
            Self::Bucket(_) => "_bucket",
            Self::Sum => "_sum",
            Self::Count => "_count",
        }
    }

    fn label(self) -> Option<(&'static str, String)> {
        match self {
            Self::Bucket(f64::INFINITY) => Some(("le", "+Inf".to_owned())),
            Self::Bucket(bound) => Some(("le", bound.to_string())),
            Self::Quantile(quantile) => Some(("quantile", quantile.to_string())),
            Self::Whole | Self::Sum | Self::Count => None,
        }
    }

    /// Adds to the key of a point what tells its series apart.
    pub(super) fn key(self, point: u128) -> u128 {
        let (kind, number) = match self {
            Self::Whole => return point,
            Self::Bucket(bound) => (1, bound),
            Self::Quantile(quantile) => (2, quantile),
            Self::Sum => (3, 0.0),
            Self::Count => (4, 0.0),
        };
        let mut bytes = [0; 24];
        bytes[..16].copy_from_slice(&point.to_le_bytes());
        bytes[16..].copy_from_slice(&number.to_bits().to_le_bytes());
        xxh3_128_with_seed(&bytes, kind)
    }
}

impl<'a, 'c> Series<'a, 'c> {
    pub(super) fn new(context: &'a MetricContext<'c>) -> Self {
        Self {
            context,
            scope: Vec::new(),
            name: String::new(),
            metadata: Metadata::default(),
            digest: 0,
            key: 0,
            scratch: Vec::new(),
        }
    }

    /// The metrics that follow belong to a scope with these labels.
    pub(super) fn set_scope(&mut self, labels: Vec<(String, String)>) {
        self.scope = labels;
    }

    /// The points that follow belong to the metric `name`.
    pub(super) fn set_metric(&mut self, name: &str, suffix: Suffix, metadata: Metadata) {
        let strategy = self.context.otlp.translation_strategy;
        let name = strategy.metric_name(name, &metadata.unit, suffix);
        self.name = cut(name, self.context.limits.max_value_bytes);
        self.digest = metadata.digest();
        self.metadata = metadata;
        self.scratch.clear();
        self.scratch
            .extend_from_slice(&self.context.key.to_le_bytes());
        push(&mut self.scratch, self.name.as_bytes());
        for (name, value) in &self.scope {
            push(&mut self.scratch, name.as_bytes());
            push(&mut self.scratch, value.as_bytes());
        }
        self.key = xxh3_128(&self.scratch);
    }

    /// The metric's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn metadata(&self) -> Metadata {
        self.metadata.clone()
    }

    /// Digest of the metadata.
    pub(super) fn digest(&self) -> u32 {
        self.digest
    }

    /// Hash of the metric and of a point's attributes, as they are written and in the order in which they came.
    pub(super) fn point_key(&mut self, attributes: &[&[u8]]) -> u128 {
        self.scratch.clear();
        self.scratch.extend_from_slice(&self.key.to_le_bytes());
        for pair in attributes {
            self.scratch
                .extend_from_slice(&(pair.len() as u64).to_le_bytes());
            self.scratch.extend_from_slice(pair);
        }
        xxh3_128(&self.scratch)
    }

    /// The labels of a series: the point's attributes, those of scope and resource, the metric's name.
    pub(super) fn labels(&self, pairs: &[&[u8]], part: Part) -> Result<Labels, Refusal> {
        let context = self.context;
        let point = typed(pairs, (Signal::Metrics, context.limits)).map_err(|bad| match bad {
            Bad::Row(refusal) => refusal,
            Bad::Request(error) => Refusal::new("bad_attribute", format!("attributes: {error}")),
        })?;
        let named = point
            .iter()
            .map(|(key, value)| (context.otlp.label_name(key), value.text()));
        let mut labels = joined(named);
        for (name, value) in context.base.iter().chain(&self.scope) {
            labels.entry(name.clone()).or_insert_with(|| value.clone());
        }
        // Who sends it is not for a point to say.
        labels.extend(context.identity.iter().cloned());
        labels.insert(
            METRIC_NAME.to_owned(),
            format!("{}{}", self.name, part.suffix()),
        );
        labels.extend(part.label().map(|(name, value)| (name.to_owned(), value)));
        Ok(Labels::from_pairs(labels))
    }
}

fn push(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(text);
    // 0xff cannot occur in UTF-8, so no two lists of texts share these bytes.
    out.push(0xff);
}
