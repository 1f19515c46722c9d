//! The page's model: every text ready to be shown.

use std::collections::BTreeSet;

use askama::Template;
use demarc_incident::{
    Candidate, EvidenceItem, Incident, IncidentState, Outcome, Suspect, Verdict,
};
use demarc_proto::OwnerId;
use demarc_topology::Responsibility;
use jiff::{Timestamp, tz::TimeZone};

use crate::{
    Language,
    words::{self, Words, words},
};

#[derive(Debug, Template)]
#[template(path = "incident.html")]
pub(crate) struct Page<'a> {
    w: &'a Words,
    language: &'a str,
    id: &'a str,
    title: &'a str,
    reader: String,
    status: &'a str,
    began: String,
    detected: String,
    suffering: Vec<String>,
    conclusion: Option<Conclusion>,
    inconclusive: Option<Undecided>,
    evidence: Vec<Fact>,
    missing: Vec<(String, String)>,
    impact: Vec<(String, String, String, String)>,
    timeline: Vec<(String, String)>,
}

#[derive(Debug)]
struct Conclusion {
    suspect: Named,
    confidence: String,
    runner_up: Option<Named>,
    runner_up_confidence: String,
}

#[derive(Debug)]
struct Undecided {
    reason: String,
    candidates: Vec<(Named, String)>,
}

#[derive(Debug)]
struct Named {
    layer: &'static str,
    owner: Option<String>,
    contract: Option<String>,
    rota: Option<String>,
    entity: String,
    cause: String,
    culprit: Option<String>,
}

#[derive(Debug)]
struct Fact {
    id: String,
    role: &'static str,
    statement: String,
    before: String,
    during: String,
    query: String,
    query_tenant: String,
}

/// How texts are made: in which language, with whose names, in which time zone.
pub(crate) struct Maker<'a> {
    pub(crate) language: Language,
    pub(crate) responsibility: &'a Responsibility,
    pub(crate) zone: TimeZone,
}

impl<'a> Maker<'a> {
    /// The page of an incident that is already cut to its reader.
    pub(crate) fn page(&self, incident: &'a Incident, tenant: &str) -> Page<'a> {
        let verdict = incident.verdict();
        let (status, w) = (self.status(incident), words(self.language));
        let suffering: BTreeSet<String> = incident
            .alerts
            .iter()
            .map(|alert| {
                let name = alert.service.0.rsplit('/').next().unwrap_or_default();
                format!("{name} {}", words::symptom(alert.symptom, self.language))
            })
            .collect();
        Page {
            w,
            language: self.language.tag(),
            id: &incident.id,
            title: match self.language {
                Language::Zh => &incident.title.zh,
                Language::En => &incident.title.en,
            },
            reader: self.reader(tenant),
            status,
            began: verdict.map_or_else(String::new, |verdict| self.time(verdict.onset)),
            detected: self.time(incident.opened_at),
            suffering: suffering.into_iter().collect(),
            conclusion: verdict.and_then(|verdict| self.conclusion(verdict)),
            inconclusive: verdict.and_then(|verdict| self.undecided(verdict)),
            evidence: verdict.map_or_else(Vec::new, |verdict| {
                verdict
                    .evidence
                    .iter()
                    .map(|item| self.fact(item))
                    .collect()
            }),
            missing: verdict.map_or_else(Vec::new, |verdict| {
                let missing = verdict.missing.iter();
                let why = |one: &demarc_incident::MissingSignal| {
                    self.language.pick(&one.why_zh, &one.why_en).to_owned()
                };
                missing
                    .map(|one| (one.entity.0.clone(), why(one)))
                    .collect()
            }),
            impact: verdict.map_or_else(Vec::new, |verdict| self.impact(verdict)),
            timeline: incident
                .timeline
                .iter()
                .map(|entry| {
                    (
                        self.time(entry.at),
                        self.language.of(&entry.text).to_owned(),
                    )
                })
                .collect(),
        }
    }

    fn status(&self, incident: &Incident) -> &'a str {
        let w = words(self.language);
        match incident.state {
            IncidentState::Open => w.open,
            IncidentState::Resolved { .. } => w.resolved,
        }
    }

