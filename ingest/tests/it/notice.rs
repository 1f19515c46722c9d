//! What the topology is told of: the series that it asked for, once per half minute, and the entities that a resource names.

use demarc_ingest::{Encoding, decode_metrics, decode_traces};
use demarc_proto::{Nanos, Observation, TenantId};
use serde_json::{Value, json};

use crate::bed::{Bed, NOW};

fn request(at: Nanos) -> Value {
    let point = json!({
        "timeUnixNano": at.0.to_string(), "asDouble": 1,
        "attributes": [{"key": "pod", "value": {"stringValue": "api-1"}}],
    });
    let gauge = |name: &str| json!({"name": name, "gauge": {"dataPoints": [point]}});
    json!({"resourceMetrics": [{
        "resource": {
            "attributes": [{"key": "switch.id", "value": {"stringValue": "sw-1"}}],
            "entityRefs": [{
                "schemaUrl": "", "type": "network.switch", "idKeys": ["switch.id"], "descriptionKeys": [],
            }],
        },
        "scopeMetrics": [{"metrics": [gauge("kube_pod_info"), gauge("queue_length")]}],
    }]})
}

async fn noticed(bed: &mut Bed, at: Nanos) -> Vec<String> {
    let body = request(at).to_string();
    let request = decode_metrics(Encoding::Json, body.as_bytes()).unwrap();
    bed.ingest
        .metrics(&TenantId::default(), request)
        .await
        .unwrap();
    let mut seen = Vec::new();
    while let Ok(batch) = bed.observations.try_recv() {
        seen.extend(batch.into_iter().map(|one| match one {
            Observation::Series(series) => {
                let resource = series.resource.unwrap();
                let switch = resource.str("switch.id").unwrap().to_owned();
                format!("{} {} {switch}", series.labels, series.value)
            }
            Observation::Resource(seen) => format!("resource {:?}", seen.entities[0].id_keys),
            Observation::Calls(_) => "calls".to_owned(),
        }));
    }
    seen.sort();
    seen
}

#[tokio::test]
async fn series_that_are_looked_out_for_are_reported_and_others_are_not() {
    let mut bed = Bed::new().await;
    bed.ingest.watch(["kube_pod_info".to_owned()]);
    let (series, resource) = (
        "kube_pod_info{pod=\"api-1\"} 1 sw-1".to_owned(),
        "resource [\"switch.id\"]".to_owned(),
    );
    let early = Nanos(NOW.0 - 60_000_000_000);
    assert_eq!(
        noticed(&mut bed, early).await,
        [series.clone(), resource.clone()]
    );
    let soon = Nanos(early.0 + 10_000_000_000);
    assert!(noticed(&mut bed, soon).await.is_empty());
    let later = Nanos(early.0 + 40_000_000_000);
    assert_eq!(noticed(&mut bed, later).await, [series, resource]);
}

#[tokio::test]
async fn entities_that_a_resource_of_spans_names_are_reported() {
    let mut bed = Bed::new().await;
    let span = json!({
        "traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331", "name": "GET /",
        "startTimeUnixNano": NOW.0.to_string(), "endTimeUnixNano": (NOW.0 + 1).to_string(),
    });
    let request = json!({"resourceSpans": [{
        "resource": {
            "attributes": [{"key": "switch.id", "value": {"stringValue": "sw-1"}}],
            "entityRefs": [{"type": "network.switch", "idKeys": ["switch.id"]}],
        },
        "scopeSpans": [{"spans": [span]}],
    }]});
    let request = decode_traces(Encoding::Json, request.to_string().as_bytes()).unwrap();
    let tenant = TenantId::default();
    bed.ingest.traces(&tenant, request).await.unwrap();
    let batch = bed.observations.try_recv().unwrap();
    let named = batch.iter().filter_map(|one| match one {
        Observation::Resource(seen) => seen.entities.first(),
        _ => None,
    });
    let kinds: Vec<&str> = named.map(|one| one.kind.as_str()).collect();
    assert_eq!(kinds, ["network.switch"]);
}
