//! Edges of the service graph, against Tempo's own fixtures, and what holds them to a bound.

use std::{io::Write as _, path::Path, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use demarc_ingest::{Encoding, IngestConfig, decode_traces};
use demarc_proto::TenantId;
use serde_json::Value;

use crate::bed::Bed;

const FIXTURES: &str = "../../shared/compat/traceql/service-graph";

/// Ids in base64 and enums by name, as older writers of OTLP/JSON have them, to what the specification says.
fn modernise(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                match (key.as_str(), field.as_str()) {
                    ("traceId" | "spanId" | "parentSpanId", Some(id)) => {
                        *field = const_hex::encode(BASE64_STANDARD.decode(id).unwrap()).into();
                    }
                    ("kind", Some(kind)) => {
                        let kinds = [
                            "UNSPECIFIED",
                            "INTERNAL",
                            "SERVER",
                            "CLIENT",
                            "PRODUCER",
                            "CONSUMER",
                        ];
                        let kind = kind.strip_prefix("SPAN_KIND_").unwrap();
                        *field = kinds.iter().position(|one| *one == kind).into();
                    }
                    ("code", Some(code)) => {
                        let codes = ["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"];
                        *field = codes.iter().position(|one| *one == code).into();
                    }
                    _ => modernise(field),
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(modernise),
        _ => {}
    }
}

async fn send(bed: &Bed, mut traces: Value) {
    modernise(&mut traces);
    let body = serde_json::to_vec(&traces).unwrap();
    let request = decode_traces(Encoding::Json, &body).unwrap();
    let receipt = bed
        .ingest
        .traces(&TenantId::default(), request)
        .await
        .unwrap();
    assert!(receipt.rejected.is_empty(), "{}", receipt.message());
    // Half of them before the wait for other sides is over, half after.
    bed.ingest.flush_span_metrics().await.unwrap();
    bed.clock.advance(Duration::from_secs(11));
    bed.ingest.flush_span_metrics().await.unwrap();
}

fn labels(expected: &Value) -> String {
    let parts: Vec<String> = ["client", "connection_type", "server"]
        .iter()
        .filter_map(|name| Some(format!("{name}={:?}", expected["labels"][name].as_str()?)))
        .collect();
    format!("{{{}}}", parts.join(", "))
}

#[tokio::test]
async fn the_fixtures_of_tempo_make_the_edges_that_they_say() {
    if !Path::new(FIXTURES).exists() {
        writeln!(std::io::stderr(), "skipped: {FIXTURES} is not there").unwrap();
        return;
    }
    let expected = std::fs::read_to_string(format!("{FIXTURES}/expected.jsonl")).unwrap();
    let mut count = 0;
    for line in expected.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let file = case["file"].as_str().unwrap();
        let traces = std::fs::read(format!("{FIXTURES}/{file}")).unwrap();
        let bed = Bed::keeping().await;
        send(&bed, serde_json::from_slice(&traces).unwrap()).await;
        let values = bed.values();
        let labels = labels(&case);
        for (field, metric, tolerance) in [
            ("request_total", "request_total", 0.0),
            ("request_failed_total", "request_failed_total", 0.0),
            (
                "client_seconds_sum_approx",
                "request_client_seconds_sum",
                0.001,
            ),
            (
                "server_seconds_sum_approx",
                "request_server_seconds_sum",
                0.001,
            ),
            (
                "messaging_system_seconds_sum",
                "request_messaging_system_seconds_sum",
                1e-6,
            ),
        ] {
            let Some(expected) = case[field].as_f64() else {
                continue;
            };
            let series = format!("traces_service_graph_{metric}{labels}");
            let got = values.get(&series).copied().unwrap_or(f64::NAN);
            assert!(
                (got - expected).abs() <= tolerance,
                "{file}: {series} is {got}, not {expected}: {values:#?}"
            );
            count += 1;
        }
    }
    assert!(count >= 24, "{count}");
}

#[tokio::test]
async fn a_caller_that_is_not_seen_is_nobody() {
    let bed = Bed::new().await;
    send(&bed, span("api", 2, "0000000000000009", &[])).await;
    let edges: Vec<String> = bed
        .values()
        .into_keys()
        .filter(|name| name.contains("service_graph"))
        .collect();
    assert!(edges.is_empty(), "{edges:?}");
}

#[tokio::test]
async fn more_operations_than_there_is_room_for_count_together() {
    let bed = Bed::with(IngestConfig {
        max_span_series: 10,
        ..IngestConfig::default()
    })
    .await;
    for number in 0..100 {
        send(&bed, span(&format!("service-{number}"), 1, "", &[])).await;
    }
    let values = bed.values();
    let calls: Vec<(&String, &f64)> = values
        .iter()
        .filter(|(name, _)| name.starts_with("traces_spanmetrics_calls_total"))
        .collect();
    assert_eq!(calls.len(), 12, "{calls:?}");
    assert_eq!(calls.iter().map(|(_, value)| **value).sum::<f64>(), 100.0);
    assert_eq!(
        values["traces_spanmetrics_calls_total{metric_overflow=\"true\"}"],
        89.0
    );
}

fn span(service: &str, kind: u32, parent: &str, attributes: &[Value]) -> Value {
    serde_json::json!({"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
        "scopeSpans": [{"spans": [{
            "traceId": BASE64_STANDARD.encode([7; 16]),
            "spanId": BASE64_STANDARD.encode([8; 8]),
            "parentSpanId": BASE64_STANDARD.encode(const_hex::decode(parent).unwrap()),
            "name": "GET", "kind": kind, "attributes": attributes,
            "startTimeUnixNano": crate::bed::NOW.0.to_string(),
            "endTimeUnixNano": (crate::bed::NOW.0 + 1_000_000).to_string(),
        }]}],
    }]})
}