    fn reader(&self, tenant: &str) -> String {
        let party = self.responsibility.party_of_tenant(tenant);
        party.map_or_else(
            || tenant.to_owned(),
            |(_, party)| self.language.name(&party.name).to_owned(),
        )
    }

    fn conclusion(&self, verdict: &Verdict) -> Option<Conclusion> {
        let Outcome::Determined {
            suspect,
            confidence,
            runner_up,
        } = &verdict.outcome
        else {
            return None;
        };
        Some(Conclusion {
            suspect: self.named(suspect),
            confidence: percent(*confidence),
            runner_up: runner_up
                .as_ref()
                .map(|candidate| self.named(&candidate.suspect)),
            runner_up_confidence: runner_up
                .as_ref()
                .map_or_else(String::new, |candidate| percent(candidate.confidence)),
        })
    }

    fn undecided(&self, verdict: &Verdict) -> Option<Undecided> {
        let Outcome::Inconclusive { reason, candidates } = &verdict.outcome else {
            return None;
        };
        let shown = |one: &Candidate| (self.named(&one.suspect), percent(one.confidence));
        Some(Undecided {
            reason: self.language.of(reason).to_owned(),
            candidates: candidates.iter().map(shown).collect(),
        })
    }

    fn named(&self, suspect: &Suspect) -> Named {
        let culprit = suspect.culprit.as_ref().map(|culprit| {
            let owner = suspect
                .culprit_owner
                .as_ref()
                .map(|owner| self.owner(owner));
            owner.map_or_else(|| culprit.clone(), |owner| format!("{culprit}（{owner}）"))
        });
        Named {
            layer: words::layer(suspect.layer, self.language),
            owner: suspect.owner.as_ref().map(|owner| self.owner(owner)),
            contract: suspect.contract.clone(),
            rota: suspect.rota.clone(),
            entity: suspect.entity_name.clone(),
            cause: self.language.of(&suspect.cause.words()).to_owned(),
            culprit,
        }
    }

    fn owner(&self, id: &OwnerId) -> String {
        let party = self.responsibility.parties.get(id);
        party.map_or_else(
            || id.0.clone(),
            |party| self.language.name(&party.name).to_owned(),
        )
    }

    fn fact(&self, item: &EvidenceItem) -> Fact {
        let unit = if item.unit.starts_with('{') {
            ""
        } else {
            &item.unit
        };
        Fact {
            id: item.id.clone(),
            role: words::role(item.role, self.language),
            statement: self.language.of(&item.statement).to_owned(),
            before: figure(item.expected, unit),
            during: figure(item.observed, unit),
            query: item.query.text.clone(),
            query_tenant: item.query.tenant.clone(),
        }
    }

    fn impact(&self, verdict: &Verdict) -> Vec<(String, String, String, String)> {
        let rows = verdict.impact.iter().map(|one| {
            let name = one
                .service
                .0
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .to_owned();
            let owner = one
                .owner
                .as_ref()
                .map(|owner| self.owner(owner))
                .unwrap_or_default();
            let ratio = one
                .latency_ratio
                .map_or_else(String::new, |ratio| format!("{ratio:.1}×"));
            (name, owner, ratio, percent(one.error_ratio))
        });
        rows.collect()
    }

    fn time(&self, nanoseconds: i64) -> String {
        let at = Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or_default();
        at.to_zoned_datetime(self.zone.clone())
            .strftime("%Y-%m-%d %H:%M:%S %:z")
            .to_string()
    }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// Three significant digits, or whole numbers from a hundred on.
fn figure(value: f64, unit: &str) -> String {
    let size = value.abs();
    let text = if size >= 100.0 || value == 0.0 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else if size >= 1.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.3}")
    };
    if unit.is_empty() {
        text
    } else {
        format!("{text} {unit}")
    }
}
