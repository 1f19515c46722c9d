//! Prometheus remote-write: from the bytes of a request straight to columns.
//!
//! Source: Prometheus, "Remote-Write 1.0" and "Remote-Write 2.0" specifications.

mod collect;
mod histogram;
mod incoming;
mod label;
mod v1;
mod v2;

use demarc_store::MetricKind;

pub(crate) use collect::{Collected, Collector, Moment};
pub(crate) use histogram::{MAX_BUCKETS, coarser};
pub(crate) use incoming::{Incoming, PointValue, RawSample};

use crate::{IngestError, Rejected};

/// Longest help and unit that are kept.
const MAX_HELP_BYTES: usize = 4096;

/// Memory that an exemplar takes, about.
const EXEMPLAR_BYTES: usize = 512;

/// Which message a request carries, as its `Content-Type` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteWrite {
    /// `prometheus.WriteRequest`
    V1,
    /// `io.prometheus.write.v2.Request`
    V2,
}

impl RemoteWrite {
    /// The message that `application/x-protobuf; proto=...` names; without `proto` it is the first.
    pub fn of_content_type(content_type: &str) -> Option<Self> {
        let mut parts = content_type.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        // Prometheus takes a request without the header as one of version 1.
        if !media.is_empty() && !media.eq_ignore_ascii_case("application/x-protobuf") {
            return None;
        }
        let mut version = Self::V1;
        for part in parts {
            let (name, value) = part.split_once('=')?;
            if name.trim().eq_ignore_ascii_case("proto") {
                version = match value.trim().trim_matches('"') {
                    "prometheus.WriteRequest" => Self::V1,
                    "io.prometheus.write.v2.Request" => Self::V2,
                    _ => return None,
                };
            }
        }
        Some(version)
    }

    pub(crate) fn read(
        self,
        body: &[u8],
        collector: &mut Collector<'_>,
    ) -> Result<(), IngestError> {
        match self {
            Self::V1 => v1::read(body, collector),
            Self::V2 => v2::read(body, collector),
        }
    }
}

/// What became of a remote-write request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Samples that are durable.
    pub samples: u64,
    /// Histograms that are durable.
    pub histograms: u64,
    /// Exemplars that are durable.
    pub exemplars: u64,
    /// Values that were there already; they count as written.
    pub duplicates: u64,
    /// Values older than the newest of their series, within the window; they are written.
    pub out_of_order: u64,
    /// What was refused, by reason.
    pub rejected: Vec<Rejected>,
}

impl Written {
    /// Why something was refused, in words; empty when nothing was.
    pub fn message(&self) -> String {
        crate::receipt::message(&self.rejected)
    }
}

/// What a sender says of a metric.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Metadata {
    pub(crate) kind: MetricKind,
    pub(crate) unit: String,
    pub(crate) help: String,
}

impl Metadata {
    /// The kind that both versions give the same number to.
    fn kind(code: u64) -> MetricKind {
        match code {
            1 => MetricKind::Counter,
            2 => MetricKind::Gauge,
            3 | 4 => MetricKind::Histogram,
            5 => MetricKind::Summary,
            6 => MetricKind::Info,
            7 => MetricKind::StateSet,
            _ => MetricKind::Unknown,
        }
    }

    /// A number that differs from zero and, but for accidents, between different metadata.
    pub(crate) fn digest(&self) -> u32 {
        let seed = self.kind as u64;
        let help = xxhash_rust::xxh3::xxh3_64_with_seed(self.help.as_bytes(), seed);
        let both = xxhash_rust::xxh3::xxh3_64_with_seed(self.unit.as_bytes(), help);
        (both as u32) | 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_type_names_the_message() {
        let cases = [
            ("", Some(RemoteWrite::V1)),
            ("application/x-protobuf", Some(RemoteWrite::V1)),
            (
                "application/x-protobuf;proto=prometheus.WriteRequest",
                Some(RemoteWrite::V1),
            ),
            (
                "application/x-protobuf; proto=io.prometheus.write.v2.Request",
                Some(RemoteWrite::V2),
            ),
            (
                "application/x-protobuf;proto=io.prometheus.write.v3.Request",
                None,
            ),
            ("application/json", None),
        ];
        for (text, expected) in cases {
            assert_eq!(RemoteWrite::of_content_type(text), expected, "{text:?}");
        }
    }
}
