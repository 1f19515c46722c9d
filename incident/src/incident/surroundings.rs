//! What ties services in one graph, worked out once for each of them: in a storm every alert is compared with every other.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use demarc_proto::EntityId;
use demarc_topology::{Graph, RelationKind};

/// The surroundings of services in one graph.
#[derive(Debug)]
pub(crate) struct Surroundings {
    graph: Arc<Graph>,
    /// All that a service calls, directly or not, with itself, and all that carries it.
    known: BTreeMap<EntityId, [BTreeSet<EntityId>; 2]>,
}

impl Surroundings {
    pub(crate) fn of(graph: Arc<Graph>) -> Self {
        Self {
            graph,
            known: BTreeMap::new(),
        }
    }

    /// Whether one calls the other, directly or not, both call the same service, or something carries both.
    pub(crate) fn are_connected(&mut self, a: &EntityId, b: &EntityId) -> bool {
        for id in [a, b] {
            if !self.known.contains_key(id) {
                let around = [reach(&self.graph, id), ground(&self.graph, id)];
                self.known.insert(id.clone(), around);
            }
        }
        let mut pairs = self.known[a].iter().zip(&self.known[b]);
        pairs.any(|(a, b)| !a.is_disjoint(b))
    }
}

fn reach(graph: &Graph, from: &EntityId) -> BTreeSet<EntityId> {
    let mut found = BTreeSet::new();
    let mut open = vec![from.clone()];
    while let Some(next) = open.pop() {
        if found.insert(next.clone()) {
            let calls = graph.outgoing(&next, RelationKind::Calls);
            open.extend(calls.map(|one| one.to.clone()));
        }
    }
    found
}

fn ground(graph: &Graph, id: &EntityId) -> BTreeSet<EntityId> {
    let carriers = graph.carriers_of(id).into_iter();
    carriers.map(|entity| entity.id.clone()).collect()
}
