//! What is for those who run the server: deleting a tenant, and what was found damaged.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use demarc_proto::TenantId;
use demarc_store::Damage;
use serde_json::{Value, json};

use crate::{app::App, status::ApiError, tenant::Tenant};

/// Deletes all rows of a tenant; for the operator, and for the tenant itself.
pub(crate) async fn delete_tenant(
    State(app): State<Arc<App>>,
    Tenant(caller): Tenant,
    Path(tenant): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let tenant =
        TenantId::new(tenant).map_err(|error| ApiError::bad_request(format!("tenant: {error}")))?;
    if caller != app.operator && caller != tenant {
        return Err(ApiError::not_found("tenant: not yours"));
    }
    let rows = app.store.delete_tenant(&tenant).await;
    let rows = rows.map_err(|error| ApiError::internal(&error))?;
    Ok(Json(json!({"status": "success", "data": {"rows": rows}})))
}

/// Files that were found damaged: all of them for the operator, those that held the tenant's rows for anybody else.
pub(crate) async fn damage(State(app): State<Arc<App>>, Tenant(caller): Tenant) -> Json<Value> {
    let mut found = app.store.damage();
    if caller != app.operator {
        found.retain(|damage| damage.tenant.as_deref() == Some(caller.as_str()));
    }
    let found: Vec<Value> = found.iter().map(body).collect();
    Json(json!({"status": "success", "data": found}))
}

fn body(damage: &Damage) -> Value {
    json!({
        "kind": damage.kind.name(),
        "path": damage.path,
        "reason": damage.reason,
        "table": damage.table,
        "tenant": damage.tenant,
        "date": damage.date,
        "rowsLost": damage.rows_lost,
        "foundNs": damage.found_ns.to_string(),
    })
}
