//! From evidence to a verdict; pure.
//!
//! `locate` says where the lost time, or the failed requests, come from; `suspect` asks at each place what changed there; the
//! suspects' weights become shares; `explain` puts it into words; `impact` lists who suffers.

mod contention;
mod explain;
mod impact;
mod locate;
mod suspect;

use std::cmp::Ordering;

use demarc_topology::Layer;

use crate::{
    Bilingual, Candidate, Cause, Evidence, EvidenceItem, Outcome, Suspect, SymptomKind, Verdict,
};
use explain::rounded;
use locate::locate;
use suspect::{Hypothesis, hypotheses};

/// Weight of all that nobody thought of.
const PRIOR_OF_OTHERS: f64 = 0.12;

/// Says where the fault is, or that it cannot be said.
///
/// `min_confidence`: the share of all explanations, 0 to 1, from which on the first suspect is named.
pub fn demarcate(evidence: &Evidence, min_confidence: f64) -> Verdict {
    let symptom = seen(evidence);
    let mut items = explain::symptom(evidence, symptom);
    let Some(symptom) = symptom else {
        let reason = if evidence.services.contains_key(&evidence.service) {
            Bilingual::new(
                "在该时间窗内，此服务的时延、错误率和流量都没有明显变化",
                "duration, errors and traffic of this service did not change within the window",
            )
        } else {
            Bilingual::new(
                "该时间窗内没有此服务的调用链数据",
                "there are no spans of this service within the window",
            )
        };
        let outcome = Outcome::Inconclusive {
            reason,
            candidates: Vec::new(),
        };
        return verdict(evidence, evidence.symptom, outcome, items);
    };
    let mut found = hypotheses(evidence, &locate(evidence, symptom));
    found.sort_by(|a, b| b.weight.total_cmp(&a.weight).then_with(|| by_name(a, b)));
    let total: f64 = found.iter().map(|one| one.weight).sum::<f64>() + PRIOR_OF_OTHERS;
    let candidates: Vec<Candidate> = found
        .iter()
        .map(|one| Candidate {
            suspect: suspect(evidence, one),
            confidence: rounded(one.weight / total),
        })
        .collect();
    if let Some(one) = found.first() {
        items.extend(one.facts.iter().cloned());
    }
    items.extend(explain::ruled_out(evidence, &found));
    let outcome = decide(candidates, min_confidence);
    verdict(evidence, symptom, outcome, items)
}

fn decide(candidates: Vec<Candidate>, min_confidence: f64) -> Outcome {
    let mut candidates = candidates.into_iter();
    let Some(first) = candidates.next() else {
        let reason = Bilingual::new(
            "症状确实存在，但在已有数据中找不到发生变化的位置",
            "the symptom is there, but nothing in the data at hand changed with it",
        );
        return Outcome::Inconclusive {
            reason,
            candidates: Vec::new(),
        };
    };
    let is_named = first.suspect.cause != Cause::Unknown;
    if first.confidence >= min_confidence && is_named {
        let runner_up = candidates.next().map(Box::new);
        let Candidate {
            suspect,
            confidence,
        } = first;
        return Outcome::Determined {
            suspect,
            confidence,
            runner_up,
        };
    }
    let reason = if is_named {
        Bilingual::new(
            "没有一个嫌疑的把握足够大",
            "no suspect is likely enough to be named",
        )
    } else {
        Bilingual::new(
            "能定位到变化发生的位置，但没有证据说明原因",
            "the place of the change is found, but nothing says what changed there",
        )
    };
    Outcome::Inconclusive {
        reason,
        candidates: [first].into_iter().chain(candidates.take(4)).collect(),
    }
}

fn verdict(
    evidence: &Evidence,
    symptom: SymptomKind,
    outcome: Outcome,
    mut items: Vec<EvidenceItem>,
) -> Verdict {
    for (at, item) in items.iter_mut().enumerate() {
        item.id = format!("e{}", at + 1);
    }
    Verdict {
        tenant: evidence.tenant.clone(),
        service: evidence.service.clone(),
        symptom,
        onset: evidence.onset,
        until: evidence.until,
        outcome,
        evidence: items,
        missing: evidence.missing.clone(),
        impact: impact::impact(evidence),
    }
}

/// What is wrong with the service: what was asked for where it is there, else what is.
fn seen(evidence: &Evidence) -> Option<SymptomKind> {
    let facts = evidence.services.get(&evidence.service)?;
    // Whoever asks without naming a symptom has seen something: less of a change is needed to believe it.
    let asked = evidence.symptom == SymptomKind::Any;
    let is_there = |kind: SymptomKind| match kind {
        SymptomKind::Errors => facts.errors.rose_by(0.02),
        SymptomKind::Latency => {
            let (shift, usual) = (&facts.latency_ms, facts.latency_ms.before.unwrap_or(0.0));
            let hinted = shift.delta() >= (0.1 * usual).max(1.5 * shift.spread).max(2.0);
            shift.rose_by((0.3 * usual).max(2.0)) || (asked && shift.before.is_some() && hinted)
        }
        SymptomKind::Traffic => facts
            .rate
            .before
            .is_some_and(|before| before > 0.1 && facts.rate.during.unwrap_or(0.0) < 0.3 * before),
        SymptomKind::Any => false,
    };
    let order = [
        evidence.symptom,
        SymptomKind::Errors,
        SymptomKind::Latency,
        SymptomKind::Traffic,
    ];
    order.into_iter().find(|kind| is_there(*kind))
}

fn suspect(evidence: &Evidence, hypothesis: &Hypothesis) -> Suspect {
    let facts = evidence.entities.get(&hypothesis.entity);
    let culprit = hypothesis.culprit.as_ref();
    Suspect {
        layer: layer(evidence, hypothesis),
        owner: facts.and_then(|facts| facts.owner.clone()),
        entity: hypothesis.entity.clone(),
        entity_name: evidence.name(&hypothesis.entity),
        cause: hypothesis.cause,
        culprit: culprit.map(|culprit| culprit.name.clone()),
        culprit_service: culprit.and_then(|culprit| culprit.service.clone()),
        culprit_owner: culprit.and_then(|culprit| {
            evidence
                .entities
                .get(culprit.service.as_ref()?)?
                .owner
                .clone()
        }),
    }
}

/// The layer in which the fault is: that of its cause where the cause names one, else that of its entity.
fn layer(evidence: &Evidence, hypothesis: &Hypothesis) -> Layer {
    match hypothesis.cause {
        Cause::NoisyNeighbour | Cause::CpuSaturation | Cause::MemorySaturation => Layer::Compute,
        Cause::NetworkDelay | Cause::NetworkLoss => Layer::Network,
        Cause::DiskSaturation | Cause::IoSaturation => Layer::Storage,
        _ => evidence
            .entities
            .get(&hypothesis.entity)
            .map_or(Layer::Application, |facts| facts.layer),
    }
}

fn by_name(a: &Hypothesis, b: &Hypothesis) -> Ordering {
    (&a.entity, a.cause).cmp(&(&b.entity, b.cause))
}
