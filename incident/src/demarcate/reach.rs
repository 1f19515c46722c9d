//! Who calls whom, directly and not, by spans and by the graph.

use std::collections::{BTreeMap, BTreeSet};

use demarc_proto::EntityId;

use crate::Evidence;

/// The calls of a system, closed over.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    callees: BTreeMap<EntityId, BTreeSet<EntityId>>,
    callers: BTreeMap<EntityId, BTreeSet<EntityId>>,
    below: BTreeMap<EntityId, BTreeSet<EntityId>>,
    above: BTreeMap<EntityId, BTreeSet<EntityId>>,
    none: BTreeSet<EntityId>,
}

impl Reach {
    /// The calls that evidence tells of.
    pub(crate) fn of(evidence: &Evidence) -> Self {
        let mut reach = Self::default();
        let by_spans = evidence.calls.iter().map(|call| (&call.from, &call.to));
        let by_graph = evidence.edges.iter().map(|(from, to)| (from, to));
        for (from, to) in by_spans.chain(by_graph) {
            let callees = reach.callees.entry(from.clone()).or_default();
            callees.insert(to.clone());
            let callers = reach.callers.entry(to.clone()).or_default();
            callers.insert(from.clone());
        }
        for from in reach.callees.keys() {
            let below = reach.from(from, |_| true);
            for to in &below {
                let above = reach.above.entry(to.clone()).or_default();
                above.insert(from.clone());
            }
            reach.below.insert(from.clone(), below);
        }
        reach
    }

    /// What an entity calls itself.
    pub(crate) fn callees(&self, id: &EntityId) -> &BTreeSet<EntityId> {
        self.callees.get(id).unwrap_or(&self.none)
    }

    /// Who calls an entity itself.
    pub(crate) fn callers(&self, id: &EntityId) -> &BTreeSet<EntityId> {
        self.callers.get(id).unwrap_or(&self.none)
    }

    /// Whether an entity calls and is not called, as far as is known.
    pub(crate) fn is_start(&self, id: &EntityId) -> bool {
        self.callers(id).is_empty() && !self.callees(id).is_empty()
    }

    /// All that an entity calls, directly or not.
    pub(crate) fn below(&self, id: &EntityId) -> &BTreeSet<EntityId> {
        self.below.get(id).unwrap_or(&self.none)
    }

    /// All that calls an entity, directly or not.
    pub(crate) fn above(&self, id: &EntityId) -> &BTreeSet<EntityId> {
        self.above.get(id).unwrap_or(&self.none)
    }

    /// An entity, and all that calls tie to it, in either direction.
    pub(crate) fn tied(&self, id: &EntityId) -> BTreeSet<EntityId> {
        let mut found = BTreeSet::from([id.clone()]);
        let mut open = vec![id];
        while let Some(next) = open.pop() {
            for other in self.callees(next).iter().chain(self.callers(next)) {
                if found.insert(other.clone()) {
                    open.push(other);
                }
            }
        }
        found
    }

    /// All that is reached from an entity over callees that `follow` takes; not itself.
    pub(crate) fn from(
        &self,
        id: &EntityId,
        follow: impl Fn(&EntityId) -> bool,
    ) -> BTreeSet<EntityId> {
        let mut found = BTreeSet::new();
        let mut open = vec![id];
        while let Some(next) = open.pop() {
            for callee in self.callees(next) {
                if callee != id && follow(callee) && found.insert(callee.clone()) {
                    open.push(callee);
                }
            }
        }
        found
    }
}
