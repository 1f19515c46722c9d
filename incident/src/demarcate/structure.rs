//! Whose behaviour changed first: changes of operations, explained away along calls.

use std::collections::{BTreeMap, BTreeSet};

use demarc_proto::EntityId;

use super::{
    change::{Change, change, is_known, vanished},
    parameters::{BACKGROUND_USUAL, BACKGROUND_WEIGHT, VANISHED_WEIGHT, VOTE_EFFECT},
    reach::Reach,
};
use crate::{Evidence, OperationFacts};

/// How far an entity's behaviour changed by itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Structure<'a> {
    /// 0 to 1.
    pub(crate) score: f64,
    /// The operation and the event that changed most there; `None` when only its callers say so.
    pub(crate) change: Option<(&'a OperationFacts, Change<'a>)>,
}

/// The changes of each entity that those below it do not explain.
///
/// `direct`: entities that are accused by a state change that was measured or announced there, each with its weight.
pub(crate) fn structure<'a>(
    evidence: &'a Evidence,
    reach: &Reach,
    direct: &BTreeMap<EntityId, f64>,
) -> BTreeMap<EntityId, Structure<'a>> {
    let mut board = Board::of(evidence);
    board.take_votes();
    let hard = |id: &EntityId| board.hard.get(id).copied().unwrap_or(0.0);
    let soft = |id: &EntityId| board.soft.get(id).copied().unwrap_or(0.0);
    let accused = |id: &EntityId| hard(id).max(direct.get(id).copied().unwrap_or(0.0));
    let greatest = |ids: &BTreeSet<EntityId>, of: &dyn Fn(&EntityId) -> f64| {
        ids.iter().map(of).fold(0.0, f64::max)
    };
    let entities: BTreeSet<&EntityId> = board.hard.keys().chain(board.soft.keys()).collect();
    let mut found = BTreeMap::new();
    for id in entities {
        let under = greatest(reach.below(id), &accused);
        let over = greatest(reach.above(id), &|other| hard(other).max(soft(other)));
        let changed = hard(id) - under;
        let vanished = VANISHED_WEIGHT * (soft(id) - under.max(over));
        let one = Structure {
            score: changed.max(vanished).max(0.0),
            change: board.why.get(id).cloned(),
        };
        found.insert(id.clone(), one);
    }
    found
}

#[derive(Debug, Default)]
struct Board<'a> {
    /// The greatest change of an entity's operations.
    hard: BTreeMap<EntityId, f64>,
    /// How surely a pattern of its operations vanished.
    soft: BTreeMap<EntityId, f64>,
    why: BTreeMap<EntityId, (&'a OperationFacts, Change<'a>)>,
    /// Callee -> caller -> how surely the caller's changed spans stopped at the callee.
    votes: BTreeMap<EntityId, BTreeMap<EntityId, f64>>,
}

impl<'a> Board<'a> {
    fn of(evidence: &'a Evidence) -> Self {
        let mut spans: BTreeMap<(&EntityId, &str), u64> = BTreeMap::new();
        for operation in &evidence.operations {
            let all = spans.entry((&operation.service, &operation.operation));
            *all.or_default() += operation.spans_before();
        }
        let mut board = Self::default();
        for operation in &evidence.operations {
            let all = spans[&(&operation.service, operation.operation.as_str())];
            board.take(operation, all);
        }
        board
    }

    /// Takes one operation in; `all` are its spans before, with any background.
    fn take(&mut self, operation: &'a OperationFacts, all: u64) {
        // What changed on the callers' side of a call accuses whom it calls.
        let accused = operation.peer.as_ref().unwrap_or(&operation.service);
        let is_clean = operation.background.is_empty();
        if is_clean {
            let soft = self.soft.entry(accused.clone()).or_default();
            *soft = soft.max(vanished(operation));
        }
        let Some(mut change) = change(operation) else {
            return;
        };
        let is_usual = operation.spans_before() as f64 >= BACKGROUND_USUAL * all as f64;
        if !is_clean && !is_usual {
            change.effect *= BACKGROUND_WEIGHT;
        }
        if change.effect > VOTE_EFFECT {
            self.vote(operation, (accused, change.effect));
        }
        let hard = self.hard.entry(accused.clone()).or_default();
        if change.effect > *hard {
            *hard = change.effect;
            self.why.insert(accused.clone(), (operation, change));
        }
    }

    /// Where did the changed spans stop?
    fn vote(&mut self, operation: &OperationFacts, (accused, effect): (&EntityId, f64)) {
        let mut stops: BTreeMap<&EntityId, u64> = BTreeMap::new();
        let mut total = 0;
        for pattern in &operation.during {
            if is_known(operation, &pattern.events) {
                continue;
            }
            total += pattern.count;
            for (callee, count) in &pattern.last {
                *stops.entry(callee).or_default() += count;
            }
        }
        for (callee, count) in stops {
            let votes = self.votes.entry(callee.clone()).or_default();
            let vote = votes.entry(accused.clone()).or_default();
            *vote = vote.max(effect * count as f64 / total.max(1) as f64);
        }
    }

    /// Two callers that stop at the same callee accuse it.
    fn take_votes(&mut self) {
        for (callee, votes) in std::mem::take(&mut self.votes) {
            let votes: Vec<f64> = votes
                .into_values()
                .filter(|vote| *vote > VOTE_EFFECT)
                .collect();
            let best = votes.iter().copied().fold(0.0, f64::max);
            let hard = self.hard.entry(callee.clone()).or_default();
            if votes.len() >= 2 && best > *hard {
                *hard = best;
                self.why.remove(&callee);
            }
        }
    }
}
