//! From evidence to a verdict; pure.
//!
//! `locate` says where the lost time, or the failed requests, come from; `suspect` asks at each place which state change was measured
//! or announced there; `score` weighs what accuses an entity by itself (saturation, lateness, changed behaviour, time that nothing
//! below explains); `rank` puts both on one scale; `explain` puts it into words; `impact` lists who suffers.

mod change;
mod contention;
mod explain;
mod gap;
mod impact;
mod level;
mod locate;
mod parameters;
mod proportion;
mod rank;
mod reach;
mod score;
mod structure;
mod suspect;
mod usage;

use crate::{
    Bilingual, Candidate, Cause, Evidence, EvidenceItem, Outcome, Suspect, SymptomKind, Verdict,
};
use explain::rounded;
use locate::locate;
pub(crate) use proportion::wilson;
use rank::Ranked;

/// Most candidates that a verdict lists.
const MAX_CANDIDATES: usize = 10;

/// Says where the fault is, or that it cannot be said.
///
/// `min_confidence`: the share of all explanations, 0 to 1, from which on the first suspect is named.
pub fn demarcate(evidence: &Evidence, min_confidence: f64) -> Verdict {
    let symptom = seen(evidence);
    let mut items = explain::symptom(evidence, symptom);
    let ranked = ranked(evidence, symptom);
    let candidates: Vec<Candidate> = ranked
        .iter()
        .take(MAX_CANDIDATES)
        .map(|one| Candidate {
            suspect: suspect(evidence, one),
            confidence: rounded(one.confidence),
        })
        .collect();
    let is_accused = ranked
        .first()
        .is_some_and(|one| one.weight >= parameters::ACCUSED);
    if symptom.is_none() && !is_accused {
        let outcome = Outcome::Inconclusive {
            reason: quiet(evidence),
            candidates: Vec::new(),
        };
        return verdict(evidence, evidence.symptom, outcome, (items, candidates));
    }
    if let Some(one) = ranked.first() {
        items.extend(one.facts.iter().cloned());
    }
    items.extend(explain::ruled_out(evidence, &ranked));
    let outcome = decide(&ranked, candidates.clone(), min_confidence);
    let symptom = symptom.unwrap_or(evidence.symptom);
    verdict(evidence, symptom, outcome, (items, candidates))
}

/// How strongly the first suspect is accused, 0 to 1.
pub(crate) fn strongest(evidence: &Evidence) -> f64 {
    let ranked = ranked(evidence, seen(evidence));
    ranked.first().map_or(0.0, |one| one.weight)
}

fn ranked(evidence: &Evidence, symptom: Option<SymptomKind>) -> Vec<Ranked> {
    let located = symptom.map_or_else(Vec::new, |symptom| locate(evidence, symptom));
    let kind = symptom.unwrap_or(evidence.symptom);
    rank::rank(evidence, kind, &located)
}

fn quiet(evidence: &Evidence) -> Bilingual {
    if evidence.services.contains_key(&evidence.service) {
        return Bilingual::new(
            "在该时间窗内，此服务的时延、错误率和流量都没有明显变化",
            "duration, errors and traffic of this service did not change within the window",
        );
    }
    Bilingual::new(
        "该时间窗内没有此服务的调用链数据",
        "there are no spans of this service within the window",
    )
}

fn decide(ranked: &[Ranked], candidates: Vec<Candidate>, min_confidence: f64) -> Outcome {
    let mut candidates = candidates.into_iter();
    let (Some(first), Some(place)) = (candidates.next(), ranked.first()) else {
        let reason = Bilingual::new(
            "症状确实存在，但在已有数据中找不到发生变化的位置",
            "the symptom is there, but nothing in the data at hand changed with it",
        );
        return Outcome::Inconclusive {
            reason,
            candidates: Vec::new(),
        };
    };
    // A place that is measured itself may be named though nothing says what changed there; one that is only inferred may not.
    let is_named = first.suspect.cause != Cause::Unknown || place.is_measured;
    let is_accused = place.weight >= parameters::ACCUSED;
    if first.confidence >= min_confidence && is_accused && is_named {
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
    (mut items, ranking): (Vec<EvidenceItem>, Vec<Candidate>),
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
        ranking,
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
        // Times of peace of another hour or day have another traffic.
        SymptomKind::Traffic if !evidence.history.is_empty() => false,
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

fn suspect(evidence: &Evidence, ranked: &Ranked) -> Suspect {
    let facts = evidence.entities.get(&ranked.entity);
    let culprit = ranked.culprit.as_ref();
    Suspect {
        layer: ranked.layer,
        owner: facts.and_then(|facts| facts.owner.clone()),
        contract: facts.and_then(|facts| facts.contract.clone()),
        rota: facts.and_then(|facts| facts.rota.clone()),
        entity: ranked.entity.clone(),
        entity_name: evidence.name(&ranked.entity),
        cause: ranked.cause,
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
