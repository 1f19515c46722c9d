//! The loop around the pure core: alerts to incidents, incidents and questions to verdicts, verdicts to checks.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use demarc_proto::{Clock, EntityId, Nanos, TenantId, TimeRange};
use demarc_query::Engine;
use demarc_rules::{AlertEvent, Transition};
use demarc_topology::{Graph, Topology};
use tokio::sync::Mutex;
use tracing::warn;

use crate::{
    Evidence, Incident, IncidentAlert, IncidentConfig, IncidentError, IncidentState, Registry,
    Symptom, SymptomKind, Verdict, demarcate,
    gather::{Shared, View, gather},
    incident::surroundings::Surroundings,
    seal::{digest, seal},
};

/// Turns alerts and questions into verdicts.
#[derive(Debug)]
pub struct Demarcation {
    engine: Arc<Engine>,
    topology: Arc<Topology>,
    registry: Registry,
    config: IncidentConfig,
    clock: Arc<dyn Clock>,
    /// One at a time: two alerts must not open two incidents of one disturbance.
    grouping: Mutex<()>,
}

/// "Why is X bad since 10:02?"
#[derive(Clone, Debug)]
pub struct Question {
    /// Whose service.
    pub tenant: TenantId,
    /// Its name, `namespace/name`, or id.
    pub service: String,
    /// What is wrong with it.
    pub symptom: SymptomKind,
    /// Since when.
    pub since: Nanos,
    /// Until when; `None` is now. What has not settled yet is left out.
    pub until: Option<Nanos>,
    /// Times of peace to compare with, besides those right before.
    pub history: Vec<TimeRange>,
}

/// Verdicts that are due together: they see the same graph, and what they read of the same times is read once.
#[derive(Debug)]
pub struct Round {
    now: Nanos,
    /// Until when telemetry has arrived.
    settled: Nanos,
    graph: Arc<Graph>,
    shared: Shared,
}

/// What running a verdict's queries again showed.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Verification {
    /// Whether the kept evidence leads to the same verdict, byte for byte.
    pub is_reproduced: bool,
    /// Evidence whose query returns what it returned.
    pub unchanged: Vec<String>,
    /// Evidence whose query returns something else now.
    pub changed: Vec<String>,
}

impl Demarcation {
    /// A demarcation over one engine's data.
    pub fn new(
        engine: Arc<Engine>,
        topology: Arc<Topology>,
        registry: Registry,
        config: IncidentConfig,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        Arc::new(Self {
            engine,
            topology,
            registry,
            config,
            clock,
            grouping: Mutex::default(),
        })
    }

    /// All incidents.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Answers a question.
    #[tracing::instrument(skip_all, err(level = "debug"), fields(tenant = %question.tenant))]
    pub async fn ask(&self, question: &Question) -> Result<Verdict, IncidentError> {
        let asked = question.until.unwrap_or_else(|| self.clock.now());
        let until = asked.min(self.settled());
        if question.since >= until {
            let sentence = format!(
                "since {}: must be before {until}, where evidence ends: what is younger than {} s may not have arrived yet \
                 (settle_seconds)",
                question.since, self.config.settle_seconds
            );
            return Err(IncidentError::Question(sentence));
        }
        let graph = self.topology.graph_at(asked);
        let symptom = Symptom {
            tenant: question.tenant.clone(),
            service: find(&graph, question)?,
            kind: question.symptom,
            since: question.since,
            until,
            history: question.history.clone(),
        };
        let (_, verdict) = self.judge(&graph, &symptom, &Shared::default()).await?;
        Ok(verdict)
    }

    /// Until when telemetry has arrived.
    fn settled(&self) -> Nanos {
        let settle = Duration::from_secs(self.config.settle_seconds);
        self.clock.now().minus(settle)
    }

