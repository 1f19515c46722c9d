//! One disturbance: its alerts, its verdicts, its timeline. A document, kept and shown as it is.

pub(crate) mod surroundings;

use std::collections::{BTreeMap, BTreeSet};

use demarc_proto::{EntityId, Nanos};
use demarc_rules::{Alert, AlertEvent, Transition};
use demarc_topology::{Graph, RelationKind};
use serde::{Deserialize, Serialize};

use surroundings::Surroundings;

use crate::{Bilingual, Outcome, SymptomKind, Verdict};

/// One disturbance. Times are Unix nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// UUID, version 7.
    pub id: String,
    /// Whether it goes on.
    #[serde(flatten)]
    pub state: IncidentState,
    /// When its first alert fired.
    pub opened_at: i64,
    /// What it is, in a line.
    pub title: Bilingual,
    /// Tenants whose services suffer.
    pub tenants: BTreeSet<String>,
    /// Its alerts, in the order in which they fired.
    pub alerts: Vec<IncidentAlert>,
    /// Each version of its verdict, the newest last.
    pub verdicts: Vec<Verdict>,
    /// What happened, in order.
    pub timeline: Vec<TimelineEntry>,
}

/// Whether an incident goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum IncidentState {
    /// At least one alert fires.
    Open,
    /// None does.
    Resolved {
        /// Since when.
        resolved_at: i64,
    },
}

/// One alert of an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IncidentAlert {
    /// Whose.
    pub tenant: String,
    /// The service that it is about.
    pub service: EntityId,
    /// What is wrong with it.
    pub symptom: SymptomKind,
    /// Its labels with `alertname`.
    pub labels: BTreeMap<String, String>,
    /// Texts for people.
    pub annotations: BTreeMap<String, String>,
    /// The rule's query.
    pub expr: String,
    /// Since when its condition held.
    pub since: i64,
    /// When it began to fire.
    pub fired_at: i64,
    /// When it ceased to.
    pub resolved_at: Option<i64>,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimelineEntry {
    /// When.
    pub at: i64,
    /// What.
    pub text: Bilingual,
}

impl IncidentAlert {
    /// `None` for an alert that is about no service.
    pub(crate) fn of(alert: &Alert, fired_at: Nanos) -> Option<Self> {
        let label = |names: [&str; 2]| {
            names
                .into_iter()
                .map(|name| alert.labels.get(name))
                .find(|value| !value.is_empty())
        };
        let name = label(["service", "service_name"])?;
        let tenant = &alert.tenant;
        let service = match label(["service_namespace", "namespace"]) {
            Some(namespace) => format!("service:{tenant}/{namespace}/{name}"),
            None => format!("service:{tenant}/{name}"),
        };
        let symptom = match alert.labels.get("kind") {
            "errors" => SymptomKind::Errors,
            "latency" => SymptomKind::Latency,
            "traffic" => SymptomKind::Traffic,
            _ => SymptomKind::Any,
        };
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Some(Self {
            tenant: tenant.as_str().to_owned(),
            service: EntityId(service),
            symptom,
            labels: alert.labels.iter().map(owned).collect(),
            annotations: alert.annotations.clone(),
            expr: alert.expr.clone(),
            since: alert.state.since().0,
            fired_at: fired_at.0,
            resolved_at: None,
        })
    }

    fn is_same(&self, other: &Self) -> bool {
        self.tenant == other.tenant && self.labels == other.labels
    }
}

impl Incident {
    /// A new incident of one alert.
    pub(crate) fn open(id: String, alert: IncidentAlert) -> Self {
        let mut incident = Self {
            id,
            state: IncidentState::Open,
            opened_at: alert.fired_at,
            title: Bilingual::default(),
            tenants: BTreeSet::new(),
            alerts: Vec::new(),
            verdicts: Vec::new(),
            timeline: Vec::new(),
        };
        incident.entitle(alert.service.as_str(), alert.symptom);
        incident.join(alert);
        incident
    }

    /// Names the incident after the service that it is judged by.
    pub(crate) fn entitle(&mut self, service: &str, symptom: SymptomKind) {
        let name = service.rsplit('/').next().unwrap_or_default();
        let (zh, en) = match symptom {
            SymptomKind::Errors => ("请求失败", "fails requests"),
            SymptomKind::Latency => ("响应变慢", "answers late"),
            SymptomKind::Traffic => ("没有请求", "serves no requests"),
            SymptomKind::Any => ("异常", "is disturbed"),
        };
        self.title = Bilingual::new(format!("{name} {zh}"), format!("{name} {en}"));
    }

    /// Takes in one more alert.
    pub(crate) fn join(&mut self, alert: IncidentAlert) {
        let name = alert.labels.get("alertname").cloned().unwrap_or_default();
        let text = Bilingual::new(
            format!("告警 {name} 触发：{}", summary(&alert, "summary_zh")),
            format!("alert {name} fires: {}", summary(&alert, "summary")),
        );
        self.timeline.push(TimelineEntry {
            at: alert.fired_at,
            text,
        });
        self.tenants.insert(alert.tenant.clone());
        match self.alerts.iter_mut().find(|known| known.is_same(&alert)) {
            Some(known) => *known = alert,
            None => self.alerts.push(alert),
        }
        self.state = IncidentState::Open;
    }

