//! The alerts that were active when the process last stopped, read back from the series that they were written as.
//!
//! Without this, a pending alert would wait its whole `for` again after a restart, and one that ceased while nobody looked would
//! never be resolved. Source: Prometheus, `rules/manager.go` ("restore the 'for' state"); time spent down does not count as
//! time in which the condition held.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use demarc_proto::{Labels, METRIC_NAME, Millis, Nanos, TenantId};
use demarc_query::{Engine, Value};

use crate::{Alert, AlertRule, AlertState, Group, Rule, RulesError};

/// Series that ended longer ago say nothing of now. Source: Prometheus, `--rules.alert.for-outage-tolerance`.
const TOLERANCE_MS: i64 = 3_600_000;
/// How long PromQL finds a sample after its time.
const LOOKBACK_MS: i64 = 300_000;

/// What is known of an alert from its series.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Trace {
    /// Since when its condition held.
    since: Nanos,
    /// When it was evaluated last.
    last: Millis,
}

/// The alerts of a group that were active at its last evaluation, by rule and labels, as of `now`.
pub(crate) async fn alerts(
    engine: &Engine,
    tenant: &TenantId,
    group: &Group,
    (interval, now): (Duration, Nanos),
) -> Result<BTreeMap<(usize, Labels), Alert>, RulesError> {
    let mut restored = BTreeMap::new();
    for (at, rule) in group.rules.iter().enumerate() {
        let Rule::Alert(rule) = rule else { continue };
        for (labels, trace) in traces(engine, tenant, rule, (interval, now)).await? {
            let alert = Alert {
                tenant: tenant.clone(),
                labels: labels.clone(),
                annotations: BTreeMap::new(),
                value: f64::NAN,
                state: state(trace, rule, now),
                expr: rule.expr.clone(),
            };
            restored.insert((at, labels), alert);
        }
    }
    Ok(restored)
}

/// What the alert was in when it was evaluated last, moved on by the time in which nobody evaluated it.
fn state(trace: Trace, rule: &AlertRule, now: Nanos) -> AlertState {
    let last = trace.last.to_nanos();
    let hold = rule.timing.hold;
    if last.since(trace.since) >= hold {
        return AlertState::Firing {
            since: trace.since,
            fired_at: trace.since.plus(hold),
        };
    }
    AlertState::Pending {
        since: trace.since.plus(now.since(last)),
    }
}

/// The rule's series that were alive at their last sample, without the name under which they are written.
async fn traces(
    engine: &Engine,
    tenant: &TenantId,
    rule: &AlertRule,
    (interval, now): (Duration, Nanos),
) -> Result<Vec<(Labels, Trace)>, RulesError> {
    let selector = selector(rule);
    let now = now.to_millis();
    let range = format!("{selector}[{TOLERANCE_MS}ms]");
    let Value::Matrix(series) = engine.instant(tenant, &range, now).await?.value else {
        return Ok(Vec::new());
    };
    let mut by_last: BTreeMap<i64, Vec<(Labels, Nanos)>> = BTreeMap::new();
    for (labels, samples) in series {
        let last = samples.last();
        let Some((time, since)) = last.and_then(|point| Some((point.time, point.float()?))) else {
            continue;
        };
        let since = Nanos::from_secs_f64(since);
        by_last.entry(time.0).or_default().push((labels, since));
    }
    let interval = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
    let mut found = Vec::new();
    for (last, series) in by_last {
        // An alert that ended was marked so one interval after its last sample; one that was cut off was not.
        let after = last.saturating_add(interval.saturating_mul(3) / 2);
        let at = after.min(last + LOOKBACK_MS - 1).min(now.0);
        let alive = alive(engine, tenant, &selector, Millis(at)).await?;
        for (mut labels, since) in series {
            if alive.contains(&labels) {
                labels.set(METRIC_NAME, "");
                let last = Millis(last);
                found.push((labels, Trace { since, last }));
            }
        }
    }
    Ok(found)
}

async fn alive(
    engine: &Engine,
    tenant: &TenantId,
    selector: &str,
    at: Millis,
) -> Result<BTreeSet<Labels>, RulesError> {
    let Value::Vector(vector) = engine.instant(tenant, selector, at).await?.value else {
        return Ok(BTreeSet::new());
    };
    Ok(vector.into_iter().map(|(labels, _)| labels).collect())
}

/// Selects the series of one rule: by its name, and by its own labels where they are no templates.
fn selector(rule: &AlertRule) -> String {
    let mut matchers = vec![format!("alertname={:?}", rule.name)];
    let fixed = rule.labels.iter().filter(|(_, text)| !text.contains("{{"));
    matchers.extend(fixed.map(|(name, text)| format!("{name}={text:?}")));
    format!("ALERTS_FOR_STATE{{{}}}", matchers.join(", "))
}
