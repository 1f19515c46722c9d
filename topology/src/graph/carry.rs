//! What carries what, and who suffers when it fails.

use std::collections::BTreeSet;

use demarc_proto::EntityId;

use crate::{Entity, EntityKind, Graph, RelationKind};

impl Graph {
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
        let is_host = |entity: &&Entity| {
            matches!(
                entity.kind,
                EntityKind::Host | EntityKind::Node | EntityKind::Vm
            )
        };
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
            let wholes = self.outgoing(next, RelationKind::PartOf).map(|one| &one.to);
            // A pod is part of a workload, and a node of a cluster: no services.
            found.extend(wholes.filter(|id| self.get(id).is_some_and(is_service)));
        }
        found.into_iter().filter_map(|id| self.get(id)).collect()
    }

    /// The services that a change or a fault of `id` can reach without a call: itself, what it carries, and what is in a workload or a
    /// namespace, in the order of their ids.
    pub fn services_behind(&self, id: &EntityId) -> Vec<&Entity> {
        let mut found = BTreeSet::new();
        let mut open = vec![id];
        let mut known = BTreeSet::new();
        while let Some(next) = open.pop() {
            if !known.insert(next) {
                continue;
            }
            if next.0.starts_with("service:") {
                found.insert(next);
            }
            let carried = self.carried_by(next).into_iter();
            found.extend(carried.map(|entity| &entity.id));
            let is_whole = self.get(next).is_some_and(|entity| {
                matches!(entity.kind, EntityKind::Workload | EntityKind::Namespace)
            });
            let parts = self.incoming(next, RelationKind::PartOf);
            open.extend(parts.filter(|_| is_whole).map(|one| &one.from));
        }
        found.into_iter().filter_map(|id| self.get(id)).collect()
    }

    /// The links between some hosts and others; a link that names one end only counts for that end.
    pub fn links_between(
        &self,
        from_hosts: &BTreeSet<EntityId>,
        to_hosts: &BTreeSet<EntityId>,
    ) -> Vec<&Entity> {
        let hosts = from_hosts.iter().chain(to_hosts);
        let touching = hosts.flat_map(|host| self.incoming(host, RelationKind::Connects));
        let links: BTreeSet<&EntityId> = touching.map(|one| &one.from).collect();
        let links = links.into_iter().filter_map(|id| self.get(id));
        links
            .filter(|link| link.kind == EntityKind::Link)
            .filter(|link| self.is_between(&link.id, from_hosts, to_hosts))
            .collect()
    }

    /// The ids of [`Self::hosts_of`].
    pub fn host_ids(&self, id: &EntityId) -> BTreeSet<EntityId> {
        let hosts = self.hosts_of(id).into_iter();
        hosts.map(|host| host.id.clone()).collect()
    }

    fn is_between(
        &self,
        link: &EntityId,
        from_hosts: &BTreeSet<EntityId>,
        to_hosts: &BTreeSet<EntityId>,
    ) -> bool {
        let ends = self.outgoing(link, RelationKind::Connects);
        let is_switch = |id: &&EntityId| {
            let entity = self.get(id);
            entity.is_some_and(|entity| entity.kind == EntityKind::Switch)
        };
        let (switches, hosts): (Vec<&EntityId>, Vec<&EntityId>) =
            ends.map(|one| &one.to).partition(is_switch);
        let touches = |of: &BTreeSet<EntityId>| hosts.iter().any(|end| of.contains(*end));
        let is_far = from_hosts != to_hosts;
        match (hosts.len(), switches.len()) {
            (0, _) => false,
            (1, 0) => touches(from_hosts) && to_hosts.is_empty(),
            // The way from a host to its switch is taken by all that it sends and gets.
            (1, _) => (touches(from_hosts) || touches(to_hosts)) && is_far,
            _ => touches(from_hosts) && touches(to_hosts) && is_far,
        }
    }

    /// All that suffers when `id` fails: what it carries, what uses it, what it is a part of where that is a machine, and all that
    /// calls that, directly or not. `id` itself is not in it.
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
            let users = self
                .incoming(&next, RelationKind::Uses)
                .map(|one| one.from.clone());
            let connected = self.callers_over(&next).into_iter();
            let others = users
                .chain(connected)
                .chain(self.machine_of(&next))
                .chain(self.links_of(&next));
            for one in carried.chain(callers).chain(others).collect::<Vec<_>>() {
                if one != *id && found.insert(one.clone()) {
                    open.push(one);
                }
            }
        }
        found
    }

    /// The links of a switch.
    fn links_of(&self, id: &EntityId) -> Vec<EntityId> {
        let is_switch = self
            .get(id)
            .is_some_and(|entity| entity.kind == EntityKind::Switch);
        let links = self.incoming(id, RelationKind::Connects);
        links
            .filter(|_| is_switch)
            .map(|one| one.from.clone())
            .collect()
    }

    /// The machine that a disk or an interface is a part of.
    fn machine_of(&self, id: &EntityId) -> Option<EntityId> {
        let entity = self.get(id)?;
        if !matches!(entity.kind, EntityKind::Disk | EntityKind::Interface) {
            return None;
        }
        let mut wholes = self.outgoing(id, RelationKind::PartOf);
        wholes.next().map(|one| one.to.clone())
    }

    /// The callers whose calls take the link `id`.
    fn callers_over(&self, id: &EntityId) -> Vec<EntityId> {
        if self
            .get(id)
            .is_none_or(|entity| entity.kind != EntityKind::Link)
        {
            return Vec::new();
        }
        let ends = self.outgoing(id, RelationKind::Connects);
        let at_ends = ends.flat_map(|end| self.carried_by(&end.to));
        let at_ends: BTreeSet<&EntityId> = at_ends.map(|service| &service.id).collect();
        let is_over = |call: &&crate::Relation| {
            let (from, to) = (self.host_ids(&call.from), self.host_ids(&call.to));
            self.is_between(id, &from, &to)
        };
        let calls = at_ends.into_iter().flat_map(|service| {
            let sent = self.outgoing(service, RelationKind::Calls);
            sent.chain(self.incoming(service, RelationKind::Calls))
        });
        calls
            .filter(is_over)
            .map(|call| call.from.clone())
            .collect()
    }
}