    /// Takes note that an alert ceased to fire; whether it is one of this incident's.
    pub(crate) fn resolve(&mut self, alert: &IncidentAlert, at: Nanos) -> bool {
        let known = self.alerts.iter_mut().find(|known| known.is_same(alert));
        let Some(known) = known.filter(|known| known.resolved_at.is_none()) else {
            return false;
        };
        known.resolved_at = Some(at.0);
        let name = alert.labels.get("alertname").cloned().unwrap_or_default();
        let text = Bilingual::new(format!("告警 {name} 恢复"), format!("alert {name} ceases"));
        self.timeline.push(TimelineEntry { at: at.0, text });
        if self.alerts.iter().all(|alert| alert.resolved_at.is_some()) {
            self.state = IncidentState::Resolved { resolved_at: at.0 };
            let text = Bilingual::new("事件结束", "the incident is over");
            self.timeline.push(TimelineEntry { at: at.0, text });
        }
        true
    }

    /// Takes in a verdict; whether it says something else than the one before.
    pub(crate) fn conclude(&mut self, verdict: Verdict, at: Nanos) -> bool {
        let is_new = self
            .verdicts
            .last()
            .is_none_or(|last| !says_the_same(last, &verdict));
        if is_new {
            self.timeline.push(TimelineEntry {
                at: at.0,
                text: verdict_line(&verdict),
            });
        }
        for one in &verdict.impact {
            if !one.tenant.is_empty() {
                self.tenants.insert(one.tenant.clone());
            }
        }
        self.verdicts.push(verdict);
        is_new
    }

    /// Whether an alert belongs to this disturbance: it is open and recent, and the services are connected.
    pub(crate) fn is_joined_by(
        &self,
        alert: &IncidentAlert,
        surroundings: &mut Surroundings,
        gap: std::time::Duration,
    ) -> bool {
        let last = self
            .alerts
            .iter()
            .map(|known| known.fired_at)
            .max()
            .unwrap_or(self.opened_at);
        let is_recent = Nanos(alert.fired_at).since(Nanos(last)) <= gap;
        let is_known = self.alerts.iter().any(|known| known.is_same(alert));
        let mut connected = || {
            self.alerts
                .iter()
                .any(|known| surroundings.are_connected(&known.service, &alert.service))
        };
        self.state == IncidentState::Open && (is_known || (is_recent && connected()))
    }

    /// The newest verdict.
    pub fn verdict(&self) -> Option<&Verdict> {
        self.verdicts.last()
    }

    /// The alert to judge the incident by: of the services nearest to citizens, the one that fired first.
    pub(crate) fn leading_alert(&self, graph: &Graph) -> Option<&IncidentAlert> {
        let callers = |alert: &&IncidentAlert| {
            let disturbed = |id: &EntityId| self.alerts.iter().any(|known| known.service == *id);
            graph
                .incoming(&alert.service, RelationKind::Calls)
                .filter(|one| disturbed(&one.from))
                .count()
        };
        self.alerts
            .iter()
            .min_by_key(|alert| (callers(alert), alert.fired_at))
    }
}

impl TryFrom<&AlertEvent> for IncidentAlert {
    type Error = ();

    fn try_from(event: &AlertEvent) -> Result<Self, ()> {
        let mut alert = Self::of(&event.alert, event.at).ok_or(())?;
        if event.transition == Transition::Resolved {
            alert.resolved_at = Some(event.at.0);
        }
        Ok(alert)
    }
}

fn summary<'a>(alert: &'a IncidentAlert, name: &str) -> &'a str {
    let text = alert
        .annotations
        .get(name)
        .or(alert.annotations.get("summary"));
    text.map_or("", String::as_str)
}

fn says_the_same(a: &Verdict, b: &Verdict) -> bool {
    match (&a.outcome, &b.outcome) {
        (Outcome::Determined { suspect: one, .. }, Outcome::Determined { suspect: other, .. }) => {
            one == other
        }
        (Outcome::Inconclusive { .. }, Outcome::Inconclusive { .. }) => true,
        _ => false,
    }
}

fn verdict_line(verdict: &Verdict) -> Bilingual {
    match &verdict.outcome {
        Outcome::Determined {
            suspect,
            confidence,
            ..
        } => {
            let cause = suspect.cause.words();
            let percent = confidence * 100.0;
            Bilingual::new(
                format!(
                    "定界结论：{}，{}（把握 {percent:.0}%）",
                    suspect.entity_name, cause.zh
                ),
                format!(
                    "verdict: {}, {} ({percent:.0} % sure)",
                    suspect.entity_name, cause.en
                ),
            )
        }
        Outcome::Inconclusive { reason, .. } => Bilingual::new(
            format!("定界结论：无法判定，{}", reason.zh),
            format!("verdict: inconclusive, {}", reason.en),
        ),
    }
}
