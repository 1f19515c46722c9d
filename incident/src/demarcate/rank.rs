//! All suspects on one scale, the likeliest first.

use std::{cmp::Ordering, collections::BTreeMap};

use demarc_proto::EntityId;
use demarc_topology::Layer;

use super::{
    contention, explain,
    locate::{Located, Place},
    parameters::{CONFIDENCE, OTHERS, STATED},
    score::{Score, is_detailed, layer, scores},
    suspect::{Hypothesis, hypotheses},
};
use crate::{Cause, Evidence, EvidenceItem, ProcessFact, Signal, SymptomKind};

/// A suspect.
#[derive(Clone, Debug)]
pub(crate) struct Ranked {
    pub(crate) entity: EntityId,
    pub(crate) layer: Layer,
    pub(crate) cause: Cause,
    pub(crate) culprit: Option<ProcessFact>,
    /// Whether what accuses it is measured at it.
    pub(crate) is_measured: bool,
    /// How strongly it is accused, 0 to 1.
    pub(crate) weight: f64,
    /// The chance that it is right, 0 to 1.
    pub(crate) confidence: f64,
    pub(crate) facts: Vec<EvidenceItem>,
}

/// All suspects, the likeliest first, one per entity and cause.
pub(crate) fn rank(evidence: &Evidence, symptom: SymptomKind, located: &[Located]) -> Vec<Ranked> {
    let mut found = hypotheses(evidence, located);
    if is_detailed(evidence) {
        // What is only a place is told better by what happens there.
        found.retain(|one| one.is_stated);
    }
    let direct = direct(&found, located);
    let scores = scores(evidence, symptom, &direct);
    let mut ranked: Vec<Ranked> = found
        .into_iter()
        .map(|one| {
            let score = scores.get(&one.entity).filter(|_| one.is_stated);
            stated(evidence, one, score)
        })
        .collect();
    for (entity, score) in &scores {
        let is_known = ranked
            .iter()
            .any(|one| one.entity == *entity && one.weight >= STATED);
        if !is_known {
            ranked.push(scored(evidence, entity, score));
        }
    }
    ranked.retain(|one| one.weight > 0.0);
    ranked.sort_by(|a, b| b.weight.total_cmp(&a.weight).then_with(|| by_name(a, b)));
    trust(&mut ranked);
    ranked
}

/// What is accused by a state change, and where calls were not answered: whoever called there is excused.
fn direct(found: &[Hypothesis], located: &[Located]) -> BTreeMap<EntityId, f64> {
    let mut direct: BTreeMap<EntityId, f64> = BTreeMap::new();
    let stated = found.iter().filter(|one| one.is_stated);
    let stated = stated.map(|one| (&one.entity, one.weight));
    let unanswered = located.iter().filter_map(|one| match &one.place {
        Place::Peer(_, to) => Some((to, one.share)),
        _ => None,
    });
    for (entity, weight) in stated.chain(unanswered) {
        let known = direct.entry(entity.clone()).or_default();
        *known = known.max(weight.min(1.0));
    }
    direct
}

/// A suspect for whose cause a state change speaks, and whatever else accuses the same entity.
fn stated(evidence: &Evidence, one: Hypothesis, score: Option<&Score<'_>>) -> Ranked {
    let weight = one.weight.min(1.0);
    Ranked {
        layer: layer_of(evidence, &one.entity, one.cause),
        weight: score.map_or(weight, |score| score.total(weight)),
        confidence: 0.0,
        entity: one.entity,
        cause: one.cause,
        culprit: one.culprit,
        is_measured: false,
        facts: one.facts,
    }
}

/// A suspect that is accused by what is measured at it.
fn scored(evidence: &Evidence, entity: &EntityId, score: &Score<'_>) -> Ranked {
    let layer = layer(evidence, entity, score);
    let cause = match layer {
        Layer::Compute if score.usage.memory > score.usage.cpu => Cause::MemorySaturation,
        Layer::Compute => Cause::CpuSaturation,
        Layer::Network => Cause::NetworkDelay,
        _ if score.structure.score > 0.0 => Cause::CodeError,
        Layer::Application if score.own > 0.0 && is_measured(evidence, entity) => Cause::CodeError,
        _ => Cause::Unknown,
    };
    Ranked {
        entity: entity.clone(),
        layer,
        cause,
        culprit: None,
        // Time that a service spends on a full processor may be its code's or its neighbours'.
        is_measured: score.structure.score > 0.0 || !contention::is_full(evidence, entity),
        weight: score.total(0.0),
        confidence: 0.0,
        facts: explain::score(evidence, entity, (layer, score)),
    }
}

/// Whether all that carries an entity was looked at and has room, so that a slowness of its own is its code's.
fn is_measured(evidence: &Evidence, entity: &EntityId) -> bool {
    let carriers = evidence.carriers_of(entity);
    let has_cpu = |carrier: &EntityId| {
        let kinds = [Signal::PodCpuLimit, Signal::PodCpu, Signal::HostCpu];
        kinds
            .into_iter()
            .any(|kind| evidence.signal(carrier, kind).is_some())
    };
    !carriers.is_empty() && carriers.iter().all(has_cpu) && !contention::is_full(evidence, entity)
}

/// The layer in which the fault is: that of its cause where the cause names one, else that of its entity.
fn layer_of(evidence: &Evidence, entity: &EntityId, cause: Cause) -> Layer {
    match cause {
        Cause::NoisyNeighbour | Cause::CpuSaturation | Cause::MemorySaturation => Layer::Compute,
        Cause::NetworkDelay | Cause::NetworkLoss => Layer::Network,
        Cause::DiskSaturation | Cause::IoSaturation => Layer::Storage,
        _ => evidence
            .entities
            .get(entity)
            .map_or(Layer::Application, |facts| facts.layer),
    }
}

/// Gives each suspect the chance that it is right: by how strongly it is accused, and by its lead over all others. Two state changes
/// that both explain the symptom leave either with its share; a lesser cause in the same layer of the same entity does not
/// contest where the fault is.
fn trust(ranked: &mut [Ranked]) {
    for at in 0..ranked.len() {
        let (stronger, rest) = ranked.split_at(at);
        let (Some(one), weaker) = (rest.first(), rest.get(1..).unwrap_or_default()) else {
            continue;
        };
        let elsewhere = |other: &&Ranked| other.entity != one.entity || other.layer != one.layer;
        let rivals = stronger.iter().chain(weaker.iter().filter(elsewhere));
        let confidence = chance(one, rivals);
        if let Some(one) = ranked.get_mut(at) {
            one.confidence = confidence;
        }
    }
}

/// The chance that a suspect is right, beside its rivals, the likeliest first.
fn chance<'a>(one: &Ranked, mut rivals: impl Iterator<Item = &'a Ranked> + Clone) -> f64 {
    let (constant, of_weight, of_lead) = CONFIDENCE;
    let lead = one.weight - rivals.clone().next().map_or(0.0, |rival| rival.weight);
    let odds = constant + of_weight * one.weight + of_lead * lead;
    let confidence = 1.0 / (1.0 + (-odds).exp());
    match rivals.find(|rival| !rival.is_measured) {
        Some(rival) if !one.is_measured => {
            confidence.min(one.weight / (one.weight + rival.weight + OTHERS))
        }
        _ => confidence,
    }
}

fn by_name(a: &Ranked, b: &Ranked) -> Ordering {
    (&a.entity, a.cause).cmp(&(&b.entity, b.cause))
}