    async fn judge(
        &self,
        graph: &Graph,
        symptom: &Symptom,
        shared: &Shared,
    ) -> Result<(Evidence, Verdict), IncidentError> {
        let operator = self.topology.operator();
        let responsibility = self.topology.responsibility_at(graph.at);
        let view = View {
            graph,
            responsibility: &responsibility,
            operator: operator.as_ref(),
        };
        let evidence = gather((&self.engine, shared), view, symptom, &self.config).await?;
        let mut verdict = demarcate(&evidence, self.config.min_confidence);
        seal((&self.engine, shared), &mut verdict).await?;
        Ok((evidence, verdict))
    }

    /// Takes alerts in; returns the incidents that they opened or ended.
    #[tracing::instrument(skip_all, err)]
    pub async fn alerts(&self, events: &[AlertEvent]) -> Result<Vec<Incident>, IncidentError> {
        let _one_at_a_time = self.grouping.lock().await;
        let mut told: Vec<Incident> = Vec::new();
        let mut open = self.registry.open_ones().await?;
        // Alerts of one evaluation fire at one time: the graph of each time is put together once.
        let mut graphs: BTreeMap<Nanos, Surroundings> = BTreeMap::new();
        for event in events {
            let Ok(alert) = IncidentAlert::try_from(event) else {
                warn!(
                    alert = event.alert.labels.get("alertname"),
                    "alert is about no service"
                );
                continue;
            };
            let known = open.len();
            let id = match event.transition {
                Transition::Firing => {
                    let at = Nanos(alert.fired_at);
                    let surroundings = graphs
                        .entry(at)
                        .or_insert_with(|| Surroundings::of(self.topology.graph_at(at)));
                    Some(self.fire(&mut open, alert, surroundings))
                }
                Transition::Resolved => open.iter_mut().find_map(|incident| {
                    incident
                        .resolve(&alert, event.at)
                        .then(|| incident.id.clone())
                }),
            };
            let Some(incident) = id.and_then(|id| open.iter().find(|one| one.id == id)) else {
                continue;
            };
            self.registry.save(incident).await?;
            let is_news = open.len() > known || !incident.is_open();
            let is_told = told.iter().any(|one| one.id == incident.id);
            told.retain(|one| one.id != incident.id);
            if is_news || is_told {
                told.push(incident.clone());
            }
        }
        Ok(told)
    }

    /// Puts a firing alert into the incident that it belongs to; returns that incident's id.
    fn fire(
        &self,
        open: &mut Vec<Incident>,
        alert: IncidentAlert,
        surroundings: &mut Surroundings,
    ) -> String {
        let gap = Duration::from_secs(self.config.grouping_seconds);
        let home = open
            .iter_mut()
            .find(|incident| incident.is_joined_by(&alert, surroundings, gap));
        if let Some(home) = home {
            home.join(alert);
            return home.id.clone();
        }
        let incident = Incident::open(uuid::Uuid::now_v7().to_string(), alert);
        let id = incident.id.clone();
        open.push(incident);
        id
    }

    /// The ids of open incidents whose verdict is due: those without one, and those that are to be renewed.
    pub async fn due(&self) -> Result<Vec<String>, IncidentError> {
        let now = self.clock.now();
        let open = self.registry.open_ones().await?;
        let is_due = |incident: &&Incident| match incident.verdicts.len() {
            0 => true,
            count => {
                let renewals = self.config.renewal_seconds.get(count - 1);
                let wait = renewals.map(|seconds| Duration::from_secs(*seconds));
                wait.is_some_and(|wait| now.since(Nanos(incident.opened_at)) >= wait)
            }
        };
        Ok(open
            .iter()
            .filter(is_due)
            .map(|incident| incident.id.clone())
            .collect())
    }

    /// A round of verdicts at this time.
    pub fn round(&self) -> Round {
        let now = self.clock.now();
        Round {
            now,
            settled: self.settled(),
            graph: self.topology.graph_at(now),
            shared: Shared::default(),
        }
    }

