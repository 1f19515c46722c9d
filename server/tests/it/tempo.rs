//! Traces by id as Grafana's Tempo data source asks for them.

use demarc_proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde_json::{Value, json};

use crate::harness::{Server, folder, span};

const ID: &str = "5b8efff798038103d269b633813fc60c";

/// `tempopb.TraceByIDResponse`
#[derive(Clone, PartialEq, Message)]
struct Found {
    #[prost(message, optional, tag = "1")]
    trace: Option<ExportTraceServiceRequest>,
}

async fn ask(server: &Server, path: &str, accept: &str) -> (u16, Vec<u8>) {
    let answer = reqwest::Client::new()
        .get(format!("{}{path}", server.http))
        .header("Accept", accept)
        .send()
        .await
        .unwrap();
    (
        answer.status().as_u16(),
        answer.bytes().await.unwrap().to_vec(),
    )
}

fn check(trace: &ExportTraceServiceRequest) {
    let spans = trace.resource_spans.iter();
    let spans = spans.flat_map(|one| one.scope_spans.iter().flat_map(|scope| &scope.spans));
    let mut spans: Vec<_> = spans.collect();
    spans.sort_by_key(|span| span.span_id.clone());
    assert_eq!(spans.len(), 2);
    assert_eq!(spans[0].name, "GET /");
    assert_eq!(spans[0].trace_id, const_hex::decode(ID).unwrap());
    assert_eq!(spans[1].parent_span_id, spans[0].span_id);
    assert_eq!(spans[1].attributes[0].key, "http.route");
}

#[tokio::test]
async fn a_trace_is_found_in_both_versions_and_both_forms() {
    let (_outer, data) = folder();
    let server = Server::start(&data);
    server
        .send("default", "traces", &span("web", 1, 3, ""))
        .await;
    server
        .send("default", "traces", &span("api", 2, 2, "0000000000000001"))
        .await;
    assert_eq!(
        ask(&server, "/api/echo", "*/*").await,
        (200, b"echo".to_vec())
    );
    // With the times that Grafana may add.
    let newer = format!("/api/v2/traces/{ID}?start=1700000000&end=1700000060");
    let older = format!("/api/traces/{ID}");
    let (status, body) = ask(&server, &newer, "application/protobuf").await;
    assert_eq!(status, 200);
    check(&Found::decode(body.as_slice()).unwrap().trace.unwrap());
    let (status, body) = ask(&server, &older, "application/protobuf").await;
    assert_eq!(status, 200);
    check(&ExportTraceServiceRequest::decode(body.as_slice()).unwrap());
    for (path, list) in [(newer, "/trace/resourceSpans"), (older, "/batches")] {
        let (status, body) = ask(&server, &path, "application/json").await;
        let body: Value = serde_json::from_slice(&body).unwrap();
        let resources = body.pointer(list).unwrap().as_array().unwrap();
        assert_eq!((status, resources.len()), (200, 2), "{body}");
        let trace = serde_json::from_value(json!({"resourceSpans": resources}));
        check(&trace.unwrap());
    }
    for path in ["/api/v2/traces/1", "/api/traces/1"] {
        assert_eq!(ask(&server, path, "application/protobuf").await.0, 404);
    }
    assert_eq!(ask(&server, "/api/traces/xyz", "*/*").await.0, 400);
}
