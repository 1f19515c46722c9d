//! The part of a graph that one tenant may see.

use std::collections::BTreeSet;

use demarc_proto::{EntityId, TenantId};

use crate::{Entity, EntityKind, Graph, RelationKind};

impl Graph {
    /// The part that `tenant` may see: its own entities, the operator's that they call, and the shared infrastructure that
    /// carries or connects those. Never another agency's.
    pub fn visible_to(&self, tenant: &TenantId, operator: &TenantId) -> Self {
        if tenant == operator {
            return self.clone();
        }
        let own = self.entities.values();
        let own = own.filter(|entity| entity.tenant.as_ref() == Some(tenant));
        let mut open: Vec<EntityId> = own.map(|entity| entity.id.clone()).collect();
        let mut seen: BTreeSet<EntityId> = BTreeSet::new();
        while let Some(next) = open.pop() {
            if !seen.insert(next.clone()) {
                continue;
            }
            open.extend(self.beneath(&next, (tenant, operator)));
        }
        let links = self.entities.values();
        for link in links.filter(|entity| entity.kind == EntityKind::Link) {
            let mut ends = self.outgoing(&link.id, RelationKind::Connects).peekable();
            if ends.peek().is_some() && ends.all(|one| seen.contains(&one.to)) {
                seen.insert(link.id.clone());
            }
        }
        self.restricted_to(&seen)
    }

    /// What a visible entity makes visible: what it calls, uses and runs on, and the parts of a service.
    fn beneath(&self, id: &EntityId, (tenant, operator): (&TenantId, &TenantId)) -> Vec<EntityId> {
        let is_open = |other: &&EntityId| {
            let owner = self.get(other).and_then(|entity| entity.tenant.as_ref());
            owner.is_none_or(|owner| owner == tenant || owner == operator)
        };
        let downward = self.relations_from(id).iter();
        let downward = downward
            .filter(|one| one.kind != RelationKind::Connects)
            .map(|one| &one.to);
        // A cluster has parts as well, but those are other agencies'.
        let is_service = self.get(id).is_some_and(Entity::has_own_parts);
        let parts = self.incoming(id, RelationKind::PartOf);
        let parts = parts.filter(|_| is_service).map(|one| &one.from);
        downward.chain(parts).filter(is_open).cloned().collect()
    }

    /// The part within `depth` steps of an entity, `most` entities at the most, the nearest first; of one step, first what is tied to
    /// the first of the step before, by their ids. `None` without that entity.
    pub fn around(&self, start: &EntityId, depth: usize, most: usize) -> Option<Self> {
        self.get(start)?;
        let mut seen = BTreeSet::from([start]);
        let mut found = vec![start];
        let mut ring = 0..1;
        for _ in 0..depth {
            for at in ring.clone() {
                let out = self.relations_from(found[at]).iter().map(|one| &one.to);
                let back = self.relations_to(found[at]).map(|one| &one.from);
                let next: BTreeSet<&EntityId> = out.chain(back).collect();
                found.extend(next.into_iter().filter(|id| seen.insert(id)));
            }
            ring = ring.end..found.len();
        }
        found.truncate(most);
        let inside = found.into_iter().cloned().collect();
        Some(self.restricted_to(&inside))
    }

    /// The part that holds these entities and what ties them.
    pub fn restricted_to(&self, seen: &BTreeSet<EntityId>) -> Self {
        let entities = self.entities.iter().filter(|(id, _)| seen.contains(*id));
        let entities = entities.map(|(id, entity)| (id.clone(), entity.clone()));
        let is_inside = |one: &&crate::Relation| seen.contains(&one.from) && seen.contains(&one.to);
        let relations = self.relations.iter().filter(is_inside).cloned();
        Self::new(self.at, entities.collect(), relations.collect())
    }
}
