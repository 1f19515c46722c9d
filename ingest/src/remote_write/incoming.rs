//! Series and their values as senders write them.

use demarc_proto::Labels;
use demarc_store::{Exemplar, Histogram};

use super::Metadata;
use crate::receipt::Refusal;

/// Values of one series as its sender wrote them.
#[derive(Debug, Default)]
pub(super) struct Values {
    pub(super) samples: Vec<RawSample>,
    pub(super) histograms: Vec<Result<(i64, Histogram), Refusal>>,
    pub(super) exemplars: Vec<Result<Exemplar, Refusal>>,
}

impl Values {
    pub(super) fn clear(&mut self) {
        self.samples.clear();
        self.histograms.clear();
        self.exemplars.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.samples.len() + self.histograms.len() + self.exemplars.len()
    }
}

/// One sample as its sender wrote it; times in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RawSample {
    pub(crate) time: i64,
    pub(crate) value: f64,
    /// 0 when the sender does not say.
    pub(crate) start: i64,
}

/// A value of either kind.
#[derive(Debug)]
pub(crate) enum PointValue {
    Sample(RawSample),
    /// With its time in milliseconds.
    Histogram(i64, Box<Histogram>),
}

/// A series as its sender wrote it.
pub(crate) struct Incoming<'a> {
    /// Hash of the bytes of its labels.
    pub(crate) key: u128,
    /// Reads the labels.
    pub(crate) labels: &'a dyn Fn() -> Result<Labels, Refusal>,
    /// What the sender says with the series; `None` when it says it by family, or not at all.
    pub(crate) metadata: Option<&'a dyn Fn() -> Metadata>,
    /// Digest of it, 0 for none.
    pub(crate) digest: u32,
}
