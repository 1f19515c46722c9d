//! The part of the graph that can have caused a symptom: along calls, down to what carries it, and what shares that.

use std::collections::{BTreeMap, BTreeSet};

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
    /// The scope around one service: all that it calls, its callers, what carries these, and what else that carries.
    pub(crate) fn around(graph: &Graph, service: &EntityId, config: &IncidentConfig) -> Self {
        let mut scope = Self::default();
        let mut open = vec![service.clone()];
        open.extend(
            graph
                .incoming(service, RelationKind::Calls)
                .map(|one| one.from.clone()),
        );
        while let Some(next) = open.pop() {
            if !scope.entities.insert(next.clone()) {
                continue;
            }
            open.extend(
                graph
                    .outgoing(&next, RelationKind::Calls)
                    .map(|one| one.to.clone()),
            );
        }
        let services: Vec<EntityId> = scope.entities.iter().cloned().collect();
        for id in &services {
            scope.carry(graph, id);
        }
        let neighbours: BTreeSet<EntityId> = scope
            .carriers
            .values()
            .flatten()
            .flat_map(|carrier| graph.carried_by(carrier))
            .map(|entity| entity.id.clone())
            .collect();
        for id in &neighbours {
            scope.carry(graph, id);
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
