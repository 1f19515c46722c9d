//! Changes that somebody reports: deployments, configuration, scaling, migrations, restarts, maintenance.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{Json, body::Bytes, extract::State};
use demarc_proto::{AttrValue, Attributes, EntityId, Nanos, TenantId};
use demarc_store::{ChangeRow, Rows};
use serde::Deserialize;
use serde_json::{Value as Body, json};

use super::{params, prometheus::success};
use crate::{app::App, status::ApiError, tenant::Tenant};

/// What a change can be.
const KINDS: [&str; 6] = [
    "deployment",
    "config",
    "scaling",
    "migration",
    "restart",
    "maintenance",
];

/// Most changes of one request.
const MOST: usize = 10_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reported {
    kind: String,
    what: String,
    /// Unix seconds or RFC 3339; now when absent.
    time: Option<Body>,
    /// An entity's id; the alternative is the name of one of the tenant's services.
    entity: Option<String>,
    service: Option<String>,
    #[serde(default)]
    who: String,
    #[serde(default)]
    attributes: BTreeMap<String, Body>,
}

/// Takes one change, or a list of them. When it answers, they are durable.
pub(crate) async fn report(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    body: Bytes,
) -> Result<Json<Body>, ApiError> {
    let body: Body = serde_json::from_slice(&body)
        .map_err(|error| ApiError::bad_request(format!("body: {error}")))?;
    let list = match body {
        Body::Array(list) => list,
        one => vec![one],
    };
    if list.len() > MOST {
        return Err(ApiError::bad_request(format!(
            "body: holds {} changes; must hold {MOST} at most",
            list.len()
        )));
    }
    let mut rows = Rows::default();
    for (at, one) in list.into_iter().enumerate() {
        let row = change(&app, &tenant, one);
        let row = row.map_err(|fault| ApiError::bad_request(format!("changes[{at}].{fault}")))?;
        rows.changes.push(row);
    }
    let count = rows.changes.len();
    app.store
        .append(&tenant, rows)
        .await
        .map_err(|error| ApiError::internal(&error))?;
    success(json!({"accepted": count}))
}

fn change(app: &App, tenant: &TenantId, body: Body) -> Result<ChangeRow, String> {
    let reported: Reported = serde_json::from_value(body).map_err(|error| error.to_string())?;
    if !KINDS.contains(&reported.kind.as_str()) {
        let known = KINDS.join(", ");
        return Err(format!("kind {:?}: must be one of {known}", reported.kind));
    }
    let entity = match (&reported.entity, &reported.service) {
        (Some(id), None) => EntityId(id.clone()),
        (None, Some(name)) => EntityId::service(tenant, None, name),
        _ => return Err("entity: exactly one of entity and service must be given".to_owned()),
    };
    app.topology.may_tell_of(tenant, "entity", &entity)?;
    let tolerance = Duration::from_secs(app.ingest.config().future_tolerance_seconds);
    let now = app.clock.now();
    let time = reported.time.map_or(Ok(now), |time| when(&time))?;
    if time > now.plus(tolerance) {
        return Err(format!("time {time}: must not be in the future"));
    }
    Ok(ChangeRow {
        time,
        kind: reported.kind,
        entity: Some(entity),
        who: reported.who,
        what: reported.what,
        attributes: reported
            .attributes
            .into_iter()
            .map(|(key, value)| (key, attribute(value)))
            .collect::<Attributes>(),
    })
}

fn when(time: &Body) -> Result<Nanos, String> {
    match time {
        Body::String(text) => params::time(text),
        Body::Number(seconds) => params::time(&seconds.to_string()),
        other => Err(format!("{other} is neither Unix seconds nor a time")),
    }
    .map_err(|fault| format!("time: {fault}"))
}

fn attribute(value: Body) -> AttrValue {
    match value {
        Body::String(text) => AttrValue::Str(text),
        Body::Bool(truth) => AttrValue::Bool(truth),
        other => AttrValue::Json(other.to_string()),
    }
}
