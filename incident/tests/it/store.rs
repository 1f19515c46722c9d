//! Incidents outlive the process.

use demarc_incident::{Incident, IncidentState, Registry};
use serde_json::json;

fn incident(id: &str, opened_at: i64) -> Incident {
    serde_json::from_value(json!({
        "id": id, "state": "open", "opened_at": opened_at,
        "title": {"zh": "tax-api 响应变慢", "en": "tax-api answers late"},
        "tenants": ["tax"], "alerts": [], "verdicts": [], "timeline": [],
    }))
    .unwrap()
}

#[tokio::test]
async fn what_was_saved_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let registry = Registry::open(&path).await.unwrap();
    let mut one = incident("a", 5);
    registry.save(&one).await.unwrap();
    registry.save(&incident("b", 9)).await.unwrap();
    one.state = IncidentState::Resolved { resolved_at: 8 };
    registry.save(&one).await.unwrap();
    drop(registry);
    let registry = Registry::open(&path).await.unwrap();
    assert_eq!(registry.get("a").await.unwrap(), Some(one));
    assert_eq!(registry.get("c").await.unwrap(), None);
    let open: Vec<String> = registry
        .open_ones()
        .await
        .unwrap()
        .into_iter()
        .map(|one| one.id)
        .collect();
    assert_eq!(open, ["b"]);
    let listed: Vec<String> = registry
        .list(1)
        .await
        .unwrap()
        .into_iter()
        .map(|one| one.id)
        .collect();
    assert_eq!(listed, ["b"]);
}
