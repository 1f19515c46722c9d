//! The state at one time: entities and relations out of their histories.

use std::collections::{BTreeMap, HashSet};

use demarc_proto::{EntityId, Nanos};
use petgraph::{Direction, stable_graph::NodeIndex};

use crate::{
    CallStats, Entity, EntityKind, Provenance, Relation, RelationKind, TopologyConfig,
    history::{Evidenced, Known, RelationHistory, Tie},
    interval::Summable,
    state::State,
};

/// The state at one time.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) state: &'a State,
    pub(crate) config: &'a TopologyConfig,
    pub(crate) at: Nanos,
}

/// Whom a caller reaches under a name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reached {
    pub(crate) node: NodeIndex,
    /// How sure that is, 0 to 1.
    pub(crate) confidence: f64,
    pub(crate) via: Option<Provenance>,
}

impl Reached {
    fn itself(node: NodeIndex) -> Self {
        Self {
            node,
            confidence: 1.0,
            via: None,
        }
    }
}

impl View<'_> {
    /// The entity of a node, without its owner; `None` when it is not there at this time.
    pub(crate) fn entity(&self, node: NodeIndex) -> Option<Entity> {
        let known = self.known(node)?;
        Some(Entity {
            id: self.id(node).clone(),
            kind: known.kind,
            layer: known.kind.layer(),
            name: known.name,
            tenant: known.tenant,
            owner: None,
            attributes: known.attributes,
            first_seen: known.first,
            last_seen: known.last,
        })
    }

    pub(crate) fn id(&self, node: NodeIndex) -> &EntityId {
        &self.state.graph[node].id
    }

    /// The relations that begin at a node and end at one that `is_wanted`, without their owners; several may have the same end.
    pub(crate) fn relations_from(
        &self,
        node: NodeIndex,
        is_wanted: impl Fn(NodeIndex) -> bool,
    ) -> Vec<Relation> {
        let mut found = Vec::new();
        for one in self.state.outgoing(node).iter().rev() {
            let Tie::Relation(kind) = one.kind else {
                continue;
            };
            let reached = match kind {
                RelationKind::Calls => self.reached(node, one.target),
                _ => Reached::itself(one.target),
            };
            if !is_wanted(reached.node) {
                continue;
            }
            let history = &self.state.graph[one.edge];
            if let Some(mut one) = self.relation(history, (node, reached.node), kind) {
                one.confidence *= reached.confidence;
                one.sources
                    .extend(reached.via.map(|via| via.as_str().to_owned()));
                found.push(one);
            }
        }
        found.extend(self.tied_to(node, is_wanted));
        found
    }

    fn relation(
        &self,
        history: &RelationHistory,
        (from, to): (NodeIndex, NodeIndex),
        kind: RelationKind,
    ) -> Option<Relation> {
        let alive = history.alive(self.at, self.config);
        let trust = |one: &Evidenced| one.confidence;
        let (best, seen) = alive
            .iter()
            .max_by(|(a, _), (b, _)| trust(a).total_cmp(&trust(b)))?;
        let sum = alive.iter().map(|(_, seen)| seen.sum);
        Some(Relation {
            from: self.id(from).clone(),
            to: self.id(to).clone(),
            kind,
            provenance: best.claim.provenance,
            sources: alive.iter().map(|(one, _)| one.claim.to_string()).collect(),
            confidence: certainty(&alive),
            owner: None,
            calls: sum.fold(CallStats::default(), Summable::plus),
            first_seen: alive
                .iter()
                .map(|(_, one)| one.first)
                .min()
                .unwrap_or(seen.first),
            last_seen: alive
                .iter()
                .map(|(_, one)| one.last)
                .max()
                .unwrap_or(seen.last)
                .min(self.at),
        })
    }

    /// Whom `caller` reaches when it calls `name`: the instrumented entity that last answered to it under that name, else the
    /// name itself.
    pub(crate) fn reached(&self, caller: NodeIndex, name: NodeIndex) -> Reached {
        if !self.state.is_name(name) {
            return Reached::itself(name);
        }
        let candidates = self.answering(caller, name);
        match candidates.as_slice() {
            [] => self
                .addressed(name)
                .unwrap_or_else(|| Reached::itself(name)),
            [.., newest] => Reached {
                node: *newest,
                confidence: 1.0 / candidates.len() as f64,
                via: None,
            },
        }
    }

    /// Who answers to a caller under a name, the newest last: all that do now, else the one that did last.
    pub(crate) fn answering(&self, caller: NodeIndex, name: NodeIndex) -> Vec<NodeIndex> {
        let caller = self.id(caller).as_str();
        let mut before: Vec<(Nanos, Nanos, NodeIndex)> = Vec::new();
        for (target, history) in self.state.edges(name, Direction::Outgoing) {
            if history.kind != Tie::Alias {
                continue;
            }
            let own = history
                .claims
                .iter()
                .filter(|one| &*one.claim.source == caller);
            let begun = own
                .flat_map(|one| one.seen.iter())
                .filter(|seen| seen.first <= self.at);
            before.extend(
                begun
                    .max_by_key(|seen| seen.first)
                    .map(|seen| (seen.first, seen.last.min(self.at), target)),
            );
        }
        let gap = self.config.relation_gap();
        let mut alive: Vec<_> = before
            .iter()
            .filter(|(_, last, _)| last.plus(gap) >= self.at)
            .copied()
            .collect();
        if alive.is_empty() {
            alive.extend(
                before
                    .iter()
                    .max_by_key(|(_, last, node)| (*last, self.id(*node)))
                    .copied(),
            );
        }
        alive.sort_by_key(|(first, _, node)| (*first, self.id(*node)));
        alive.into_iter().map(|(_, _, node)| node).collect()
    }

    /// The nodes that are tied to a node at this time, in either direction, in no particular order.
    pub(crate) fn neighbours(&self, node: NodeIndex) -> Vec<NodeIndex> {
        let out = self.tied(node, Direction::Outgoing);
        let back = self.tied(node, Direction::Incoming);
        out.into_iter()
            .chain(back)
            .map(|(other, _)| other)
            .collect()
    }

    /// What a node is tied to by equal values, see [`crate::mapping`].
    fn tied_to(&self, node: NodeIndex, is_wanted: impl Fn(NodeIndex) -> bool) -> Vec<Relation> {
        let mut found = Vec::new();
        let ties = self.ties(node, Direction::Outgoing).into_iter();
        for (target, kind, share) in ties.filter(|(target, _, _)| is_wanted(*target)) {
            let (Some(from), Some(to)) = (self.known(node), self.known(target)) else {
                continue;
            };
            found.push(Relation {
                from: self.id(node).clone(),
                to: self.id(target).clone(),
                kind,
                provenance: Provenance::Address,
                sources: vec![Provenance::Address.as_str().to_owned()],
                confidence: Provenance::Address.confidence() * share,
                owner: None,
                calls: CallStats::default(),
                first_seen: from.first.max(to.first),
                last_seen: from.last.min(to.last),
            });
        }
        found
    }

    /// The nodes that a node is tied to by equal values, with the kind of the relation and how sure it is which of them it is.
    pub(crate) fn ties(
        &self,
        node: NodeIndex,
        direction: Direction,
    ) -> Vec<(NodeIndex, RelationKind, f64)> {
        let mut found = Vec::new();
        let kind = self.state.graph[node].kind_at(self.at, self.config);
        let Some(kind) = kind.filter(|kind| self.state.mappings.is_tied(*kind)) else {
            return found;
        };
        let Some(known) = self.known(node) else {
            return found;
        };
        for tie in &self.state.mappings.ties {
            let (own, by, other, with) = match direction {
                Direction::Outgoing => (tie.from, &tie.by, tie.to, &tie.with),
                Direction::Incoming => (tie.to, &tie.with, tie.from, &tie.by),
            };
            if kind != own {
                continue;
            }
            let Some(value) = known.value(by) else {
                continue;
            };
            let holders = self.holding((with, &value), other);
            let others: Vec<NodeIndex> = holders.into_iter().filter(|one| *one != node).collect();
            let share = match direction {
                Direction::Outgoing => 1.0 / others.len().max(1) as f64,
                Direction::Incoming => 1.0,
            };
            found.extend(others.into_iter().map(|one| (one, tie.relation, share)));
        }
        found
    }

    /// The nodes of a kind that have a value at this time, in the order of their ids.
    pub(crate) fn holding(&self, (key, value): (&str, &str), kind: EntityKind) -> Vec<NodeIndex> {
        let holds = |node: &NodeIndex| {
            let known = self.known(*node);
            known.is_some_and(|known| {
                known.kind == kind && known.value(key).as_deref() == Some(value)
            })
        };
        let mut found: Vec<NodeIndex> = self.state.having(key, value).filter(holds).collect();
        found.sort_by(|a, b| self.id(*a).cmp(self.id(*b)));
        found
    }

    /// What is known of a node at this time.
    pub(crate) fn known(&self, node: NodeIndex) -> Option<Known> {
        self.state.graph.node_weight(node)?.at(self.at, self.config)
    }

    /// Who calls `name` and reaches `node` by it.
    pub(crate) fn callers_by_name(&self, name: NodeIndex, node: NodeIndex) -> Vec<NodeIndex> {
        let calls = self.state.edges(name, Direction::Incoming);
        calls
            .filter(|(_, history)| history.kind == Tie::Relation(RelationKind::Calls))
            .filter(|(_, history)| history.is_alive(self.at, self.config))
            .map(|(caller, _)| caller)
            .filter(|caller| self.reached(*caller, name).node == node)
            .collect()
    }

    /// The nodes within `depth` steps of `start`, nearest first, `most` at the most; of one step, first what is tied to the first of the
    /// step before, by their ids.
    pub(crate) fn around(
        &self,
        start: NodeIndex,
        (depth, most): (usize, usize),
        mut may_see: impl FnMut(NodeIndex) -> bool,
    ) -> Vec<NodeIndex> {
        let mut seen = HashSet::from([start]);
        let mut found = vec![start];
        let mut ring = 0..1;
        for _ in 0..depth {
            for at in ring.clone() {
                let mut next = self.neighbours(found[at]);
                next.retain(|other| seen.insert(*other) && may_see(*other));
                next.sort_unstable_by(|a, b| self.id(*a).cmp(self.id(*b)));
                found.extend(next);
                // Who has thousands of neighbours may fill the answer before the rest is asked for its own.
                if found.len() >= most {
                    found.truncate(most);
                    return found;
                }
            }
            ring = ring.end..found.len();
        }
        found
    }
}

/// One minus the chance that all signals are wrong.
fn certainty<T>(alive: &[(&Evidenced, T)]) -> f64 {
    // Keeps the figure of a single signal to the digit.
    if let [(one, _)] = alive {
        return one.confidence;
    }
    let mut signals: BTreeMap<Provenance, f64> = BTreeMap::new();
    for (one, _) in alive {
        let known = signals.entry(one.claim.provenance).or_insert(0.0);
        *known = known.max(one.confidence);
    }
    let mut confidences = signals.values();
    match (confidences.next(), signals.len()) {
        (Some(confidence), 1) => *confidence,
        _ => 1.0 - signals.values().map(|one| 1.0 - one).product::<f64>(),
    }
}

/// A name that stands for several machines: the caller's own.
pub(crate) fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback() || address.is_unspecified())
}
