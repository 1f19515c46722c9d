//! Clients that dawdle, lie or flood: they cost little, and others are served meanwhile.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use demarc_proto::otlp::collector::trace::v1::{
    ExportTraceServiceRequest, trace_service_client::TraceServiceClient,
};
use prost::Message;
use serde_json::json;
use tonic::{Code, Request, codec::CompressionEncoding};

use crate::harness::{Server, folder, span};

fn open(url: &str) -> TcpStream {
    let stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream
}

/// Whether the peer closes the connection, with or without an answer before it.
fn is_closed(mut stream: TcpStream) -> (bool, String) {
    let mut text = Vec::new();
    let closed = match stream.read_to_end(&mut text) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    };
    (closed, String::from_utf8_lossy(&text).into_owned())
}

const IMPATIENT: &str =
    "[sockets]\nheader_timeout_seconds = 1\nbody_timeout_seconds = 1\nidle_timeout_seconds = 1\n";

#[tokio::test]
async fn slow_heads_slow_bodies_and_silence_are_ended() {
    let (_outer, data) = folder();
    let server = Server::start_with(&data, IMPATIENT);
    for url in [&server.http, &server.otlp, &server.grpc] {
        let silent = open(url);
        let mut slow_head = open(url);
        slow_head
            .write_all(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\n")
            .unwrap();
        assert!(is_closed(silent).0);
        assert!(is_closed(slow_head).0);
    }
    let mut slow_body = open(&server.otlp);
    let head = "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    slow_body.write_all(head.as_bytes()).unwrap();
    let (closed, text) = is_closed(slow_body);
    assert!(closed && text.starts_with("HTTP/1.1 408"), "{text}");
    let (status, _) = server
        .send("default", "traces", &span("api", 1, 2, ""))
        .await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn idle_connections_make_room_for_new_ones() {
    let (_outer, data) = folder();
    let server = Server::start_with(&data, "[sockets]\nmax_connections = 20\n");
    let idle: Vec<TcpStream> = (0..100).map(|_| open(&server.otlp)).collect();
    let (status, _) = server
        .send("default", "traces", &span("api", 1, 2, ""))
        .await;
    assert_eq!(status, 200);
    drop(idle);
}

#[tokio::test]
async fn two_thousand_idle_connections_shut_nobody_out() {
    let (_outer, data) = folder();
    let server = Server::start(&data);
    let mut idle = Vec::new();
    for _ in 0..2000 {
        // Where this process itself may open fewer files, as many as it may.
        let address = server.otlp.strip_prefix("http://").unwrap();
        match TcpStream::connect(address) {
            Ok(stream) => idle.push(stream),
            Err(_) => break,
        }
    }
    idle.truncate(idle.len().saturating_sub(20));
    assert!(idle.len() > 500);
    let (status, _) = server
        .send("default", "traces", &span("api", 1, 2, ""))
        .await;
    assert_eq!(status, 200);
    assert_eq!(server.get("default", "/api/v1/labels").await.0, 200);
}

#[tokio::test]
async fn a_keep_alive_connection_serves_many_requests() {
    let (_outer, data) = folder();
    let server = Server::start(&data);
    let mut stream = open(&server.otlp);
    for _ in 0..3 {
        let request = "POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        let end = Instant::now() + Duration::from_secs(10);
        while !text.ends_with("{}") && Instant::now() < end {
            let mut bytes = [0; 1024];
            let count = stream.read(&mut bytes).unwrap();
            text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        }
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    }
}

type Headers<'a> = &'a [(&'a str, &'a str)];

async fn post(server: &Server, headers: Headers<'_>, body: Vec<u8>) -> reqwest::Response {
    let mut request = reqwest::Client::new()
        .post(format!("{}/v1/traces", server.otlp))
        .body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

const PROTOBUF: (&str, &str) = ("Content-Type", "application/x-protobuf");

#[tokio::test]
async fn what_grows_beyond_its_limit_is_too_large_on_every_way_in() {
    let (_outer, data) = folder();
    let server = Server::start_with(&data, "[ingest]\nmax_body_bytes = 100000\n");
    let plain = vec![0_u8; 10_000_000];
    let gzip = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&plain).unwrap();
        encoder.finish().unwrap()
    };
    let zstd = zstd::stream::encode_all(plain.as_slice(), 1).unwrap();
    for (encoding, body) in [("identity", plain), ("gzip", gzip), ("zstd", zstd)] {
        let answer = post(&server, &[PROTOBUF, ("Content-Encoding", encoding)], body).await;
        assert_eq!(answer.status(), 413, "{encoding}");
        assert!(!answer.headers().contains_key("retry-after"), "{encoding}");
    }
    let wide = "x".repeat(200_000);
    let wide = serde_json::from_value::<ExportTraceServiceRequest>(span(&wide, 1, 2, "")).unwrap();
    for compression in [None, Some(CompressionEncoding::Gzip)] {
        let mut client = TraceServiceClient::connect(server.grpc.clone())
            .await
            .unwrap();
        if let Some(compression) = compression {
            client = client.send_compressed(compression);
        }
        let status = client.export(Request::new(wide.clone())).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
        assert!(status.details().is_empty() || !contains(status.details(), b"RetryInfo"));
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn zstd_is_read_over_http() {
    let (_outer, data) = folder();
    let server = Server::start(&data);
    let request: ExportTraceServiceRequest =
        serde_json::from_value(span("zstd", 1, 2, "")).unwrap();
    let body = zstd::stream::encode_all(request.encode_to_vec().as_slice(), 3).unwrap();
    let answer = post(&server, &[PROTOBUF, ("Content-Encoding", "zstd")], body).await;
    assert_eq!(answer.status(), 200);
    let rows = server.sql("default", "SELECT service FROM spans").await;
    assert_eq!(rows, json!([{"service": "zstd"}]));
}

#[tokio::test]
async fn a_tenant_over_its_rate_is_told_when_to_come_back_in_the_words_of_each_protocol() {
    let (_outer, data) = folder();
    let server = Server::start_with(&data, "[ingest.limits]\nmax_rows_per_second = 1\n");
    let (status, _) = server
        .send("default", "traces", &span("api", 1, 2, ""))
        .await;
    assert_eq!(status, 200);
    let request: ExportTraceServiceRequest = serde_json::from_value(span("api", 2, 2, "")).unwrap();
    let mut client = TraceServiceClient::connect(server.grpc.clone())
        .await
        .unwrap();
    let mut refusal = None;
    // The first may have been paid back by now.
    for _ in 0..3 {
        refusal = client
            .export(Request::new(request.clone()))
            .await
            .err()
            .or(refusal);
    }
    let refusal = refusal.unwrap();
    assert_eq!(refusal.code(), Code::ResourceExhausted);
    assert!(contains(refusal.details(), b"google.rpc.RetryInfo"));
    let mut answer = post(&server, &[PROTOBUF], request.encode_to_vec()).await;
    for _ in 0..3 {
        if answer.status() == 429 {
            break;
        }
        answer = post(&server, &[PROTOBUF], request.encode_to_vec()).await;
    }
    assert_eq!(answer.status(), 429);
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(answer.headers()["content-type"], "application/x-protobuf");
}

#[tokio::test]
async fn deep_nesting_and_broken_bytes_are_bad_requests() {
    let (_outer, data) = folder();
    let server = Server::start(&data);
    // 5,000 arrays, one in the other, in protobuf and in JSON.
    let mut value = Vec::new();
    for _ in 0..5000 {
        let mut outer = vec![0x0a];
        prost::encoding::encode_varint(value.len() as u64, &mut outer);
        outer.extend_from_slice(&value);
        value = vec![0x2a];
        prost::encoding::encode_varint(outer.len() as u64, &mut value);
        value.extend_from_slice(&outer);
    }
    for field in [2_u8, 1, 1, 1] {
        let mut outer = vec![field << 3 | 2];
        prost::encoding::encode_varint(value.len() as u64, &mut outer);
        outer.extend_from_slice(&value);
        value = outer;
    }
    let json = format!(
        "{{\"resourceSpans\":[{{\"resource\":{{\"attributes\":[{{\"value\":{}{}}}]}}}}]}}",
        "{\"arrayValue\":{\"values\":[".repeat(5000),
        "]}}".repeat(5000)
    );
    let json_type = ("Content-Type", "application/json");
    let cases: [(Headers, Vec<u8>); 5] = [
        (&[PROTOBUF], value),
        (&[json_type], json.into_bytes()),
        (&[PROTOBUF], [&[0x0a_u8][..], &[0xff; 8], &[0x7f]].concat()),
        (
            &[PROTOBUF, ("Content-Encoding", "gzip")],
            b"no gzip".to_vec(),
        ),
        (
            &[PROTOBUF, ("Content-Encoding", "zstd")],
            b"no zstd".to_vec(),
        ),
    ];
    for (headers, body) in cases {
        let answer = post(&server, headers, body).await;
        assert_eq!(answer.status(), 400, "{headers:?}");
    }
    let empty = post(&server, &[PROTOBUF], Vec::new()).await;
    assert_eq!(empty.status(), 200);
}
