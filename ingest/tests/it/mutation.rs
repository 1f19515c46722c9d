//! Requests that were good once, with bytes changed: every decoder has an answer, and none of them is the store's fault.

use std::io::Write as _;

use bytes::Bytes;
use demarc_ingest::{Compression, Encoding, IngestError, Payload, RemoteWrite, Signal};
use demarc_proto::TenantId;
use demarc_proto::otlp::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
    trace::v1::ExportTraceServiceRequest,
};
use prost::Message as _;

use crate::{
    bed::Bed,
    remote_write::{NOW_MS, request, series},
};

/// How often each seed is changed.
const ROUNDS: usize = 1500;

/// Numbers that look like chance and are the same every time. Source: Marsaglia, "Xorshift RNGs".
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }

    /// Changes, drops, doubles or adds some bytes.
    fn mutate(&mut self, seed: &[u8]) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(6) {
                0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                1 if !bytes.is_empty() => bytes[at] = self.below(256) as u8,
                2 => bytes.truncate(at),
                3 => bytes.insert(at, self.below(256) as u8),
                4 => {
                    let to = (at + self.below(16)).min(bytes.len());
                    let piece = bytes[at.min(to)..to].to_vec();
                    bytes.splice(at.min(to)..at.min(to), piece);
                }
                _ => bytes.extend_from_slice(&[0xff; 9]),
            }
        }
        bytes
    }
}

fn is_the_senders_fault<T>(outcome: Result<T, IngestError>, body: &[u8]) {
    if let Err(error) = outcome {
        let is_ours = matches!(error, IngestError::Store(_) | IngestError::Task { .. });
        assert!(
            !is_ours && !error.is_retryable(),
            "{error:?} for {body:02x?}"
        );
    }
}

/// The cases of the golden tests, in both encodings.
fn seeds() -> Vec<(Signal, Encoding, Vec<u8>)> {
    let mut seeds = Vec::new();
    for entry in std::fs::read_dir("tests/otlp").unwrap() {
        let case = entry.unwrap().path();
        for (file, signal) in [
            ("traces.json", Signal::Traces),
            ("metrics.json", Signal::Metrics),
            ("logs.json", Signal::Logs),
        ] {
            let Ok(body) = std::fs::read(case.join(file)) else {
                continue;
            };
            let binary = match signal {
                Signal::Traces => serde_json::from_slice::<ExportTraceServiceRequest>(&body)
                    .unwrap()
                    .encode_to_vec(),
                Signal::Metrics => serde_json::from_slice::<ExportMetricsServiceRequest>(&body)
                    .unwrap()
                    .encode_to_vec(),
                _ => serde_json::from_slice::<ExportLogsServiceRequest>(&body)
                    .unwrap()
                    .encode_to_vec(),
            };
            seeds.push((signal, Encoding::Protobuf, binary));
            seeds.push((signal, Encoding::Json, body));
        }
    }
    seeds
}

#[tokio::test]
async fn otlp_has_an_answer_for_everything() {
    let bed = Bed::new().await;
    let tenant = TenantId::default();
    let mut chance = Chance(0x2545_f491_4f6c_dd1d);
    let seeds = seeds();
    for round in 0..ROUNDS {
        let (signal, encoding, seed) = &seeds[round % seeds.len()];
        let body = chance.mutate(seed);
        let payload = Payload {
            encoding: *encoding,
            compression: Compression::Identity,
            body: Bytes::from(body.clone()),
            admission: bed.ingest.admission(),
        };
        is_the_senders_fault(bed.ingest.otlp(&tenant, *signal, payload).await, &body);
    }
}

#[tokio::test]
async fn remote_write_has_an_answer_for_everything() {
    let bed = Bed::new().await;
    let tenant = TenantId::default();
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let labels = [("__name__", "up"), ("job", "node"), ("instance", "a:9100")];
    let plain = request(&[series(&labels, &[(NOW_MS, 1.0), (NOW_MS + 1, 2.0)])]);
    let histograms = crate::remote_write::histograms();
    for round in 0..ROUNDS {
        let seed = if round % 2 == 0 { &plain } else { &histograms };
        let plain = chance.mutate(seed.bytes());
        let mut body = snap::raw::Encoder::new().compress_vec(&plain).unwrap();
        if round % 5 == 0 {
            body = chance.mutate(&body);
        }
        for version in [RemoteWrite::V1, RemoteWrite::V2] {
            let admission = bed.ingest.admission();
            let sent = Bytes::from(body.clone());
            let outcome = bed
                .ingest
                .remote_write(&tenant, version, sent, admission)
                .await;
            is_the_senders_fault(outcome, &plain);
        }
    }
}

#[test]
fn decompression_has_an_answer_for_everything() {
    let mut chance = Chance(0xd1b5_4a32_d192_ed03);
    let plain = b"abc".repeat(1000);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let seeds = [
        (Compression::Gzip, gzip.finish().unwrap()),
        (
            Compression::Zstd,
            zstd::stream::encode_all(plain.as_slice(), 3).unwrap(),
        ),
        (
            Compression::Snappy,
            snap::raw::Encoder::new().compress_vec(&plain).unwrap(),
        ),
    ];
    for (compression, seed) in &seeds {
        assert_eq!(
            compression.decompress(seed, 3000, &mut |_| Ok(())).unwrap(),
            plain
        );
        assert!(matches!(
            compression.decompress(seed, 2999, &mut |_| Ok(())),
            Err(IngestError::TooLarge { .. })
        ));
        for _ in 0..ROUNDS {
            let body = chance.mutate(seed);
            is_the_senders_fault(
                compression.decompress(&body, 100_000, &mut |_| Ok(())),
                &body,
            );
        }
    }
}
