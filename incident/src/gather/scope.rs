//! The part of the graph that can have caused a symptom: along calls, down to what carries it, and what shares that.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use demarc_proto::{EntityId, TenantId};
use demarc_topology::{Graph, RelationKind};

use crate::IncidentConfig;

/// What is looked at.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    /// Whose telemetry.
    pub(crate) tenants: BTreeSet<TenantId>,
    /// Everything that is named in evidence.
    pub(crate) entities: BTreeSet<EntityId>,
    /// What carries each service: pods, nodes, hosts.
    pub(crate) carriers: BTreeMap<EntityId, Vec<EntityId>>,
}

impl Scope {
    /// The scope around one service: all that calls tie to it, the nearest first, what carries these, and what else that carries.
    pub(crate) fn around(graph: &Graph, service: &EntityId, config: &IncidentConfig) -> Self {
        let mut scope = Self {
            entities: connected(graph, service, config.max_entities),
            ..Self::default()
        };
        scope.beside(graph, service, config.max_entities);
        let services: Vec<EntityId> = scope.entities.iter().cloned().collect();
        for id in &services {
            scope.carry(graph, id);
        }
        let carriers: BTreeSet<&EntityId> = scope.carriers.values().flatten().collect();
        let carried = carriers
            .into_iter()
            .flat_map(|carrier| graph.carried_by(carrier));
        let neighbours: BTreeSet<EntityId> = carried.map(|entity| entity.id.clone()).collect();
        for id in &neighbours {
            if !scope.carriers.contains_key(id) {
                scope.carry(graph, id);
            }
        }
        scope.entities.extend(neighbours);
        scope.links(graph);
        let found = scope
            .entities
            .iter()
            .filter_map(|id| graph.get(id)?.tenant.clone());
        let excluded = |tenant: &TenantId| {
            config
                .excluded_tenants
                .iter()
                .any(|name| name == tenant.as_str())
        };
        scope.tenants = found.filter(|tenant| !excluded(tenant)).collect();
        scope
    }

    /// The calls between entities in scope.
    pub(crate) fn calls(&self, graph: &Graph) -> Vec<(EntityId, EntityId)> {
        let calls = graph
            .relations
            .iter()
            .filter(|one| one.kind == RelationKind::Calls);
        let inside = calls
            .filter(|one| self.entities.contains(&one.from) && self.entities.contains(&one.to));
        inside
            .map(|one| (one.from.clone(), one.to.clone()))
            .collect()
    }

    /// Services of the same tenant and namespace that no call ties to the suffering one: a map of calls is never whole. As many as
    /// there is room for up to `most`.
    fn beside(&mut self, graph: &Graph, service: &EntityId, most: usize) {
        let (tenant, namespace, _) = super::service_parts(service);
        let is_beside = |id: &&EntityId| {
            let (its_tenant, its_namespace, _) = super::service_parts(id);
            let is_service = id.0.starts_with("service:");
            is_service && (its_tenant, its_namespace) == (tenant, namespace)
        };
        let room = most.saturating_sub(self.entities.len());
        let others = graph.entities.keys().filter(is_beside);
        let others = others.filter(|id| !self.entities.contains(*id));
        let others: Vec<EntityId> = others.take(room).cloned().collect();
        self.entities.extend(others);
    }

    fn carry(&mut self, graph: &Graph, id: &EntityId) {
        let carriers: Vec<EntityId> = graph
            .carriers_of(id)
            .into_iter()
            .map(|entity| entity.id.clone())
            .collect();
        self.entities.extend(carriers.iter().cloned());
        if !carriers.is_empty() {
            self.carriers.insert(id.clone(), carriers);
        }
    }

    /// Links that touch a host in scope.
    fn links(&mut self, graph: &Graph) {
        let hosts: BTreeSet<EntityId> = self.carriers.values().flatten().cloned().collect();
        let connects = graph
            .relations
            .iter()
            .filter(|one| one.kind == RelationKind::Connects);
        let touching = connects.filter(|one| hosts.contains(&one.to));
        self.entities.extend(touching.map(|one| one.from.clone()));
    }
}

/// What calls tie to a service, in either direction: a callee may suffer from another caller. The nearest `most`.
fn connected(graph: &Graph, service: &EntityId, most: usize) -> BTreeSet<EntityId> {
    let mut ties: BTreeMap<&EntityId, Vec<&EntityId>> = BTreeMap::new();
    for one in graph
        .relations
        .iter()
        .filter(|one| one.kind == RelationKind::Calls)
    {
        ties.entry(&one.from).or_default().push(&one.to);
        ties.entry(&one.to).or_default().push(&one.from);
    }
    let mut found = BTreeSet::from([service.clone()]);
    let mut open = VecDeque::from([service]);
    while let Some(next) = open.pop_front() {
        for tied in ties.get(next).into_iter().flatten() {
            if found.len() < most && found.insert((*tied).clone()) {
                open.push_back(tied);
            }
        }
    }
    found
}
