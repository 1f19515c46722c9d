//! Who answers for what: the matrix that is in force, and what another would change.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::{Json, extract::State, http::Uri};
use demarc_proto::{Nanos, OwnerId};
use demarc_topology::{Accountable, Graph, OwnerMatch, Responsibility};
use serde_json::{Value as Body, json};

use super::{params::Params, prometheus::success};
use crate::{app::App, status::ApiError, tenant::Tenant};

/// `at`: when; now when absent. A tenant other than the operator sees what its own entities, and those that carry them, are
/// decided by.
pub(crate) async fn matrix(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    params: Params,
) -> Result<Json<Body>, ApiError> {
    let at = params.time("at")?.unwrap_or_else(|| app.clock.now());
    let graph = app.topology.visible_at(&tenant, at);
    let matrix = app.topology.responsibility_at(at);
    let review = matrix.review(&graph);
    let sees_all = tenant == app.operator;
    let mut owners: BTreeSet<OwnerId> = BTreeSet::new();
    let effective = effective(&matrix, &graph, &mut owners);
    let rules = rules(&matrix, &review.decided);
    let edges = edges(&matrix, &review.decided_edges);
    let decides = |rule: &Body| sees_all || rule["decides"].as_u64().unwrap_or_default() > 0;
    let parties = matrix.parties.iter();
    let parties = parties.filter(|(id, _)| sees_all || owners.contains(*id));
    success(json!({
        "at": at.as_secs_f64(),
        "precedence": Responsibility::PRECEDENCE,
        "rules": rules.into_iter().filter(decides).collect::<Vec<_>>(),
        "edges": edges.into_iter().filter(decides).collect::<Vec<_>>(),
        "parties": parties.map(|(id, one)| (id.as_str(), party(one))).collect::<BTreeMap<_, _>>(),
        "entities": effective,
        "unowned": review.unowned.iter().map(|id| &id.0).collect::<Vec<_>>(),
    }))
}

/// Takes the text of a responsibility file and says what it would change; changes nothing.
pub(crate) async fn check(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    uri: Uri,
    text: String,
) -> Result<Json<Body>, ApiError> {
    if tenant != app.operator {
        return Err(ApiError::bad_request(format!(
            "tenant {tenant}: must be the operator's, {}, to check a matrix that is for everybody",
            app.operator
        )));
    }
    let at = Params::of_url(&uri)?.time("at")?;
    let at = at.unwrap_or_else(|| app.clock.now());
    let matrix = Responsibility::from_yaml(&text)?;
    let graph = app.topology.graph_at(at);
    let review = matrix.review(&graph);
    let changes = matrix.changes_from(&app.topology.responsibility_at(at), &graph);
    let name = |owner: &Option<OwnerId>| owner.as_ref().map(|owner| owner.0.clone());
    success(json!({
        "at": at.as_secs_f64(),
        "precedence": Responsibility::PRECEDENCE,
        "rules": rules(&matrix, &review.decided),
        "edges": edges(&matrix, &review.decided_edges),
        "changes": changes.iter().map(|one| {
            json!({"what": one.what, "from": name(&one.from), "to": name(&one.to)})
        }).collect::<Vec<_>>(),
        "unowned": review.unowned.iter().map(|id| &id.0).collect::<Vec<_>>(),
    }))
}

fn effective(matrix: &Responsibility, graph: &Graph, owners: &mut BTreeSet<OwnerId>) -> Vec<Body> {
    let mut entities = Vec::new();
    for entity in graph.entities.values() {
        let Some(answer) = matrix.answer_for(entity, graph.at) else {
            continue;
        };
        owners.insert(answer.owner.clone());
        let mut body = accountable(&answer);
        body["entity"] = json!(entity.id.0);
        body["layer"] = json!(entity.layer.as_str());
        entities.push(body);
    }
    for relation in &graph.relations {
        owners.extend(relation.owner.clone());
    }
    entities
}

fn accountable(one: &Accountable) -> Body {
    json!({"owner": one.owner.0, "contract": one.contract, "rota": one.rota, "rule": one.rule})
}

fn party(party: &demarc_topology::Party) -> Body {
    json!({
        "zh": party.name.zh, "en": party.name.en, "contact": party.contact, "tenant": party.tenant,
        "contract": party.contract, "rota": party.rota,
    })
}

fn rules(matrix: &Responsibility, decided: &[usize]) -> Vec<Body> {
    let rules = matrix.rules.iter().zip(decided).enumerate();
    rules
        .map(|(place, (rule, decides))| {
            json!({
                "rule": place, "owner": rule.owner.0, "match": conditions(&rule.when), "contract": rule.contract,
                "rota": rule.rota, "validFrom": time(rule.valid_from), "validTo": time(rule.valid_to),
                "decides": decides,
            })
        })
        .collect()
}

fn edges(matrix: &Responsibility, decided: &[usize]) -> Vec<Body> {
    let rules = matrix.edges.iter().zip(decided).enumerate();
    rules
        .map(|(place, (rule, decides))| {
            let when = json!({
                "kind": rule.when.kind, "from": conditions(&rule.when.from), "to": conditions(&rule.when.to),
            });
            json!({
                "rule": place, "owner": rule.owner.0, "match": when, "contract": rule.contract, "rota": rule.rota,
                "validFrom": time(rule.valid_from), "validTo": time(rule.valid_to), "decides": decides,
            })
        })
        .collect()
}

/// The conditions that are given.
fn conditions(when: &OwnerMatch) -> Body {
    let mut body = serde_json::Map::new();
    let texts = [
        ("tenant", when.tenant.as_deref()),
        ("layer", when.layer.map(|layer| layer.as_str())),
        ("kind", when.kind.as_deref()),
        ("name", when.name.as_deref()),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            body.insert(name.to_owned(), json!(text));
        }
    }
    if !when.attributes.is_empty() {
        body.insert("attributes".to_owned(), json!(when.attributes));
    }
    Body::Object(body)
}

fn time(at: Option<Nanos>) -> Option<f64> {
    at.map(Nanos::as_secs_f64)
}
