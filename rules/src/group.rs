//! One evaluation of one group for one tenant.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use demarc_proto::{Labels, METRIC_NAME, Nanos, TenantId};
use demarc_query::{Engine, PointValue, Value};
use demarc_store::{MetricKind, MetricRows, Rows, Sample, Store};

use crate::{
    AlertRule, AlertState, Condition, Group, RecordRule, Rule, RulesError, restore, step, template,
};

/// The bits of the NaN that ends a series. Source: Prometheus `model/value`, `StaleNaN`.
const STALE: u64 = 0x7ff0_0000_0000_0002;

/// One active alert.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// Whose data.
    pub tenant: TenantId,
    /// Its labels with `alertname`.
    pub labels: Labels,
    /// Texts for people.
    pub annotations: BTreeMap<String, String>,
    /// What the query returned last.
    pub value: f64,
    /// Pending or firing.
    pub state: AlertState,
    /// The rule's query.
    pub expr: String,
}

/// An alert began or ceased to fire.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertEvent {
    /// The alert.
    pub alert: Alert,
    /// Which of the two.
    pub transition: Transition,
    /// When.
    pub at: Nanos,
}

/// What an [`AlertEvent`] tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// It began to fire.
    Firing,
    /// It ceased to.
    Resolved,
}

/// How the last evaluation of one rule went.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleHealth {
    /// How long it took.
    pub took: Duration,
    /// Why it failed; `None` when it did not.
    pub error: Option<String>,
}

/// What is remembered of a group between evaluations.
#[derive(Debug, Default)]
pub(crate) struct GroupState {
    pub(crate) evaluated_at: Option<Nanos>,
    /// How the last evaluation went, by rule; empty before the first.
    pub(crate) health: Vec<RuleHealth>,
    /// By rule and labels.
    pub(crate) alerts: BTreeMap<(usize, Labels), Alert>,
    /// Series that the last evaluation wrote: they end when the next does not.
    written: BTreeSet<Labels>,
    /// Those of them that this evaluation has written already.
    recorded: BTreeSet<Labels>,
}

impl GroupState {
    /// Goes on with the alerts that another process left.
    fn resume(&mut self, alerts: BTreeMap<(usize, Labels), Alert>) {
        let series = alerts.values().flat_map(series_of);
        self.written = series.map(|(labels, _)| labels).collect();
        self.alerts = alerts;
    }

    fn written_now(
        &mut self,
        recorded: &BTreeMap<Labels, PointValue>,
        series: &mut BTreeMap<Labels, PointValue>,
    ) {
        self.recorded.extend(recorded.keys().cloned());
        let recorded = recorded.iter();
        series.extend(recorded.map(|(labels, value)| (labels.clone(), value.clone())));
    }
}

/// What one evaluation makes.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) events: Vec<AlertEvent>,
    pub(crate) failures: Vec<RulesError>,
}

/// Evaluates a group's rules in order; `interval` is the time between two evaluations.
///
/// What a recording rule yields is in the store before the next rule is evaluated. The first evaluation goes on from where the
/// process before this one stopped.
pub(crate) async fn evaluate(
    (engine, store): (&Engine, &Store),
    tenant: &TenantId,
    group: &Group,
    state: &mut GroupState,
    (interval, now): (Duration, Nanos),
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut series = BTreeMap::new();
    if state.evaluated_at.is_none() {
        match restore::alerts(engine, tenant, group, (interval, now)).await {
            Ok(alerts) => state.resume(alerts),
            Err(failure) => outcome.failures.push(failure),
        }
    }
    let mut health = Vec::with_capacity(group.rules.len());
    for at in 0..group.rules.len() {
        let begun = Instant::now();
        let turn = Turn {
            tenant,
            group,
            at,
            now,
        };
        let done = turn.evaluate((engine, store), state, &mut series, &mut outcome);
        let failure = done.await.err();
        health.push(RuleHealth {
            took: begun.elapsed(),
            error: failure.as_ref().map(chain),
        });
        outcome.failures.extend(failure);
    }
    state.health = health;
    series.extend(state.alerts.values().flat_map(series_of));
    let written = std::mem::take(&mut state.written);
    let recorded = std::mem::take(&mut state.recorded);
    let is_alerts = |labels: &Labels| !recorded.contains(labels);
    let mut last: BTreeMap<Labels, PointValue> = series
        .iter()
        .filter(|(labels, _)| is_alerts(labels))
        .map(|(labels, value)| (labels.clone(), value.clone()))
        .collect();
    for labels in written
        .into_iter()
        .filter(|labels| !series.contains_key(labels))
    {
        last.insert(labels, PointValue::Float(f64::from_bits(STALE)));
    }
    state.written = series.into_keys().collect();
    state.evaluated_at = Some(now);
    outcome
        .failures
        .extend(write(store, tenant, &last, now).await.err());
    outcome
}

