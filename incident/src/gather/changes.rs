//! Changes before and during the disturbance.

use demarc_proto::{EntityId, TenantId};
use demarc_query::Engine;
use demarc_topology::{EntityKind, Graph};

use super::{
    Window,
    calls::sql,
    spans::{Columns, quoted},
};
use crate::{ChangeFact, Evidence, IncidentError};

/// Reads the changes of entities in scope, and of what their services are made of: a changed workload is a change of its service.
pub(crate) async fn read(
    engine: &Engine,
    (tenant, window): (&TenantId, &Window),
    graph: &Graph,
    evidence: &mut Evidence,
) -> Result<(), IncidentError> {
    let within = format!("time >= {} AND time < {}", window.start, window.until);
    let text = format!("SELECT time, kind, entity, what FROM changes WHERE {within} ORDER BY time");
    for batch in &engine.sql(tenant, &text).await?.batches {
        let columns = Columns::of(batch);
        for row in 0..batch.num_rows() {
            let Some(entity) = columns.text("entity", row).map(EntityId) else {
                continue;
            };
            let query = format!(
                "SELECT time, kind, entity, who, what FROM changes WHERE entity = {} AND {within} ORDER BY time",
                quoted(&entity.0)
            );
            for changed in changed(graph, &entity) {
                if evidence.entities.contains_key(&changed) {
                    evidence.changes.push(ChangeFact {
                        entity: changed,
                        kind: columns.text("kind", row).unwrap_or_default(),
                        at: columns.number("time", row),
                        what: columns.text("what", row).unwrap_or_default(),
                        query: sql(tenant.as_str(), query.clone(), window),
                    });
                }
            }
        }
    }
    Ok(())
}

/// What is changed with an entity: itself, and the services that are made of it. Machines are no part of what they carry.
fn changed(graph: &Graph, entity: &EntityId) -> Vec<EntityId> {
    let mut changed = vec![entity.clone()];
    let parts = [
        EntityKind::Namespace,
        EntityKind::Workload,
        EntityKind::Pod,
        EntityKind::Container,
        EntityKind::Instance,
    ];
    let kind = graph.get(entity).map(|entity| entity.kind);
    if kind.is_some_and(|kind| parts.contains(&kind)) {
        let behind = graph.services_behind(entity).into_iter();
        changed.extend(
            behind
                .map(|service| service.id.clone())
                .filter(|id| id != entity),
        );
    }
    changed
}
