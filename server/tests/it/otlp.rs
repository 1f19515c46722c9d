//! OTLP over HTTP and gRPC: protobuf, JSON, gzip, partial success, refusals.

use std::io::Write;

use demarc_proto::otlp::{
    collector::{
        logs::v1::{ExportLogsServiceRequest, logs_service_client::LogsServiceClient},
        trace::v1::{
            ExportTraceServiceRequest, ExportTraceServiceResponse,
            trace_service_client::TraceServiceClient,
        },
    },
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
};
use flate2::{Compression, write::GzEncoder};
use prost::Message;
use serde_json::{Value, json};
use tonic::{Request, codec::CompressionEncoding};

use crate::harness::{Server, folder, gauge, now, span};

fn as_request(body: &Value) -> ExportTraceServiceRequest {
    serde_json::from_value(body.clone()).unwrap()
}

#[tokio::test]
async fn spans_come_in_by_protobuf_json_and_grpc_with_gzip() {
    let (_outer, data) = folder();
    let server = Server::start(&data);
    let (status, answer) = server
        .send("default", "traces", &span("json", 1, 2, ""))
        .await;
    assert_eq!((status, answer), (200, json!({})));

    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&as_request(&span("protobuf", 2, 2, "")).encode_to_vec())
        .unwrap();
    let answer = reqwest::Client::new()
        .post(format!("{}/v1/traces", server.otlp))
        .header("Content-Type", "application/x-protobuf")
        .header("Content-Encoding", "gzip")
        .body(gzip.finish().unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/x-protobuf");
    let body = ExportTraceServiceResponse::decode(answer.bytes().await.unwrap()).unwrap();
    assert!(body.partial_success.is_none());

    let mut client = TraceServiceClient::connect(server.grpc.clone())
        .await
        .unwrap()
        .send_compressed(CompressionEncoding::Gzip);
    client
        .export(Request::new(as_request(&span("grpc", 3, 2, ""))))
        .await
        .unwrap();

    let rows = server
        .sql("default", "SELECT service FROM spans ORDER BY service")
        .await;
    assert_eq!(
        rows,
        json!([{"service": "grpc"}, {"service": "json"}, {"service": "protobuf"}])
    );
}

#[tokio::test]
async fn a_bad_row_is_reported_and_its_neighbours_are_kept() {
    let (_outer, data) = folder();
    let server = Server::start(&data);
    let mut body = span("api", 1, 2, "");
    let spans = body["resourceSpans"][0]["scopeSpans"][0]["spans"]
        .as_array_mut()
        .unwrap();
    let mut bad = spans[0].clone();
    bad["spanId"] = json!("");
    spans.push(bad);
    let (status, answer) = server.send("default", "traces", &body).await;
    assert_eq!(status, 200);
    assert_eq!(
        answer["partialSuccess"]["rejectedSpans"],
        json!("1"),
        "{answer}"
    );
    let rows = server
        .sql("default", "SELECT count(*) AS n FROM spans")
        .await;
    assert_eq!(rows, json!([{"n": 1}]));
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_in_words() {
    let (_outer, data) = folder();
    let server = Server::start(&data);
    let post = |media: &str, tenant: &str, body: &'static [u8]| {
        reqwest::Client::new()
            .post(format!("{}/v1/traces", server.otlp))
            .header("Content-Type", media)
            .header("X-Scope-OrgID", tenant)
            .body(body)
            .send()
    };
    let answer = post("text/plain", "a", b"hello").await.unwrap();
    assert_eq!(answer.status(), 415);
    let answer = post("application/json", "a", b"{\"resourceSpans\": 7}")
        .await
        .unwrap();
    assert_eq!(answer.status(), 400);
    let answer = post("application/x-protobuf", "a", b"\xff\xff\xff")
        .await
        .unwrap();
    assert_eq!(answer.status(), 400);
    let answer = post("application/json", "../etc", b"{}").await.unwrap();
    assert_eq!(answer.status(), 400);
    let text = answer.text().await.unwrap();
    assert!(
        text.contains("X-Scope-OrgID") && text.contains("../etc"),
        "{text}"
    );
    assert_eq!(server.get("default", "/api/v1/labels").await.0, 200);
}

#[tokio::test]
async fn logs_and_metrics_are_there_as_soon_as_they_are_acknowledged() {
    let (_outer, data) = folder();
    let server = Server::start(&data);
    let record = LogRecord {
        time_unix_nano: now(),
        severity_number: 17,
        body: Some(demarc_proto::otlp::common::v1::AnyValue {
            value: Some(
                demarc_proto::otlp::common::v1::any_value::Value::StringValue(
                    "disk 7 failed".to_owned(),
                ),
            ),
        }),
        ..LogRecord::default()
    };
    let logs = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            scope_logs: vec![ScopeLogs {
                log_records: vec![record],
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        }],
    };
    let mut client = LogsServiceClient::connect(server.grpc.clone())
        .await
        .unwrap();
    client.export(Request::new(logs)).await.unwrap();
    let rows = server
        .sql("default", "SELECT body, severity_number FROM logs")
        .await;
    assert_eq!(
        rows,
        json!([{"body": "disk 7 failed", "severity_number": 17}])
    );
    server
        .send("default", "metrics", &gauge("queue.fill", 0.5))
        .await;
    let (_, answer) = server
        .get("default", "/api/v1/query?query=queue_fill_ratio")
        .await;
    assert_eq!(answer["data"]["result"][0]["value"][1], "0.5", "{answer}");
}