/// The series as which an alert is written.
fn series_of(alert: &Alert) -> [(Labels, PointValue); 2] {
    let mut since = alert.labels.clone();
    since.set(METRIC_NAME, "ALERTS_FOR_STATE");
    let mut is_active = alert.labels.clone();
    is_active.set(METRIC_NAME, "ALERTS");
    is_active.set("alertstate", alert.state.as_str());
    let began = alert.state.since().as_secs_f64();
    [
        (since, PointValue::Float(began)),
        (is_active, PointValue::Float(1.0)),
    ]
}

/// One rule's turn within an evaluation.
struct Turn<'a> {
    tenant: &'a TenantId,
    group: &'a Group,
    /// Which rule.
    at: usize,
    now: Nanos,
}

impl Turn<'_> {
    async fn evaluate(
        &self,
        (engine, store): (&Engine, &Store),
        state: &mut GroupState,
        series: &mut BTreeMap<Labels, PointValue>,
        outcome: &mut Outcome,
    ) -> Result<(), RulesError> {
        let rule = &self.group.rules[self.at];
        let expr = match rule {
            Rule::Alert(rule) => &rule.expr,
            Rule::Record(rule) => &rule.expr,
        };
        let vector = query(engine, self.tenant, expr, self.now, self.group.limit).await?;
        match rule {
            Rule::Record(rule) => {
                let recorded = record(rule, vector);
                state.written_now(&recorded, series);
                write(store, self.tenant, &recorded, self.now).await?;
            }
            Rule::Alert(rule) => {
                let alerts = alerts(self.tenant, rule, numbers(vector), self.now);
                advance(self.at, rule, alerts, state, self.now, outcome);
            }
        }
        Ok(())
    }
}

