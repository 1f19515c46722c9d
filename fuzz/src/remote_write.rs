//! Remote-write requests: taken in part or refused, by the sender's fault; each value is counted once.

use demarc_ingest::{IngestError, RemoteWrite};
use prost::Message;

use crate::{Ground, ground::NOW};

pub(crate) fn run(ground: &Ground, version: RemoteWrite, plain: &[u8]) {
    let Ok(body) = snap::raw::Encoder::new().compress_vec(plain) else {
        return;
    };
    let (ingest, tenant) = (&ground.ingest, &ground.tenant);
    let outcome = ingest.rehearse_remote_write(tenant, version, body.into(), ingest.admission());
    match outcome {
        Ok(written) => {
            let taken = written.samples + written.histograms + written.exemplars;
            // What is said of a metric family is no value.
            let rejected = written.rejected.iter();
            let of_values = rejected.filter(|one| one.reason != "bad_metadata");
            let refused: u64 = of_values.map(|one| one.count).sum();
            if let Some(values) = values(version, plain) {
                // A series without any value is refused as one thing where it is bad, and no thing where it is good.
                let counted = taken + refused;
                assert!(
                    counted >= values.all && counted <= values.all + values.empty_series,
                    "{written:?} of {values:?}"
                );
            }
        }
        Err(error) => {
            let is_ours = matches!(error, IngestError::Store(_) | IngestError::Task { .. });
            assert!(!is_ours && !error.is_retryable(), "{error:?}");
        }
    }
}

/// What a request holds.
#[derive(Debug, Default)]
struct Values {
    all: u64,
    empty_series: u64,
}

/// By somebody else's decoder; `None` when it refuses the request.
fn values(version: RemoteWrite, plain: &[u8]) -> Option<Values> {
    let counts: Vec<usize> = match version {
        RemoteWrite::V1 => {
            let request = WriteRequest::decode(plain).ok()?;
            let series = request.timeseries.iter();
            series
                .map(|one| one.samples.len() + one.exemplars.len() + one.histograms.len())
                .collect()
        }
        RemoteWrite::V2 => {
            let request = Request::decode(plain).ok()?;
            let series = request.timeseries.iter();
            series
                .map(|one| one.samples.len() + one.exemplars.len() + one.histograms.len())
                .collect()
        }
    };
    let mut values = Values::default();
    for count in counts {
        values.all += count as u64;
        values.empty_series += u64::from(count == 0);
    }
    Some(values)
}

/// `prometheus.WriteRequest`
#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<Metadata>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    exemplars: Vec<Exemplar>,
    #[prost(message, repeated, tag = "4")]
    histograms: Vec<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(bytes = "vec", tag = "1")]
    name: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// Of both versions; only the second has starts.
#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
    #[prost(int64, tag = "3")]
    start: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Exemplar {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(double, tag = "2")]
    value: f64,
    #[prost(int64, tag = "3")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Histogram {
    #[prost(uint64, tag = "1")]
    count: u64,
    #[prost(double, tag = "3")]
    sum: f64,
    #[prost(sint32, tag = "4")]
    schema: i32,
    #[prost(double, tag = "5")]
    zero_threshold: f64,
    #[prost(uint64, tag = "6")]
    zero_count: u64,
    #[prost(message, repeated, tag = "11")]
    positive_spans: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "12")]
    positive_deltas: Vec<i64>,
    #[prost(int64, tag = "15")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct BucketSpan {
    #[prost(sint32, tag = "1")]
    offset: i32,
    #[prost(uint32, tag = "2")]
    length: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(bytes = "vec", tag = "2")]
    family: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    help: Vec<u8>,
}

/// `io.prometheus.write.v2.Request`
#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(bytes = "vec", repeated, tag = "4")]
    symbols: Vec<Vec<u8>>,
    #[prost(message, repeated, tag = "5")]
    timeseries: Vec<TimeSeriesV2>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeriesV2 {
    #[prost(uint32, repeated, tag = "1")]
    labels_refs: Vec<u32>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    histograms: Vec<Histogram>,
    #[prost(message, repeated, tag = "4")]
    exemplars: Vec<ExemplarV2>,
    #[prost(message, optional, tag = "5")]
    metadata: Option<MetadataV2>,
}

#[derive(Clone, PartialEq, Message)]
struct ExemplarV2 {
    #[prost(uint32, repeated, tag = "1")]
    labels_refs: Vec<u32>,
    #[prost(double, tag = "2")]
    value: f64,
    #[prost(int64, tag = "3")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct MetadataV2 {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(uint32, tag = "3")]
    help_ref: u32,
}

/// Now, in milliseconds.
const NOW_MS: i64 = NOW.0 / 1_000_000;

fn label(name: &str, value: &str) -> Label {
    Label {
        name: name.into(),
        value: value.into(),
    }
}

fn sample(offset_ms: i64, value: f64) -> Sample {
    Sample {
        value,
        timestamp: NOW_MS + offset_ms,
        start: 0,
    }
}

fn histogram() -> Histogram {
    let span = |offset, length| BucketSpan { offset, length };
    Histogram {
        count: 6,
        sum: 18.4,
        schema: 1,
        zero_threshold: 0.001,
        zero_count: 1,
        positive_spans: vec![span(0, 2), span(1, 1)],
        positive_deltas: vec![1, 1, 0],
        timestamp: NOW_MS,
    }
}

pub(crate) fn version_1() -> Vec<u8> {
    let exemplar = Exemplar {
        labels: vec![label("trace_id", "0102030405060708090a0b0c0d0e0f10")],
        value: 1.0,
        timestamp: NOW_MS,
    };
    let series = |name, samples, histograms| TimeSeries {
        labels: vec![label("__name__", name), label("job", "node")],
        samples,
        exemplars: vec![exemplar.clone()],
        histograms,
    };
    let metadata = Metadata {
        kind: 1,
        family: b"jobs_total".to_vec(),
        help: b"Jobs done.".to_vec(),
    };
    let request = WriteRequest {
        timeseries: vec![
            series("jobs_total", vec![sample(0, 1.0), sample(1, 2.0)], vec![]),
            series("latency", vec![], vec![histogram()]),
        ],
        metadata: vec![metadata],
    };
    request.encode_to_vec()
}

pub(crate) fn version_2() -> Vec<u8> {
    let texts = [
        "",
        "__name__",
        "jobs_total",
        "job",
        "node",
        "Jobs done.",
        "latency",
    ];
    let exemplar = ExemplarV2 {
        labels_refs: vec![3, 4],
        value: 1.0,
        timestamp: NOW_MS,
    };
    let series = |name, samples, histograms| TimeSeriesV2 {
        labels_refs: vec![1, name, 3, 4],
        samples,
        histograms,
        exemplars: vec![exemplar.clone()],
        metadata: Some(MetadataV2 {
            kind: 1,
            help_ref: 5,
        }),
    };
    let started = Sample {
        start: NOW_MS - 60_000,
        ..sample(0, 7.0)
    };
    let request = Request {
        symbols: texts.map(|text| text.as_bytes().to_vec()).into(),
        timeseries: vec![
            series(2, vec![started], vec![]),
            series(6, vec![], vec![histogram()]),
        ],
    };
    request.encode_to_vec()
}
