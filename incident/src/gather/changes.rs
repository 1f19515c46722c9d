//! Changes before and during the disturbance.

use demarc_proto::{EntityId, TenantId};
use demarc_query::Engine;

use super::{
    Window,
    calls::sql,
    spans::{Columns, quoted},
};
use crate::{ChangeFact, Evidence, IncidentError};

/// Reads the changes of entities in scope.
pub(crate) async fn read(
    engine: &Engine,
    tenant: &TenantId,
    window: &Window,
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
            if !evidence.entities.contains_key(&entity) {
                continue;
            }
            let query = format!(
                "SELECT time, kind, entity, who, what FROM changes WHERE entity = {} AND {within} ORDER BY time",
                quoted(&entity.0)
            );
            evidence.changes.push(ChangeFact {
                entity,
                kind: columns.text("kind", row).unwrap_or_default(),
                at: columns.number("time", row),
                what: columns.text("what", row).unwrap_or_default(),
                query: sql(tenant.as_str(), query, window),
            });
        }
    }
    Ok(())
}