/// A failure with all that caused it.
fn chain(failure: &RulesError) -> String {
    let mut text = failure.to_string();
    let mut source = std::error::Error::source(failure);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

async fn query(
    engine: &Engine,
    tenant: &TenantId,
    expr: &str,
    now: Nanos,
    limit: usize,
) -> Result<Vec<(Labels, PointValue)>, RulesError> {
    let answer = engine.instant(tenant, expr, now.to_millis()).await?;
    let vector = match answer.value {
        Value::Vector(vector) => vector
            .into_iter()
            .map(|(labels, point)| (labels, point.value))
            .collect(),
        Value::Scalar(_, value) => vec![(Labels::default(), PointValue::Float(value))],
        Value::Text(..) | Value::Matrix(_) => {
            return Err(RulesError::File(format!(
                "{expr:?} yields neither a vector nor a scalar"
            )));
        }
    };
    if limit > 0 && vector.len() > limit {
        let got = vector.len();
        return Err(RulesError::File(format!(
            "{expr:?} yields {got} series, over the limit {limit}"
        )));
    }
    Ok(vector)
}

fn record(rule: &RecordRule, vector: Vec<(Labels, PointValue)>) -> BTreeMap<Labels, PointValue> {
    let mut series = BTreeMap::new();
    for (mut labels, value) in vector {
        labels.set(METRIC_NAME, &rule.name);
        for (name, value) in &rule.labels {
            labels.set(name, value);
        }
        series.insert(labels, value);
    }
    series
}

async fn write(
    store: &Store,
    tenant: &TenantId,
    series: &BTreeMap<Labels, PointValue>,
    now: Nanos,
) -> Result<(), RulesError> {
    let time = now.to_millis();
    let metrics = series.iter().map(|(labels, value)| {
        let mut rows = MetricRows {
            labels: labels.clone(),
            ..MetricRows::default()
        };
        match value {
            PointValue::Float(value) => {
                rows.kind = MetricKind::Gauge;
                rows.samples.push(Sample::new(time, *value));
            }
            PointValue::Histogram(histogram) => {
                rows.kind = MetricKind::Histogram;
                rows.histograms.push((time, histogram.to_stored()));
            }
        }
        rows
    });
    let rows = Rows {
        metrics: metrics.collect(),
        ..Rows::default()
    };
    Ok(store.append(tenant, rows).await?)
}

/// The elements that are numbers: what an alert's value may be.
fn numbers(vector: Vec<(Labels, PointValue)>) -> Vec<(Labels, f64)> {
    let number = |(labels, value)| match value {
        PointValue::Float(value) => Some((labels, value)),
        PointValue::Histogram(_) => None,
    };
    vector.into_iter().filter_map(number).collect()
}

/// The alerts that a result stands for, all as if they had just begun.
fn alerts(
    tenant: &TenantId,
    rule: &AlertRule,
    vector: Vec<(Labels, f64)>,
    now: Nanos,
) -> Vec<Alert> {
    let alert = |(result, value): (Labels, f64)| {
        let expand = |text: &String| template::expand(text, &result, value);
        let mut labels = result.clone();
        labels.set(METRIC_NAME, "");
        for (name, text) in &rule.labels {
            labels.set(name, &expand(text));
        }
        labels.set("alertname", &rule.name);
        let annotations = rule.annotations.iter();
        Alert {
            tenant: tenant.clone(),
            labels,
            annotations: annotations
                .map(|(name, text)| (name.clone(), expand(text)))
                .collect(),
            value,
            state: AlertState::Pending { since: now },
            expr: rule.expr.clone(),
        }
    };
    vector.into_iter().map(alert).collect()
}

/// Steps each alert of one rule, those that the result no longer holds as well.
fn advance(
    rule_at: usize,
    rule: &AlertRule,
    found: Vec<Alert>,
    state: &mut GroupState,
    now: Nanos,
    outcome: &mut Outcome,
) {
    let mut present = BTreeSet::new();
    for mut alert in found {
        let key = (rule_at, alert.labels.clone());
        let before = state.alerts.get(&key).map(|known| known.state);
        present.insert(key.clone());
        let after = step(before, Condition::Holds, now, rule.timing);
        let Some(after) = after else { continue };
        alert.state = after;
        if after.is_firing() && !before.is_some_and(AlertState::is_firing) {
            let event = AlertEvent {
                alert: alert.clone(),
                transition: Transition::Firing,
                at: now,
            };
            outcome.events.push(event);
        }
        state.alerts.insert(key, alert);
    }
    let absent = |key: &(usize, Labels)| key.0 == rule_at && !present.contains(key);
    let absent: Vec<_> = state
        .alerts
        .keys()
        .filter(|key| absent(key))
        .cloned()
        .collect();
    for key in absent {
        let Some(mut alert) = state.alerts.remove(&key) else {
            continue;
        };
        match step(Some(alert.state), Condition::Absent, now, rule.timing) {
            Some(after) => {
                alert.state = after;
                state.alerts.insert(key, alert);
            }
            None if alert.state.is_firing() => {
                outcome.events.push(AlertEvent {
                    alert,
                    transition: Transition::Resolved,
                    at: now,
                });
            }
            None => {}
        }
    }
}
