//! What one tenant may see of an incident: nothing beyond its shared boundary.

use std::collections::BTreeSet;

use demarc_proto::{EntityId, TenantId};
use demarc_topology::Graph;

use crate::{
    Bilingual, Candidate, EvidenceItem, Incident, Outcome, Role, Suspect, TimelineEntry, Verdict,
};

/// A reader.
#[derive(Clone, Debug)]
pub struct Audience {
    tenant: TenantId,
    /// `None` for the operator, who sees everything.
    visible: Option<BTreeSet<EntityId>>,
}

/// What stands for another agency's things.
const OTHER_ZH: &str = "同一主机上的其他租户";
const OTHER_EN: &str = "another tenant of the same infrastructure";

impl Audience {
    /// `tenant` as a reader, where `operator` sees everything.
    pub fn new(tenant: &TenantId, operator: &TenantId, graph: &Graph) -> Self {
        let visible = (tenant != operator).then(|| {
            graph
                .visible_to(tenant, operator)
                .entities
                .into_keys()
                .collect()
        });
        Self {
            tenant: tenant.clone(),
            visible,
        }
    }

    /// Who reads.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    fn sees(&self, id: &EntityId) -> bool {
        self.visible.as_ref().is_none_or(|visible| {
            visible.contains(id) || id.0.contains(&format!(":{}/", self.tenant))
        })
    }

    /// The incident as this reader may see it.
    pub fn incident(&self, incident: &Incident) -> Incident {
        if self.visible.is_none() {
            return incident.clone();
        }
        let mut seen = incident.clone();
        seen.tenants.retain(|tenant| tenant == self.tenant.as_str());
        seen.alerts.retain(|alert| self.sees(&alert.service));
        let hidden: Vec<&str> = incident
            .alerts
            .iter()
            .filter(|alert| !self.sees(&alert.service))
            .filter_map(|alert| alert.service.0.rsplit('/').next())
            .collect();
        let is_visible =
            |entry: &TimelineEntry| !hidden.iter().any(|name| entry.text.en.contains(name));
        seen.timeline.retain(is_visible);
        if !seen.alerts.is_empty() && hidden.iter().any(|name| seen.title.en.contains(name)) {
            let name = seen.alerts[0]
                .service
                .0
                .rsplit('/')
                .next()
                .unwrap_or_default();
            seen.title = Bilingual::new(format!("{name} 异常"), format!("{name} is disturbed"));
        }
        seen.verdicts = incident
            .verdicts
            .iter()
            .map(|verdict| self.verdict(verdict))
            .collect();
        seen
    }

    /// The verdict as this reader may see it.
    pub fn verdict(&self, verdict: &Verdict) -> Verdict {
        let mut seen = verdict.clone();
        seen.impact.retain(|one| self.sees(&one.service));
        seen.missing.retain(|one| self.sees(&one.entity));
        let ranking = std::mem::take(&mut seen.ranking).into_iter();
        seen.ranking = ranking.map(|one| self.candidate(one)).collect();
        seen.evidence = verdict
            .evidence
            .iter()
            .map(|item| self.item(item))
            .collect();
        if !self.sees(&seen.service) {
            seen.evidence.retain(|item| item.role != Role::Symptom);
        }
        seen.outcome = match seen.outcome {
            Outcome::Determined {
                suspect,
                confidence,
                runner_up,
            } => Outcome::Determined {
                suspect: self.suspect(suspect),
                confidence,
                runner_up: runner_up.map(|candidate| Box::new(self.candidate(*candidate))),
            },
            Outcome::Inconclusive { reason, candidates } => Outcome::Inconclusive {
                reason,
                candidates: candidates
                    .into_iter()
                    .map(|one| self.candidate(one))
                    .collect(),
            },
        };
        seen
    }

    fn candidate(&self, candidate: Candidate) -> Candidate {
        Candidate {
            suspect: self.suspect(candidate.suspect),
            ..candidate
        }
    }

    fn suspect(&self, mut suspect: Suspect) -> Suspect {
        let hides_culprit = match &suspect.culprit_service {
            Some(service) => !self.sees(service),
            None => suspect.culprit.is_some(),
        };
        if hides_culprit {
            suspect.culprit = Some(format!("{OTHER_ZH} / {OTHER_EN}"));
            suspect.culprit_service = None;
            suspect.culprit_owner = None;
        }
        if !self.sees(&suspect.entity) {
            let kind = suspect
                .entity
                .0
                .split(':')
                .next()
                .unwrap_or_default()
                .to_owned();
            suspect.entity = EntityId(format!("{kind}:hidden"));
            suspect.entity_name = format!("{OTHER_ZH} / {OTHER_EN}");
            suspect.owner = None;
            suspect.contract = None;
            suspect.rota = None;
        }
        suspect
    }

    /// Keeps the figures of a fact that names what the reader may not see, and hides its words and its query.
    fn item(&self, item: &EvidenceItem) -> EvidenceItem {
        let names_hidden = !self.sees(&item.entity) || item.names.iter().any(|id| !self.sees(id));
        let mut seen = item.clone();
        if names_hidden {
            seen.statement = Bilingual::new(
                format!("{OTHER_ZH}的资源占用"),
                format!("what {OTHER_EN} uses"),
            );
            seen.names.clear();
            seen.query.text.clear();
            seen.query.tenant.clear();
            if !self.sees(&item.entity) {
                seen.entity = EntityId("hidden:".to_owned());
            }
        }
        seen
    }
}
