//! The graph, cut to what the tenant may see.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State};
use demarc_proto::EntityId;
use demarc_topology::{Around, Entity, Graph, Relation, RelationKind};
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
    if !app.topology.remembers(at) {
        let graph = app.topology.recall(at).await?;
        return success(body(&app, &graph.visible_to(&tenant, &app.operator)));
    }
    success(body(&app, &app.topology.visible_at(&tenant, at)))
}

/// `entity`: the middle; `depth`: steps from it, 1 when absent; `limit`: most entities, 500 when absent; `at`: now when absent.
pub(crate) async fn neighbourhood(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    params: Params,
) -> Result<Json<Body>, ApiError> {
    let around = Around {
        entity: EntityId(params.require("entity")?.to_owned()),
        depth: number(&params, "depth", 1, 20)?,
        most: number(&params, "limit", 500, 100_000)?,
        at: params.time("at")?.unwrap_or_else(|| app.clock.now()),
    };
    let found = if app.topology.remembers(around.at) {
        app.topology.visible_neighbourhood(&tenant, &around)
    } else {
        let graph = app.topology.recall(around.at).await?;
        let graph = graph.visible_to(&tenant, &app.operator);
        graph.around(&around.entity, around.depth, around.most)
    };
    match found {
        Some(graph) => success(body(&app, &graph)),
        None => Err(ApiError::not_found(format!(
            "entity {:?}: tenant {tenant} sees no such entity at that time",
            around.entity.0
        ))),
    }
}

fn number(params: &Params, name: &str, default: usize, most: usize) -> Result<usize, ApiError> {
    let Some(text) = params.get(name) else {
        return Ok(default);
    };
    let read = text.parse().ok().filter(|number| *number <= most);
    read.ok_or_else(|| {
        ApiError::bad_request(format!("{name} {text:?}: must be a number up to {most}"))
    })
}

/// What is wrong with the graph: unmapped metrics, unowned entities, orphans, conflicts.
pub(crate) async fn problems(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    params: Params,
) -> Result<Json<Body>, ApiError> {
    let at = params.time("at")?.unwrap_or_else(|| app.clock.now());
    let problems = app.topology.problems(&tenant, at);
    let ids = |ids: &[EntityId]| ids.iter().map(|id| id.0.clone()).collect::<Vec<_>>();
    let unmapped = problems.unmapped.iter().map(|one| {
        json!({
            "tenant": one.tenant.as_str(), "metric": one.metric, "series": one.series, "jobs": one.jobs,
        })
    });
    let conflicts = problems.conflicts.iter().map(|one| {
        json!({
            "kind": one.kind.as_str(), "entity": one.entity.0, "about": one.about, "claims": one.claims,
            "resolution": one.resolution,
        })
    });
    success(json!({
        "at": at.as_secs_f64(),
        "unmappedMetrics": unmapped.collect::<Vec<_>>(),
        "unowned": ids(&problems.unowned),
        "orphans": ids(&problems.orphans),
        "conflicts": conflicts.collect::<Vec<_>>(),
        "refusedSightings": problems.refused,
    }))
}

fn body(app: &App, graph: &Graph) -> Body {
    let matrix = app.topology.responsibility_at(graph.at);
    let parties = &matrix.parties;
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
    json!({
        "at": graph.at.as_secs_f64(),
        "entities": graph.entities.values().map(entity).collect::<Vec<_>>(),
        "relations": graph.relations.iter().map(relation).collect::<Vec<_>>(),
        "owners": owners,
    })
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
        "sources": one.sources,
        "confidence": one.confidence,
        "owner": one.owner.as_ref().map(|owner| owner.as_str()),
        "firstSeen": one.first_seen.as_secs_f64(),
        "lastSeen": one.last_seen.as_secs_f64(),
    });
    // Calls that somebody else counted are in that metric, not here.
    if one.kind == RelationKind::Calls && one.calls.count > 0 {
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
