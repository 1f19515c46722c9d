//! Rules and alerts, as the Prometheus HTTP API shows them.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State};
use demarc_proto::Labels;
use demarc_query::selects;
use demarc_rules::{Alert, GroupView, Rule, RuleHealth};
use serde_json::{Value as Body, json};

use super::{
    number::number,
    params::Params,
    prometheus::{status::rfc3339, success},
};
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
    params: Params,
) -> Result<Json<Body>, ApiError> {
    let filter = Filter::of(&params)?;
    let active = app.rules.alerts(&tenant).await;
    let mut groups = app.rules.groups(&tenant).await;
    groups.retain(|view| filter.takes_group(view));
    groups.sort_by(|a, b| (&a.file, &a.group.name).cmp(&(&b.file, &b.group.name)));
    let mut shown = Vec::new();
    let mut next = None;
    for view in filter.page(&groups)? {
        let body = group(view, &filter, &active)?;
        let is_empty = body["rules"].as_array().is_none_or(Vec::is_empty);
        if is_empty && filter.is_narrow() {
            continue;
        }
        if filter.group_limit.is_some_and(|limit| shown.len() == limit) {
            next = Some(token(view));
            break;
        }
        shown.push(body);
    }
    let mut data = json!({"groups": shown});
    if let Some(next) = next {
        data["groupNextToken"] = json!(next);
    }
    success(data)
}

/// Which rules are asked for.
struct Filter {
    kind: Option<&'static str>,
    names: Vec<String>,
    groups: Vec<String>,
    files: Vec<String>,
    selectors: Vec<String>,
    without_alerts: bool,
    group_limit: Option<usize>,
    group_next: Option<String>,
}

impl Filter {
    fn of(params: &Params) -> Result<Self, ApiError> {
        let kind = match params.get("type").map(str::to_lowercase).as_deref() {
            None => None,
            Some("alert") => Some("alerting"),
            Some("record") => Some("recording"),
            Some(other) => {
                let fault = format!("not supported value {other:?}: must be alert or record");
                return Err(ApiError::parameter("type", fault));
            }
        };
        let filter = Self {
            kind,
            names: params.all("rule_name[]"),
            groups: params.all("rule_group[]"),
            files: params.all("file[]"),
            selectors: params.all("match[]"),
            without_alerts: params.flag("exclude_alerts")?,
            group_limit: params.limit("group_limit")?,
            group_next: params.get("group_next_token").map(str::to_owned),
        };
        if filter.group_next.is_some() && filter.group_limit.is_none() {
            let fault = "group_limit needs to be set in order to paginate over the groups";
            return Err(ApiError::parameter("group_limit", fault));
        }
        Ok(filter)
    }

    /// Whether single rules are left out, so that a group without any is not worth showing.
    fn is_narrow(&self) -> bool {
        self.kind.is_some() || !self.names.is_empty() || !self.selectors.is_empty()
    }

    fn takes_group(&self, view: &GroupView) -> bool {
        let is_among = |wanted: &[String], own: &str| {
            wanted.is_empty() || wanted.iter().any(|one| one.as_str() == own)
        };
        is_among(&self.groups, &view.group.name) && is_among(&self.files, &view.file)
    }

    fn takes_rule(&self, kind: &str, name: &str, labels: &Labels) -> Result<bool, ApiError> {
        let is_named = self.names.is_empty() || self.names.iter().any(|one| one == name);
        if !is_named || self.kind.is_some_and(|wanted| wanted != kind) {
            return Ok(false);
        }
        if self.selectors.is_empty() {
            return Ok(true);
        }
        selects(&self.selectors, labels).map_err(|fault| ApiError::of_text("match[]", fault))
    }

    /// The groups from the one that the last page ended before.
    fn page<'a>(&self, groups: &'a [GroupView]) -> Result<&'a [GroupView], ApiError> {
        let Some(next) = &self.group_next else {
            return Ok(groups);
        };
        let from = groups.iter().position(|view| token(view) == *next);
        let gone = || {
            let fault = format!("{next:?}: no group has it; were rule groups changed?");
            ApiError::parameter("group_next_token", fault)
        };
        Ok(&groups[from.ok_or_else(gone)?..])
    }
}

/// Names a group in the link to the next page.
fn token(view: &GroupView) -> String {
    const_hex::encode(format!("{};{}", view.file, view.group.name))
}

fn group(view: &GroupView, filter: &Filter, active: &[Alert]) -> Result<Body, ApiError> {
    let mut rules = Vec::new();
    for (at, one) in view.group.rules.iter().enumerate() {
        let (kind, name, labels) = match one {
            Rule::Record(rule) => ("recording", &rule.name, &rule.labels),
            Rule::Alert(rule) => ("alerting", &rule.name, &rule.labels),
        };
        let own = Labels::from_pairs(labels);
        if filter.takes_rule(kind, name, &own)? {
            let mut body = rule(one, active, filter);
            told(&mut body, view, view.health.get(at));
            rules.push(body);
        }
    }
    let took: f64 = view.health.iter().map(|one| one.took.as_secs_f64()).sum();
    Ok(json!({
        "name": view.group.name,
        "file": view.file,
        "interval": view.interval.as_secs_f64(),
        "limit": view.group.limit,
        "evaluationTime": took,
        "lastEvaluation": last_evaluation(view),
        "rules": rules,
    }))
}

/// What Go writes for a time that never was.
const NEVER: &str = "0001-01-01T00:00:00Z";

fn last_evaluation(view: &GroupView) -> String {
    view.evaluated_at.map_or_else(|| NEVER.to_owned(), rfc3339)
}

/// Adds how the last evaluation went.
fn told(body: &mut Body, view: &GroupView, health: Option<&RuleHealth>) {
    let error = health.and_then(|health| health.error.as_deref());
    body["health"] = json!(match health {
        None => "unknown",
        Some(_) if error.is_some() => "err",
        Some(_) => "ok",
    });
    if let Some(error) = error {
        body["lastError"] = json!(error);
    }
    body["evaluationTime"] = json!(health.map_or(0.0, |health| health.took.as_secs_f64()));
    body["lastEvaluation"] = json!(last_evaluation(view));
}

fn rule(rule: &Rule, active: &[Alert], filter: &Filter) -> Body {
    let rule = match rule {
        Rule::Record(rule) => {
            return json!({
                "type": "recording", "name": rule.name, "query": rule.expr, "labels": rule.labels,
            });
        }
        Rule::Alert(rule) => rule,
    };
    let is_own =
        |alert: &&Alert| alert.labels.get("alertname") == rule.name && alert.expr == rule.expr;
    let own: Vec<&Alert> = active.iter().filter(is_own).collect();
    let state = if own.iter().any(|alert| alert.state.is_firing()) {
        "firing"
    } else if own.is_empty() {
        "inactive"
    } else {
        "pending"
    };
    let mut body = json!({
        "type": "alerting", "name": rule.name, "query": rule.expr, "state": state,
        "duration": rule.timing.hold.as_secs_f64(),
        "keepFiringFor": rule.timing.keep.as_secs_f64(),
        "labels": rule.labels, "annotations": rule.annotations,
    });
    if !filter.without_alerts {
        body["alerts"] = own.into_iter().map(alert).collect();
    }
    body
}

fn alert(alert: &Alert) -> Body {
    let labels: BTreeMap<&str, &str> = alert.labels.iter().collect();
    json!({
        "labels": labels,
        "annotations": alert.annotations,
        "state": alert.state.as_str(),
        "activeAt": rfc3339(alert.state.since()),
        "value": number(alert.value),
    })
}
