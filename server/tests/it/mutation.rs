//! Payloads that were good once, thousands of them with bytes changed, to every way in: nothing ends the server, and
//! nothing is blamed on it.

use demarc_proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde_json::Value;

use crate::harness::{Server, folder, gauge, span};

/// Numbers that look like chance and are the same every time. Source: Marsaglia, "Xorshift RNGs".
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }

    /// Changes, drops, doubles or adds some bytes.
    pub(crate) fn mutate(&mut self, seed: &[u8]) -> Vec<u8> {
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

struct Way {
    url: String,
    headers: &'static [(&'static str, &'static str)],
    seed: Vec<u8>,
}

fn protobuf<M: Message + serde::de::DeserializeOwned>(body: &Value) -> Vec<u8> {
    serde_json::from_value::<M>(body.clone())
        .unwrap()
        .encode_to_vec()
}

/// A `prometheus.WriteRequest` with one sample of `jobs`.
const WRITE: [u8; 38] = [
    0x0a, 0x24, 0x0a, 0x10, 0x0a, 0x08, b'_', b'_', b'n', b'a', b'm', b'e', b'_', b'_', 0x12, 0x04,
    b'j', b'o', b'b', b's', 0x12, 0x10, 0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0x10, 0x80, 0xc0, 0xe6,
    0xf1, 0xe5, 0x33,
];

fn ways(server: &Server) -> Vec<Way> {
    use demarc_proto::otlp::collector::metrics::v1::ExportMetricsServiceRequest as Metrics;
    let spans = span("api", 1, 2, "");
    let gauge = gauge("queue.fill", 0.5);
    let spans_protobuf = protobuf::<ExportTraceServiceRequest>(&spans);
    let mut framed = vec![0];
    framed.extend_from_slice(&u32::try_from(spans_protobuf.len()).unwrap().to_be_bytes());
    framed.extend_from_slice(&spans_protobuf);
    let json = &[("Content-Type", "application/json")];
    let binary = &[("Content-Type", "application/x-protobuf")];
    let zstd: &[_] = &[
        ("Content-Type", "application/x-protobuf"),
        ("Content-Encoding", "zstd"),
    ];
    let v2: &[_] = &[(
        "Content-Type",
        "application/x-protobuf;proto=io.prometheus.write.v2.Request",
    )];
    let snappy = snap::raw::Encoder::new().compress_vec(&WRITE).unwrap();
    let way = |url: String, headers, seed| Way { url, headers, seed };
    let grpc = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    vec![
        way(
            format!("{}/v1/traces", server.otlp),
            json,
            spans.to_string().into_bytes(),
        ),
        way(
            format!("{}/v1/traces", server.otlp),
            binary,
            spans_protobuf.clone(),
        ),
        way(
            format!("{}/v1/metrics", server.otlp),
            json,
            gauge.to_string().into_bytes(),
        ),
        way(
            format!("{}/v1/metrics", server.otlp),
            binary,
            protobuf::<Metrics>(&gauge),
        ),
        way(
            format!("{}/v1/logs", server.otlp),
            binary,
            spans_protobuf.clone(),
        ),
        way(
            format!("{}/v1/traces", server.otlp),
            zstd,
            zstd::stream::encode_all(spans_protobuf.as_slice(), 3).unwrap(),
        ),
        way(format!("{}/api/v1/write", server.http), &[], snappy.clone()),
        way(format!("{}/api/v1/write", server.http), v2, snappy),
        way(
            format!("{}{grpc}", server.grpc),
            &[("Content-Type", "application/grpc")],
            framed,
        ),
    ]
}

#[tokio::test]
async fn nothing_that_arrives_ends_the_server() {
    const EACH: usize = 500;
    let (_outer, data) = folder();
    let server = Server::start(&data);
    let client = reqwest::Client::new();
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    for way in ways(&server) {
        for _ in 0..EACH {
            let body = chance.mutate(&way.seed);
            let mut request = client.post(&way.url).body(body.clone());
            for (name, value) in way.headers {
                request = request.header(*name, *value);
            }
            let answer = request.send().await.unwrap();
            assert!(answer.status().as_u16() < 500, "{} {body:02x?}", way.url);
            if let Some(code) = answer.headers().get("grpc-status") {
                // INTERNAL, UNAVAILABLE and UNKNOWN would be blamed on the server.
                assert!(
                    !["2", "13", "14"].contains(&code.to_str().unwrap()),
                    "{body:02x?}"
                );
            }
        }
    }
    let (status, _) = server
        .send("default", "traces", &span("api", 7, 2, ""))
        .await;
    assert_eq!(status, 200);
}
