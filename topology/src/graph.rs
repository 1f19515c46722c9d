//! The graph at one time.

use std::collections::{BTreeMap, BTreeSet};

use demarc_proto::{EntityId, Nanos, TenantId};

use crate::{
    CallStats, Entity, EntityKind, Relation, RelationKind, Responsibility, TopologyConfig,
    state::{State, alive},
};

/// Entities and their relations at one time, with owners.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// When.
    pub at: Nanos,
    /// By id.
    pub entities: BTreeMap<EntityId, Entity>,
    /// Sorted by their ends and kind; both ends are entities of the graph.
    pub relations: Vec<Relation>,
}

impl Graph {
    /// The graph at `at` out of all that is known.
    pub(crate) fn of(
        state: &State,
        responsibility: &Responsibility,
        config: &TopologyConfig,
        at: Nanos,
    ) -> Self {
        let mut graph = Self {
            at,
            ..Self::default()
        };
        for (id, history) in &state.entities {
            let Some(seen) = alive(&history.seen, at, config.entity_gap()) else {
                continue;
            };
            let entity = Entity {
                id: id.clone(),
                kind: history.kind,
                layer: history.kind.layer(),
                name: history.name.clone(),
                tenant: history.tenant.clone(),
                owner: None,
                attributes: history.attributes.clone(),
                first_seen: seen.first,
                last_seen: seen.last,
            };
            let owner = responsibility.owner_of(&entity);
            graph
                .entities
                .insert(id.clone(), Entity { owner, ..entity });
        }
        graph.relate(state, config);
        graph.drop_unreached();
        graph
    }

    fn relate(&mut self, state: &State, config: &TopologyConfig) {
        let mut relations: BTreeMap<_, Relation> = BTreeMap::new();
        for ((from, to, kind), history) in &state.relations {
            let Some(seen) = alive(&history.seen, self.at, config.relation_gap()) else {
                continue;
            };
            let alias = state.aliases.get(&(from.clone(), to.clone()));
            let to = alias.unwrap_or(to);
            let (Some(_), Some(target)) = (self.entities.get(from), self.entities.get(to)) else {
                continue;
            };
            let one = Relation {
                from: from.clone(),
                to: to.clone(),
                kind: *kind,
                provenance: history.provenance,
                confidence: history.provenance.confidence(),
                owner: target.owner.clone(),
                calls: seen.sum,
                first_seen: seen.first,
                last_seen: seen.last,
            };
            relations
                .entry((from.clone(), to.clone(), *kind))
                .and_modify(|known| known.join(&one))
                .or_insert(one);
        }
        self.relations = relations.into_values().collect();
    }

    /// Drops peers that were known by their address only and turned out to be something else.
    fn drop_unreached(&mut self) {
        let reached: BTreeSet<EntityId> = self.relations.iter().map(|one| one.to.clone()).collect();
        self.entities.retain(|id, entity| {
            let is_virtual = matches!(
                entity.kind,
                EntityKind::External | EntityKind::Queue | EntityKind::Database
            ) && !id.0.starts_with("service:");
            !is_virtual || reached.contains(id)
        });
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
        self.relations
            .iter()
            .filter(move |one| one.from == *id && one.kind == kind)
    }

