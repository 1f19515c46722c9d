//! OTLP requests: taken in part or refused, by the sender's fault; each item is counted once.

use demarc_ingest::{
    Compression, Encoding, IngestError, Payload, Receipt, Signal, decode_logs, decode_metrics,
    decode_traces,
};
use prost::Message as _;

use crate::Ground;

const TRACES: &str = include_str!("../seeds/traces.json");
const METRICS: &str = include_str!("../seeds/metrics.json");
const LOGS: &str = include_str!("../seeds/logs.json");

pub(crate) fn protobuf(ground: &Ground, signal: Signal, bytes: &[u8]) {
    let receipt = rehearse(ground, signal, Encoding::Protobuf, bytes);
    if let (Some(receipt), Some(items)) = (receipt, items(signal, bytes)) {
        assert_eq!(
            receipt.accepted + receipt.rejected_count().unsigned_abs(),
            items as u64,
            "{receipt:?}"
        );
    }
}

pub(crate) fn json(ground: &Ground, bytes: &[u8]) {
    let Some((kind, body)) = bytes.split_first() else {
        return;
    };
    let signal = match kind % 3 {
        0 => Signal::Traces,
        1 => Signal::Metrics,
        _ => Signal::Logs,
    };
    let receipt = rehearse(ground, signal, Encoding::Json, body);
    // What is read of it is protobuf that every reader takes.
    let decoded = match signal {
        Signal::Logs => decode_logs(Encoding::Json, body).map(drop),
        Signal::Metrics => decode_metrics(Encoding::Json, body).map(drop),
        Signal::Traces | Signal::RemoteWrite => decode_traces(Encoding::Json, body).map(drop),
    };
    let is_repaired = receipt.is_some_and(|receipt| receipt.repaired > 0);
    match decoded {
        Ok(()) | Err(IngestError::Json { .. }) => {}
        Err(error) => assert!(is_repaired, "{error:?}"),
    }
}

fn rehearse(ground: &Ground, signal: Signal, encoding: Encoding, body: &[u8]) -> Option<Receipt> {
    let payload = Payload {
        encoding,
        compression: Compression::Identity,
        body: body.to_vec().into(),
        admission: ground.ingest.admission(),
    };
    let outcome = ground.ingest.rehearse_otlp(&ground.tenant, signal, payload);
    match outcome {
        Ok(receipt) => Some(receipt),
        Err(error) => {
            let is_ours = matches!(error, IngestError::Store(_) | IngestError::Task { .. });
            assert!(!is_ours && !error.is_retryable(), "{error:?}");
            None
        }
    }
}

/// How many spans or records there are, by somebody else's decoder; `None` when it refuses the request, and for points,
/// of which some become several rows.
fn items(signal: Signal, bytes: &[u8]) -> Option<usize> {
    match signal {
        Signal::Traces => {
            let request = decode_traces(Encoding::Protobuf, bytes).ok()?;
            let scopes = request
                .resource_spans
                .iter()
                .flat_map(|one| &one.scope_spans);
            Some(scopes.map(|scope| scope.spans.len()).sum())
        }
        Signal::Logs => {
            let request = decode_logs(Encoding::Protobuf, bytes).ok()?;
            let scopes = request.resource_logs.iter().flat_map(|one| &one.scope_logs);
            Some(scopes.map(|scope| scope.log_records.len()).sum())
        }
        Signal::Metrics | Signal::RemoteWrite => None,
    }
}

pub(crate) fn traces() -> Vec<u8> {
    let request = decode_traces(Encoding::Json, TRACES.as_bytes());
    request.expect("the seed is good").encode_to_vec()
}

pub(crate) fn metrics() -> Vec<u8> {
    let request = decode_metrics(Encoding::Json, METRICS.as_bytes());
    request.expect("the seed is good").encode_to_vec()
}

pub(crate) fn logs() -> Vec<u8> {
    let request = decode_logs(Encoding::Json, LOGS.as_bytes());
    request.expect("the seed is good").encode_to_vec()
}

pub(crate) fn json_seeds() -> Vec<Vec<u8>> {
    let texts = [TRACES, METRICS, LOGS];
    let seeds = texts.iter().enumerate().map(|(kind, text)| {
        let kind = u8::try_from(kind).expect("there are three");
        [&[kind], text.as_bytes()].concat()
    });
    seeds.collect()
}
