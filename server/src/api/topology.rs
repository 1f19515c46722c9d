//! The graph, cut to what the tenant may see.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State};
use demarc_topology::{Entity, Relation, RelationKind};
use serde_json::{Value as Body, json};

use super::{params::Params, prometheus::success};
use crate::{app::App, status::ApiError, tenant::Tenant};

/// `at`: the time of the graph; now when absent.
pub(crate) async fn topology(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    params: Params,
) -> Result<Json<Body>, ApiError> {
    let at = params.time("at")?.unwrap_or_else(|| app.clock.now());
    let graph = app.topology.graph_at(at).visible_to(&tenant, &app.operator);
    let parties = &app.topology.responsibility().parties;
    let owners: BTreeMap<&str, Body> = graph
        .entities
        .values()
        .filter_map(|entity| entity.owner.as_ref())
        .filter_map(|owner| Some((owner.as_str(), parties.get(owner)?)))
        .map(|(id, party)| {
            (
                id,
                json!({"zh": party.name.zh, "en": party.name.en, "contact": party.contact}),
            )
        })
        .collect();
    success(json!({
        "at": at.as_secs_f64(),
        "entities": graph.entities.values().map(entity).collect::<Vec<_>>(),
        "relations": graph.relations.iter().map(relation).collect::<Vec<_>>(),
        "owners": owners,
    }))
}

fn entity(entity: &Entity) -> Body {
    let attributes: BTreeMap<&str, String> = entity
        .attributes
        .iter()
        .map(|(key, value)| (key, value.text().into_owned()))
        .collect();
    json!({
        "id": entity.id.0,
        "kind": entity.kind.as_str(),
        "layer": entity.layer.as_str(),
        "name": entity.name,
        "tenant": entity.tenant.as_ref().map(|tenant| tenant.as_str()),
        "owner": entity.owner.as_ref().map(|owner| owner.as_str()),
        "attributes": attributes,
        "firstSeen": entity.first_seen.as_secs_f64(),
        "lastSeen": entity.last_seen.as_secs_f64(),
    })
}

fn relation(one: &Relation) -> Body {
    let mut body = json!({
        "from": one.from.0,
        "to": one.to.0,
        "kind": one.kind.as_str(),
        "provenance": one.provenance.as_str(),
        "confidence": one.confidence,
        "owner": one.owner.as_ref().map(|owner| owner.as_str()),
        "firstSeen": one.first_seen.as_secs_f64(),
        "lastSeen": one.last_seen.as_secs_f64(),
    });
    if one.kind == RelationKind::Calls {
        let calls = one.calls;
        let count = calls.count.max(1) as f64;
        let seconds = one.last_seen.since(one.first_seen).as_secs_f64();
        body["calls"] = json!({
            "count": calls.count,
            "errors": calls.errors,
            "perSecond": if seconds > 0.0 { calls.count as f64 / seconds } else { 0.0 },
            "errorRatio": calls.errors as f64 / count,
            "meanClientSeconds": calls.client_duration_ns as f64 / count / 1e9,
            "meanServerSeconds": calls.server_duration_ns as f64 / count / 1e9,
        });
    }
    body
}