    /// Relations of one kind that end at `id`.
    pub fn incoming<'a>(
        &'a self,
        id: &'a EntityId,
        kind: RelationKind,
    ) -> impl Iterator<Item = &'a Relation> {
        self.relations
            .iter()
            .filter(move |one| one.to == *id && one.kind == kind)
    }

    /// The instances and operations of a service.
    pub fn parts_of(&self, service: &EntityId) -> Vec<&Entity> {
        let parts = self.incoming(service, RelationKind::PartOf);
        parts.filter_map(|one| self.get(&one.from)).collect()
    }

    /// All that carries `id`: what it or its instances run on, down to the last host, in the order of their ids.
    pub fn carriers_of(&self, id: &EntityId) -> Vec<&Entity> {
        let mut found = BTreeSet::new();
        let mut open: Vec<&EntityId> = self.parts_of(id).iter().map(|part| &part.id).collect();
        open.push(id);
        while let Some(next) = open.pop() {
            for one in self.outgoing(next, RelationKind::RunsOn) {
                if found.insert(&one.to) {
                    open.push(&one.to);
                }
            }
        }
        found.into_iter().filter_map(|id| self.get(id)).collect()
    }

    /// The hosts and nodes that carry `id`.
    pub fn hosts_of(&self, id: &EntityId) -> Vec<&Entity> {
        let is_host = |entity: &&Entity| matches!(entity.kind, EntityKind::Host | EntityKind::Node);
        self.carriers_of(id).into_iter().filter(is_host).collect()
    }

    /// The services whose instances `carrier` carries, in the order of their ids.
    pub fn carried_by(&self, carrier: &EntityId) -> Vec<&Entity> {
        let mut found = BTreeSet::new();
        let mut open = vec![carrier];
        let mut known = BTreeSet::new();
        while let Some(next) = open.pop() {
            for one in self.incoming(next, RelationKind::RunsOn) {
                if known.insert(&one.from) {
                    open.push(&one.from);
                }
            }
            let is_service = |entity: &Entity| entity.id.0.starts_with("service:");
            if self.get(next).is_some_and(is_service) {
                found.insert(next);
            }
            found.extend(self.outgoing(next, RelationKind::PartOf).map(|one| &one.to));
        }
        found.into_iter().filter_map(|id| self.get(id)).collect()
    }

    /// The links between the hosts of `from` and the hosts of `to`; a link that names one end only counts for that end.
    pub fn links_between(&self, from: &EntityId, to: &EntityId) -> Vec<&Entity> {
        let names = |id: &EntityId| -> BTreeSet<EntityId> {
            self.hosts_of(id)
                .into_iter()
                .map(|host| host.id.clone())
                .collect()
        };
        let (from_hosts, to_hosts) = (names(from), names(to));
        let connects = |link: &&Entity| {
            let ends: Vec<&EntityId> = self
                .outgoing(&link.id, RelationKind::Connects)
                .map(|one| &one.to)
                .collect();
            let touches = |hosts: &BTreeSet<EntityId>| ends.iter().any(|end| hosts.contains(*end));
            match ends.len() {
                0 => false,
                1 => touches(&from_hosts) && to_hosts.is_empty(),
                _ => touches(&from_hosts) && touches(&to_hosts) && from_hosts != to_hosts,
            }
        };
        let links = self
            .entities
            .values()
            .filter(|entity| entity.kind == EntityKind::Link);
        links.filter(connects).collect()
    }

    /// All that suffers when `id` fails: what it carries, and all that calls that, directly or not. `id` itself is not in it.
    pub fn blast_radius(&self, id: &EntityId) -> BTreeSet<EntityId> {
        let mut found = BTreeSet::new();
        let mut open = vec![id.clone()];
        while let Some(next) = open.pop() {
            let carried = self
                .carried_by(&next)
                .into_iter()
                .map(|entity| entity.id.clone());
            let callers = self
                .incoming(&next, RelationKind::Calls)
                .map(|one| one.from.clone());
            let connected = self.callers_over(&next);
            for one in carried.chain(callers).chain(connected).collect::<Vec<_>>() {
                if one != *id && found.insert(one.clone()) {
                    open.push(one);
                }
            }
        }
        found
    }

    /// The callers whose calls take the link `id`.
    fn callers_over(&self, id: &EntityId) -> Vec<EntityId> {
        if self
            .get(id)
            .is_none_or(|entity| entity.kind != EntityKind::Link)
        {
            return Vec::new();
        }
        let calls = self
            .relations
            .iter()
            .filter(|one| one.kind == RelationKind::Calls);
        calls
            .filter(|call| {
                self.links_between(&call.from, &call.to)
                    .iter()
                    .any(|link| link.id == *id)
            })
            .map(|call| call.from.clone())
            .collect()
    }

    /// The part that `tenant` may see: its own entities, the operator's that they call, and the shared infrastructure that
    /// carries or connects those. Never another agency's.
    pub fn visible_to(&self, tenant: &TenantId, operator: &TenantId) -> Self {
        if tenant == operator {
            return self.clone();
        }
        let mut seen: BTreeSet<EntityId> = BTreeSet::new();
        let own = self
            .entities
            .values()
            .filter(|entity| entity.tenant.as_ref() == Some(tenant));
        let mut open: Vec<EntityId> = own.map(|entity| entity.id.clone()).collect();
        while let Some(next) = open.pop() {
            if !seen.insert(next.clone()) {
                continue;
            }
            for one in self
                .relations
                .iter()
                .filter(|one| one.from == next || one.to == next)
            {
                let is_downward = one.from == next && one.kind != RelationKind::Connects;
                let is_part = one.to == next && one.kind == RelationKind::PartOf;
                let other = if one.from == next { &one.to } else { &one.from };
                let is_others = self.get(other).and_then(|entity| entity.tenant.as_ref());
                let is_others = is_others.is_some_and(|owner| owner != tenant && owner != operator);
                if (is_downward || is_part) && !is_others {
                    open.push(other.clone());
                }
            }
        }
        for link in self
            .entities
            .values()
            .filter(|entity| entity.kind == EntityKind::Link)
        {
            let mut ends = self.outgoing(&link.id, RelationKind::Connects).peekable();
            if ends.peek().is_some() && ends.all(|one| seen.contains(&one.to)) {
                seen.insert(link.id.clone());
            }
        }
        self.restricted_to(&seen)
    }

    fn restricted_to(&self, seen: &BTreeSet<EntityId>) -> Self {
        let entities = self.entities.iter().filter(|(id, _)| seen.contains(*id));
        let is_inside = |one: &&Relation| seen.contains(&one.from) && seen.contains(&one.to);
        Self {
            at: self.at,
            entities: entities
                .map(|(id, entity)| (id.clone(), entity.clone()))
                .collect(),
            relations: self.relations.iter().filter(is_inside).cloned().collect(),
        }
    }
}

impl Relation {
    /// Takes in the same relation under another name of its end.
    fn join(&mut self, other: &Self) {
        if other.confidence > self.confidence {
            self.provenance = other.provenance;
            self.confidence = other.confidence;
        }
        self.calls = CallStats {
            count: self.calls.count + other.calls.count,
            errors: self.calls.errors + other.calls.errors,
            client_duration_ns: self.calls.client_duration_ns + other.calls.client_duration_ns,
            server_duration_ns: self.calls.server_duration_ns + other.calls.server_duration_ns,
        };
        self.first_seen = self.first_seen.min(other.first_seen);
        self.last_seen = self.last_seen.max(other.last_seen);
    }
}
