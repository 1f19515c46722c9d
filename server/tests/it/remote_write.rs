//! Remote-write over HTTP: statuses, headers, and what can be queried afterwards.

use prost::Message;
use reqwest::Response;

use crate::harness::{Server, folder, now};

#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

fn request(series: &[(&[(&str, &str)], f64)]) -> Vec<u8> {
    let timestamp = i64::try_from(now() / 1_000_000).unwrap();
    let one = |(labels, value): &(&[(&str, &str)], f64)| TimeSeries {
        labels: labels
            .iter()
            .map(|(name, value)| Label {
                name: (*name).to_owned(),
                value: (*value).to_owned(),
            })
            .collect(),
        samples: vec![Sample {
            value: *value,
            timestamp,
        }],
    };
    let request = WriteRequest {
        timeseries: series.iter().map(one).collect(),
    };
    let plain = request.encode_to_vec();
    snap::raw::Encoder::new().compress_vec(&plain).unwrap()
}

type Headers<'a> = &'a [(&'a str, &'a str)];

async fn post(server: &Server, path: &str, headers: Headers<'_>, body: Vec<u8>) -> Response {
    let mut request = reqwest::Client::new()
        .post(format!("{}{path}", server.http))
        .body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

const V1: &[(&str, &str)] = &[
    ("Content-Type", "application/x-protobuf"),
    ("Content-Encoding", "snappy"),
    ("X-Prometheus-Remote-Write-Version", "0.1.0"),
];

#[tokio::test]
async fn what_is_written_can_be_queried_at_once() {
    let (_outer, data) = folder();
    let server = Server::start(&data);
    for (path, value) in [("/api/v1/write", 1.0), ("/api/v1/push", 2.0)] {
        let labels = [("__name__", "up"), ("path", path)];
        let answer = post(&server, path, V1, request(&[(&labels, value)])).await;
        assert_eq!(answer.status(), 204);
        assert_eq!(
            answer.headers()["x-prometheus-remote-write-samples-written"],
            "1"
        );
    }
    let (_, answer) = server.get("default", "/api/v1/query?query=sum(up)").await;
    assert_eq!(answer["data"]["result"][0]["value"][1], "3", "{answer}");
}

#[tokio::test]
async fn the_good_part_is_written_and_the_answer_says_what_was_not() {
    let (_outer, data) = folder();
    let server = Server::start(&data);
    let body = request(&[(&[("__name__", "good")], 1.0), (&[("nameless", "x")], 1.0)]);
    let answer = post(&server, "/api/v1/write", V1, body).await;
    assert_eq!(answer.status(), 400);
    assert_eq!(
        answer.headers()["x-prometheus-remote-write-samples-written"],
        "1"
    );
    let text = answer.text().await.unwrap();
    assert!(
        text.contains("nameless") && text.contains("__name__"),
        "{text}"
    );
    let (_, answer) = server.get("default", "/api/v1/query?query=good").await;
    assert_eq!(answer["data"]["result"][0]["value"][1], "1", "{answer}");
}

#[tokio::test]
async fn what_is_not_understood_is_refused_by_its_status() {
    let (_outer, data) = folder();
    let config =
        "[ingest]\nmax_body_bytes = 1000\n[ingest.tenant_limits.slow]\nmax_bytes_per_second = 1\n";
    let server = Server::start_with(&data, config);
    let good = request(&[(&[("__name__", "up")], 1.0)]);
    let v3 = "application/x-protobuf;proto=io.prometheus.write.v3.Request";
    let mut huge = good.clone();
    huge.resize(2000, 0);
    let cases: [(Headers, Vec<u8>, u16); 6] = [
        (&[("Content-Type", "application/json")], good.clone(), 415),
        (&[("Content-Type", v3)], good.clone(), 415),
        (&[("Content-Encoding", "gzip")], good.clone(), 415),
        (&[], b"no snappy at all".to_vec(), 400),
        (&[], huge, 413),
        (&[("X-Scope-OrgID", "../etc")], good.clone(), 400),
    ];
    for (headers, body, status) in cases {
        let answer = post(&server, "/api/v1/write", headers, body).await;
        assert_eq!(answer.status(), status, "{headers:?}");
        assert_eq!(
            answer.headers()["x-prometheus-remote-write-samples-written"],
            "0"
        );
        assert!(!answer.headers().contains_key("retry-after"));
    }
    let slow = [("X-Scope-OrgID", "slow")];
    assert_eq!(
        post(&server, "/api/v1/write", &slow, good.clone())
            .await
            .status(),
        204
    );
    let answer = post(&server, "/api/v1/write", &slow, good).await;
    assert_eq!(answer.status(), 429);
    assert!(answer.headers().contains_key("retry-after"));
}
