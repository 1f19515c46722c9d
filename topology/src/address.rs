//! Whom an address belongs to: pods, machines and load balancers say which addresses they have.
//!
//! An address is worth nothing as soon as two have it at one time: a node's address is that of every pod on the host network, an
//! address behind NAT stands for many, a pod's address is given to the next. Then the peer stays what it was called by, and the
//! conflict is listed.

use petgraph::{Direction, stable_graph::NodeIndex};

use crate::{
    EntityKind, Provenance, RelationKind,
    entity::VIRTUAL,
    history::Tie,
    view::{Reached, View},
};

/// The attributes that hold an entity's own addresses and names in the network.
pub(crate) const KEYS: [&str; 7] = [
    "host.ip",
    "k8s.node.ip",
    "k8s.pod.ip",
    "network.address",
    "network.name",
    "server.address",
    "vm.ip",
];

impl View<'_> {
    /// The instrumented service, or else the machine, that has the address of a peer; `None` unless exactly one has it.
    pub(crate) fn addressed(&self, peer: NodeIndex) -> Option<Reached> {
        let holders = self.holders_of_address(peer);
        let [holder] = holders.as_slice() else {
            return None;
        };
        let services = self.services_on(*holder);
        Some(Reached {
            node: match services.as_slice() {
                [service] => *service,
                _ => *holder,
            },
            confidence: Provenance::Address.confidence(),
            via: Some(Provenance::Address),
        })
    }

    /// Who has the address of a peer at this time, in the order of their ids.
    pub(crate) fn holders_of_address(&self, peer: NodeIndex) -> Vec<NodeIndex> {
        let Some(host) = self.known(peer).and_then(|known| known.value(VIRTUAL)) else {
            return Vec::new();
        };
        let names = [host.as_str(), host.trim_end_matches(".cluster.local")];
        let mut found = Vec::new();
        for key in KEYS {
            for name in names {
                let holders = self.state.having(key, name).filter(|node| {
                    let known = self.known(*node);
                    known.is_some_and(|known| known.value(key).as_deref() == Some(name))
                });
                found.extend(holders);
            }
        }
        found.sort_by(|a, b| self.id(*a).cmp(self.id(*b)));
        found.dedup();
        found
    }

    /// The services whose instances run on a pod or a machine, or which a load balancer leads to.
    fn services_on(&self, node: NodeIndex) -> Vec<NodeIndex> {
        let mut open = vec![node];
        let known = self.known(node);
        if known.is_some_and(|known| known.kind == EntityKind::LoadBalancer) {
            let ends = self.ties(node, Direction::Outgoing).into_iter();
            open.extend(ends.map(|(end, _, _)| end));
        }
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(next) = open.get(at).copied() {
            at += 1;
            for (other, history) in self.state.edges(next, Direction::Incoming) {
                let is_above = history.kind == Tie::Relation(RelationKind::RunsOn);
                if is_above && history.is_alive(self.at, self.config) && !open.contains(&other) {
                    open.push(other);
                }
            }
            for (whole, history) in self.state.edges(next, Direction::Outgoing) {
                let is_part = history.kind == Tie::Relation(RelationKind::PartOf);
                let is_service = self.id(whole).0.starts_with("service:");
                if is_part && is_service && history.is_alive(self.at, self.config) {
                    found.push(whole);
                }
            }
            if self.id(next).0.starts_with("service:") {
                found.push(next);
            }
        }
        found.sort_by(|a, b| self.id(*a).cmp(self.id(*b)));
        found.dedup();
        found
    }

    /// Who calls a node, or what runs on it, by an address that only it has.
    pub(crate) fn callers_by_address(&self, node: NodeIndex) -> Vec<NodeIndex> {
        let mut machines = vec![node];
        if self.id(node).0.starts_with("service:") {
            machines.extend(self.machines_of(node));
        }
        let mut found = Vec::new();
        for machine in machines {
            let Some(known) = self.known(machine) else {
                continue;
            };
            let addresses = KEYS.iter().filter_map(|key| known.value(key));
            for address in addresses {
                for peer in self.state.having(VIRTUAL, &address) {
                    found.extend(self.callers_reaching(peer, node));
                }
            }
        }
        found
    }

    fn callers_reaching(&self, peer: NodeIndex, node: NodeIndex) -> Vec<NodeIndex> {
        let calls = self.state.edges(peer, Direction::Incoming);
        calls
            .filter(|(_, history)| {
                history.kind == Tie::Relation(RelationKind::Calls)
                    && history.is_alive(self.at, self.config)
            })
            .map(|(caller, _)| caller)
            .filter(|caller| self.reached(*caller, peer).node == node)
            .collect()
    }

    /// What the instances of a service run on, directly.
    fn machines_of(&self, service: NodeIndex) -> Vec<NodeIndex> {
        let runs_on = |node: NodeIndex| {
            let below = self.state.edges(node, Direction::Outgoing);
            below.filter(|(_, history)| {
                history.kind == Tie::Relation(RelationKind::RunsOn)
                    && history.is_alive(self.at, self.config)
            })
        };
        let parts = self.state.edges(service, Direction::Incoming);
        let parts = parts.filter(|(_, history)| {
            history.kind == Tie::Relation(RelationKind::PartOf)
                && history.is_alive(self.at, self.config)
        });
        let parts = parts.map(|(part, _)| part).chain([service]);
        let direct: Vec<NodeIndex> = parts
            .flat_map(|part| runs_on(part))
            .map(|(one, _)| one)
            .collect();
        // A container is no machine: its pod has the address.
        let pods = direct
            .iter()
            .flat_map(|one| runs_on(*one))
            .map(|(one, _)| one);
        direct
            .iter()
            .copied()
            .chain(pods.collect::<Vec<_>>())
            .collect()
    }
}
