//! Rules and alerts, as the Prometheus HTTP API shows them.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State};
use demarc_proto::Nanos;
use demarc_rules::{Alert, Rule};
use serde_json::{Value as Body, json};

use super::prometheus::{number, success};
use crate::{app::App, status::ApiError, tenant::Tenant};

pub(crate) async fn alerts(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
) -> Result<Json<Body>, ApiError> {
    let alerts: Vec<Body> = app.rules.alerts(&tenant).await.iter().map(alert).collect();
    success(json!({"alerts": alerts}))
}

pub(crate) async fn rules(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
) -> Result<Json<Body>, ApiError> {
    let active = app.rules.alerts(&tenant).await;
    let groups = app.rules.groups(&tenant).await;
    let groups: Vec<Body> = groups
        .iter()
        .map(|(group, evaluated_at)| {
            let rules: Vec<Body> = group.rules.iter().map(|one| rule(one, &active)).collect();
            json!({
                "name": group.name,
                "file": "",
                "interval": group.interval.map_or(0.0, |interval| interval.as_secs_f64()),
                "limit": group.limit,
                "lastEvaluation": evaluated_at.map(time),
                "rules": rules,
            })
        })
        .collect();
    success(json!({"groups": groups}))
}

fn rule(rule: &Rule, active: &[Alert]) -> Body {
    match rule {
        Rule::Record(rule) => json!({
            "type": "recording", "name": rule.name, "query": rule.expr, "labels": rule.labels, "health": "ok",
        }),
        Rule::Alert(rule) => {
            let own: Vec<&Alert> = active
                .iter()
                .filter(|alert| {
                    alert.labels.get("alertname") == rule.name && alert.expr == rule.expr
                })
                .collect();
            let state = if own.iter().any(|alert| alert.state.is_firing()) {
                "firing"
            } else if own.is_empty() {
                "inactive"
            } else {
                "pending"
            };
            json!({
                "type": "alerting", "name": rule.name, "query": rule.expr, "state": state, "health": "ok",
                "duration": rule.timing.hold.as_secs_f64(),
                "keepFiringFor": rule.timing.keep.as_secs_f64(),
                "labels": rule.labels, "annotations": rule.annotations,
                "alerts": own.into_iter().map(alert).collect::<Vec<_>>(),
            })
        }
    }
}

fn alert(alert: &Alert) -> Body {
    let labels: BTreeMap<&str, &str> = alert.labels.iter().collect();
    json!({
        "labels": labels,
        "annotations": alert.annotations,
        "state": alert.state.as_str(),
        "activeAt": time(alert.state.since()),
        "value": number(alert.value),
    })
}

fn time(at: Nanos) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(at.0))
        .map(|at| at.to_string())
        .unwrap_or_default()
}
