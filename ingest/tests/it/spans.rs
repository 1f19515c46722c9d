//! What spans make beside rows: RED metrics, call pairs, observations.

use std::time::Duration;

use demarc_ingest::{Encoding, decode_traces};
use demarc_proto::{Observation, Peer, TenantId};
use demarc_store::Table;
use serde_json::json;

use crate::bed::{Bed, NOW};

fn body(spans: &[(&str, &str, &str, u32, u32)]) -> Vec<u8> {
    let resources: Vec<_> = spans
        .iter()
        .map(|(service, id, parent, kind, status)| {
            json!({
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
                "scopeSpans": [{"spans": [{
                    "traceId": "5b8efff798038103d269b633813fc60c", "spanId": id, "parentSpanId": parent,
                    "name": "GET", "kind": kind, "status": {"code": status},
                    "startTimeUnixNano": NOW.0.to_string(), "endTimeUnixNano": (NOW.0 + 20_000_000).to_string(),
                    "attributes": [{"key": "server.address", "value": {"stringValue": "api.local"}}],
                }]}],
            })
        })
        .collect();
    serde_json::to_vec(&json!({"resourceSpans": resources})).unwrap()
}

async fn send(bed: &Bed, spans: &[(&str, &str, &str, u32, u32)]) {
    let request = decode_traces(Encoding::Json, &body(spans)).unwrap();
    bed.ingest
        .traces(&TenantId::default(), request)
        .await
        .unwrap();
}

fn calls(bed: &mut Bed) -> Vec<demarc_proto::CallObservation> {
    let mut found = Vec::new();
    while let Ok(batch) = bed.observations.try_recv() {
        for one in batch {
            if let Observation::Calls(call) = one {
                found.push(call);
            }
        }
    }
    found
}

#[tokio::test]
async fn both_sides_of_a_call_meet_whichever_comes_first() {
    for server_first in [true, false] {
        let mut bed = Bed::new().await;
        let client = ("web", "0000000000000001", "", 3, 0);
        let server = ("api", "0000000000000002", "0000000000000001", 2, 0);
        for one in if server_first {
            [server, client]
        } else {
            [client, server]
        } {
            send(&bed, &[one]).await;
        }
        bed.ingest.flush_span_metrics().await.unwrap();
        let calls = calls(&mut bed);
        assert_eq!(calls.len(), 1);
        assert!(
            matches!(&calls[0].server, Peer::Instrumented(side) if side.resource.str("service.name") == Some("api"))
        );
        assert!(
            matches!(calls[0].alias.as_deref(), Some(Peer::Remote { address }) if address == "api.local")
        );
        assert_eq!((calls[0].count, calls[0].errors), (1, 0));
    }
}

#[tokio::test]
async fn a_call_without_an_answer_waits_and_then_names_its_address() {
    let mut bed = Bed::new().await;
    send(&bed, &[("web", "0000000000000001", "", 3, 2)]).await;
    bed.ingest.flush_span_metrics().await.unwrap();
    assert!(calls(&mut bed).is_empty());
    bed.clock.advance(Duration::from_secs(11));
    bed.ingest.flush_span_metrics().await.unwrap();
    let calls = calls(&mut bed);
    assert!(
        matches!(&calls[0].server, Peer::Remote { address } if address == "api.local"),
        "{calls:?}"
    );
    assert_eq!(calls[0].errors, 1);
}

#[tokio::test]
async fn spans_are_counted_by_service_operation_kind_and_status() {
    let bed = Bed::new().await;
    send(
        &bed,
        &[
            ("api", "0000000000000001", "", 2, 0),
            ("api", "0000000000000002", "", 2, 2),
        ],
    )
    .await;
    bed.ingest.flush_span_metrics().await.unwrap();
    let series = bed.shown(Table::Series);
    for part in [
        "traces_spanmetrics_calls_total",
        "status_code: STATUS_CODE_ERROR",
        "span_kind: SPAN_KIND_SERVER",
        "le: 0.032",
    ] {
        assert!(series.contains(part), "{part} is not in {series}");
    }
}

#[tokio::test]
async fn a_refused_resource_counts_all_its_rows() {
    let bed = Bed::new().await;
    let many: Vec<_> = (0..300)
        .map(|at| json!({"key": format!("a{at}"), "value": {"intValue": "1"}}))
        .collect();
    let span = json!({
        "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "0000000000000001", "name": "GET",
        "startTimeUnixNano": NOW.0.to_string(), "endTimeUnixNano": NOW.0.to_string(),
    });
    let body = json!({"resourceSpans": [{
        "resource": {"attributes": many}, "scopeSpans": [{"spans": [span.clone(), span]}],
    }]});
    let request = decode_traces(Encoding::Json, &serde_json::to_vec(&body).unwrap()).unwrap();
    let receipt = bed
        .ingest
        .traces(&TenantId::default(), request)
        .await
        .unwrap();
    assert_eq!(
        (receipt.accepted, receipt.rejected_count()),
        (0, 2),
        "{}",
        receipt.message()
    );
}
