//! What a matrix decides, and what another would decide otherwise.

use std::collections::BTreeMap;

use demarc_proto::{EntityId, OwnerId};

use crate::{Graph, Responsibility};

/// What a matrix decides of one graph.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Review {
    /// How many entities each rule decides; one that decides none is out of force, shadowed or matches nothing.
    pub decided: Vec<usize>,
    /// How many relations each edge rule decides.
    pub decided_edges: Vec<usize>,
    /// The entities that nobody answers for.
    pub unowned: Vec<EntityId>,
}

/// What another matrix would decide otherwise.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OwnerChange {
    /// An entity's id, or a relation in words.
    pub what: String,
    /// Who answers now.
    pub from: Option<OwnerId>,
    /// Who would answer.
    pub to: Option<OwnerId>,
}

impl Responsibility {
    /// What the matrix decides of a graph, at the graph's time.
    pub fn review(&self, graph: &Graph) -> Review {
        let mut review = Review {
            decided: vec![0; self.rules.len()],
            decided_edges: vec![0; self.edges.len()],
            unowned: Vec::new(),
        };
        for entity in graph.entities.values() {
            match self.answer_for(entity, graph.at).and_then(|one| one.rule) {
                Some(rule) => review.decided[rule] += 1,
                None => review.unowned.push(entity.id.clone()),
            }
        }
        for (relation, ends) in graph.relations_with_ends() {
            let answer = self.answer_for_edge(relation, ends, graph.at);
            if let Some(rule) = answer.and_then(|one| one.rule) {
                review.decided_edges[rule] += 1;
            }
        }
        review
    }

    /// What this matrix decides otherwise than `before`, sorted.
    pub fn changes_from(&self, before: &Self, graph: &Graph) -> Vec<OwnerChange> {
        let mut changes = BTreeMap::new();
        let mut note = |what: String, from: Option<OwnerId>, to: Option<OwnerId>| {
            if from != to {
                changes.insert(what.clone(), OwnerChange { what, from, to });
            }
        };
        let at = graph.at;
        for entity in graph.entities.values() {
            let owner = |matrix: &Self| matrix.answer_for(entity, at).map(|one| one.owner);
            note(entity.id.to_string(), owner(before), owner(self));
        }
        for (relation, ends) in graph.relations_with_ends() {
            let owner = |matrix: &Self| {
                let answer = matrix.answer_for_edge(relation, ends, at);
                answer.map(|one| one.owner)
            };
            let (from, to) = (&relation.from, &relation.to);
            let words = format!("{from} {} {to}", relation.kind.as_str());
            note(words, owner(before), owner(self));
        }
        changes.into_values().collect()
    }
}
