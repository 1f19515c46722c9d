//! Time that is lost between the two sides of calls, and which end of them it accuses.

use std::collections::BTreeMap;

use demarc_proto::EntityId;

use super::parameters::{
    COMPUTE_EXPLAINS_NETWORK, GAP_HALF_MS, GAP_MIN_BEFORE, GAP_NOISE_MS, GAP_UNSURE,
    OUTGOING_WEIGHT,
};
use crate::{Evidence, GapFacts};

/// How far each entity's network is late, 0 to 1. An edge that is late accuses the end that other late edges share.
///
/// `compute`: how far the entity's processor is saturated, which explains the same lateness.
pub(crate) fn network(
    evidence: &Evidence,
    compute: impl Fn(&EntityId) -> f64,
) -> BTreeMap<EntityId, f64> {
    let mut incoming: BTreeMap<&EntityId, BTreeMap<&EntityId, f64>> = BTreeMap::new();
    let mut outgoing: BTreeMap<&EntityId, BTreeMap<&EntityId, f64>> = BTreeMap::new();
    for call in &evidence.calls {
        let Some(gap) = &call.gap else { continue };
        let late = effect(gap);
        incoming
            .entry(&call.to)
            .or_default()
            .insert(&call.from, late);
        outgoing
            .entry(&call.from)
            .or_default()
            .insert(&call.to, late);
    }
    let mut scores = BTreeMap::new();
    let ends: std::collections::BTreeSet<&EntityId> =
        incoming.keys().chain(outgoing.keys()).copied().collect();
    for entity in ends {
        let none = BTreeMap::new();
        let callers = incoming.get(entity).unwrap_or(&none).iter();
        let ins: Vec<f64> = callers
            .map(|(caller, late)| late * (1.0 - mean_of_others(&outgoing[*caller], entity, 2)))
            .collect();
        let called = outgoing.get(entity).unwrap_or(&none).iter();
        let outs: Vec<f64> = called
            .map(|(called, late)| late * (1.0 - mean_of_others(&incoming[*called], entity, 1)))
            .collect();
        let mut score = 0.0;
        if !ins.is_empty() {
            score = 0.5 * ins.iter().copied().fold(0.0, f64::max) + 0.5 * mean(&ins);
        }
        if outs.len() >= 2 {
            score = f64::max(score, OUTGOING_WEIGHT * mean(&outs));
        }
        let excused = (compute(entity) / COMPUTE_EXPLAINS_NETWORK).min(1.0);
        scores.insert(entity.clone(), score * (1.0 - excused));
    }
    scores
}

/// How late the calls of one edge are, 0 to 1.
fn effect(gap: &GapFacts) -> f64 {
    let usual_spread = (gap.before_high_ms - gap.before_ms).max(0.0);
    let late = gap.during_ms - gap.before_ms - 2.0 * usual_spread - GAP_NOISE_MS;
    if late <= 0.0 {
        return 0.0;
    }
    let count = gap.during_count as f64;
    let is_known = gap.before_count >= GAP_MIN_BEFORE;
    let sureness = if is_known { 1.0 } else { GAP_UNSURE };
    late / (late + GAP_HALF_MS) * count / (count + 2.0) * sureness
}

fn mean_of_others(edges: &BTreeMap<&EntityId, f64>, but: &EntityId, least: usize) -> f64 {
    let others: Vec<f64> = edges
        .iter()
        .filter(|(end, _)| **end != but)
        .map(|(_, late)| *late)
        .collect();
    if others.len() >= least {
        mean(&others)
    } else {
        0.0
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}
