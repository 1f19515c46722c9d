//! The graph at one time.

mod carry;
mod visible;

use std::collections::{BTreeMap, BTreeSet};

use demarc_proto::{EntityId, Nanos};

use crate::{Entity, Relation, RelationKind, Responsibility, interval::Summable};

/// Entities and their relations at one time, with owners.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// When.
    pub at: Nanos,
    /// By id.
    pub entities: BTreeMap<EntityId, Entity>,
    /// Sorted by their ends and kind; both ends are entities of the graph.
    pub relations: Vec<Relation>,
    /// Places in `relations`, sorted by where these end.
    by_target: Vec<u32>,
}

impl Graph {
    /// A graph out of its parts: relations that have the same ends and kind are joined, those without an end are left out.
    pub fn new(
        at: Nanos,
        entities: BTreeMap<EntityId, Entity>,
        mut relations: Vec<Relation>,
    ) -> Self {
        relations.retain(|one| entities.contains_key(&one.from) && entities.contains_key(&one.to));
        // Stable: of those that are joined, the first told stays the first.
        relations.sort_by(|a, b| a.place().cmp(&b.place()));
        relations.dedup_by(|other, known| {
            let is_same = other.place() == known.place();
            if is_same {
                known.join(other);
            }
            is_same
        });
        let mut by_target: Vec<u32> = (0..relations.len() as u32).collect();
        by_target.sort_by(|a, b| {
            let (a, b) = (&relations[*a as usize], &relations[*b as usize]);
            (&a.to, &a.from, a.kind).cmp(&(&b.to, &b.from, b.kind))
        });
        Self {
            at,
            entities,
            relations,
            by_target,
        }
    }

    /// Names the owners of entities and relations at the graph's time.
    pub(crate) fn owned_by(mut self, responsibility: &Responsibility) -> Self {
        let at = self.at;
        for entity in self.entities.values_mut() {
            let answer = responsibility.answer_for(entity, at);
            entity.owner = answer.map(|answer| answer.owner);
        }
        let owners: Vec<_> = self
            .relations_with_ends()
            .map(|(one, ends)| {
                let has_edges = !responsibility.edges.is_empty();
                match has_edges {
                    true => responsibility
                        .answer_for_edge(one, ends, at)
                        .map(|answer| answer.owner),
                    // Without rules of their own, whoever answers for the end answers for the relation.
                    false => ends.1.owner.clone(),
                }
            })
            .collect();
        for (one, owner) in self.relations.iter_mut().zip(owners) {
            one.owner = owner;
        }
        self
    }

    /// Each relation with the entities at its ends.
    pub fn relations_with_ends(&self) -> impl Iterator<Item = (&Relation, (&Entity, &Entity))> {
        self.relations.iter().filter_map(|one| {
            let ends = (self.get(&one.from)?, self.get(&one.to)?);
            Some((one, ends))
        })
    }

    /// Without peers that were known by their name only and turned out to be something else.
    pub(crate) fn without_unreached(mut self) -> Self {
        let tied = self.relations.iter().flat_map(|one| [&one.from, &one.to]);
        let reached: BTreeSet<&EntityId> = tied.collect();
        self.entities
            .retain(|id, entity| !entity.is_virtual() || reached.contains(id));
        self
    }

    /// The entity of that id.
    pub fn get(&self, id: &EntityId) -> Option<&Entity> {
        self.entities.get(id)
    }

    /// Relations of one kind that begin at `id`.
    pub fn outgoing<'a>(
        &'a self,
        id: &'a EntityId,
        kind: RelationKind,
    ) -> impl Iterator<Item = &'a Relation> {
        self.relations_from(id)
            .iter()
            .filter(move |one| one.kind == kind)
    }

    /// Relations of one kind that end at `id`.
    pub fn incoming<'a>(
        &'a self,
        id: &'a EntityId,
        kind: RelationKind,
    ) -> impl Iterator<Item = &'a Relation> {
        self.relations_to(id).filter(move |one| one.kind == kind)
    }

    /// The relations that begin at `id`.
    pub fn relations_from(&self, id: &EntityId) -> &[Relation] {
        let start = self.relations.partition_point(|one| one.from < *id);
        let length = self.relations[start..].partition_point(|one| one.from == *id);
        &self.relations[start..start + length]
    }

    /// The relations that end at `id`.
    pub fn relations_to<'a>(&'a self, id: &'a EntityId) -> impl Iterator<Item = &'a Relation> {
        let start = self
            .by_target
            .partition_point(|at| self.relations[*at as usize].to < *id);
        let places = self.by_target[start..].iter();
        places
            .map(|at| &self.relations[*at as usize])
            .take_while(move |one| one.to == *id)
    }

    /// The instances and operations of a service.
    pub fn parts_of(&self, service: &EntityId) -> Vec<&Entity> {
        let parts = self.incoming(service, RelationKind::PartOf);
        parts.filter_map(|one| self.get(&one.from)).collect()
    }
}

impl Relation {
    /// Its ends and kind: of those that have the same, a graph has one.
    fn place(&self) -> (&EntityId, &EntityId, RelationKind) {
        (&self.from, &self.to, self.kind)
    }

    /// Takes in the same relation under another name of its end.
    fn join(&mut self, other: &Self) {
        if other.confidence > self.confidence {
            self.provenance = other.provenance;
            self.confidence = other.confidence;
        }
        self.calls = self.calls.plus(other.calls);
        self.sources.extend(other.sources.iter().cloned());
        self.sources.sort();
        self.sources.dedup();
        self.first_seen = self.first_seen.min(other.first_seen);
        self.last_seen = self.last_seen.max(other.last_seen);
    }
}