    /// Judges an incident anew; returns it where the verdict says something else than before.
    #[tracing::instrument(skip_all, err, fields(incident = id))]
    pub async fn conclude(
        &self,
        id: &str,
        round: &Round,
    ) -> Result<Option<Incident>, IncidentError> {
        let Some(incident) = self.registry.get(id).await? else {
            return Ok(None);
        };
        let (now, graph) = (round.now, &round.graph);
        let Some(alert) = incident.leading_alert(graph) else {
            return Ok(None);
        };
        let first = incident
            .alerts
            .iter()
            .map(|alert| alert.since)
            .min()
            .unwrap_or(alert.since);
        let tenant = TenantId::new(alert.tenant.clone())
            .map_err(|error| IncidentError::Question(error.to_string()))?;
        let symptom = Symptom {
            tenant,
            service: alert.service.clone(),
            kind: alert.symptom,
            since: Nanos(first),
            until: round.settled.max(Nanos(first).plus(Duration::from_secs(1))),
            history: Vec::new(),
        };
        let (evidence, verdict) = self.judge(graph, &symptom, &round.shared).await?;
        // Alerts may have come in meanwhile.
        let _one_at_a_time = self.grouping.lock().await;
        let Some(mut incident) = self.registry.get(id).await? else {
            return Ok(None);
        };
        incident.entitle(symptom.service.as_str(), verdict.symptom);
        let is_new = incident.conclude(verdict, now);
        self.registry
            .save_evidence(id, incident.verdicts.len(), &evidence)
            .await?;
        self.registry.save(&incident).await?;
        Ok(is_new.then_some(incident))
    }

    /// Runs the queries of an incident's newest verdict again; `None` when there is no such incident or no verdict yet.
    pub async fn verify(&self, id: &str) -> Result<Option<Verification>, IncidentError> {
        let Some(incident) = self.registry.get(id).await? else {
            return Ok(None);
        };
        let Some(verdict) = incident.verdict() else {
            return Ok(None);
        };
        let evidence = self.registry.evidence(id, incident.verdicts.len()).await?;
        let mut found = Verification {
            is_reproduced: evidence.is_some_and(|evidence| {
                let mut again = demarcate(&evidence, self.config.min_confidence);
                let seals = verdict
                    .evidence
                    .iter()
                    .map(|item| item.query.digest.clone());
                for (item, seal) in again.evidence.iter_mut().zip(seals) {
                    item.query.digest = seal;
                }
                again == *verdict
            }),
            unchanged: Vec::new(),
            changed: Vec::new(),
        };
        for item in &verdict.evidence {
            let is_same = digest(&self.engine, &item.query).await? == item.query.digest;
            let side = if is_same {
                &mut found.unchanged
            } else {
                &mut found.changed
            };
            side.push(item.id.clone());
        }
        Ok(Some(found))
    }
}

impl Incident {
    /// Whether it goes on.
    pub fn is_open(&self) -> bool {
        self.state == IncidentState::Open
    }
}

/// The service that a question is about.
fn find(graph: &Graph, question: &Question) -> Result<EntityId, IncidentError> {
    let tenant = &question.tenant;
    let own: Vec<_> = graph
        .entities
        .values()
        .filter(|entity| {
            entity.tenant.as_ref() == Some(tenant) && entity.id.0.starts_with("service:")
        })
        .collect();
    let wanted = &question.service;
    let suffix = format!("/{wanted}");
    let found = own.iter().find(|entity| {
        entity.name == *wanted || entity.id.0 == *wanted || entity.id.0.ends_with(&suffix)
    });
    found.map(|entity| entity.id.clone()).ok_or_else(|| {
        let names: Vec<&str> = own
            .iter()
            .map(|entity| entity.name.as_str())
            .take(20)
            .collect();
        let known = if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        };
        IncidentError::Question(format!(
            "service {wanted:?}: tenant {tenant} has no such service at that time; it has: {known}"
        ))
    })
}
