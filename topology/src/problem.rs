//! What is wrong with the graph at one time: what nobody answers for, what hangs loose, what contradicts itself.

use std::collections::{BTreeMap, BTreeSet};

use demarc_proto::{EntityId, TenantId};
use demarc_store::Snapshot;
use petgraph::{Direction, stable_graph::NodeIndex};

use crate::{
    EntityKind, Graph, Mappings,
    history::{Tie, Told},
    view::View,
};

/// What is wrong with the graph at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    /// Entities that nobody answers for.
    pub unowned: Vec<EntityId>,
    /// Entities that nothing ties to anything.
    pub orphans: Vec<EntityId>,
    /// Where signals contradict each other.
    pub conflicts: Vec<Conflict>,
    /// Metrics that lead to no entity, by tenant and name.
    pub unmapped: Vec<UnmappedMetric>,
    /// Sightings that were not taken, since there were too many entities or relations.
    pub refused: u64,
}

/// A metric that leads to no entity: no table knows it, and no job of it is a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnmappedMetric {
    /// Whose metric.
    pub tenant: TenantId,
    /// Its name.
    pub metric: String,
    /// How many series it has.
    pub series: usize,
    /// The values of its label `job`.
    pub jobs: BTreeSet<String>,
}

/// A contradiction, and how the graph resolves it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conflict {
    /// What kind it is.
    pub kind: ConflictKind,
    /// What it is about.
    pub entity: EntityId,
    /// The address, or the attribute.
    pub about: String,
    /// Who claims it, or what is claimed, each with the signal that says so.
    pub claims: Vec<String>,
    /// What the graph makes of it.
    pub resolution: String,
}

/// What kind of contradiction it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConflictKind {
    /// A peer is called by an address that several entities have: reused, behind NAT, or a node's.
    SharedAddress,
    /// A caller reaches several entities under one name.
    SharedName,
    /// Several things have the id of one: an identifying attribute has two values at one time.
    SharedIdentity,
    /// One thing runs on several machines of one kind at one time.
    TwoCarriers,
}

impl ConflictKind {
    /// The kind's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SharedAddress => "shared-address",
            Self::SharedName => "shared-name",
            Self::SharedIdentity => "shared-identity",
            Self::TwoCarriers => "two-carriers",
        }
    }
}

/// Attributes that identify one thing: two values at one time are two things.
const IDENTIFYING: [&str; 6] = [
    "host.id",
    "host.uuid",
    "k8s.cluster.name",
    "k8s.node.system_uuid",
    "k8s.pod.uid",
    "vm.uuid",
];

impl Problems {
    /// What a graph itself shows.
    pub(crate) fn of(graph: &Graph) -> Self {
        let tied: BTreeSet<&EntityId> = graph
            .relations
            .iter()
            .flat_map(|one| [&one.from, &one.to])
            .collect();
        let entities = || graph.entities.values();
        let unowned = entities().filter(|entity| entity.owner.is_none());
        let orphans = entities().filter(|entity| !tied.contains(&entity.id));
        Self {
            unowned: unowned.map(|entity| entity.id.clone()).collect(),
            orphans: orphans.map(|entity| entity.id.clone()).collect(),
            ..Self::default()
        }
    }
}

/// The metrics of a tenant that lead to no entity, sorted.
pub(crate) fn unmapped(
    snapshot: &Snapshot,
    mappings: &Mappings,
    graph: &Graph,
) -> Vec<UnmappedMetric> {
    let all = snapshot.select(&[], None);
    let all = all.expect("only a regular expression can be wrong, and there is none");
    let mut by_metric: BTreeMap<&str, UnmappedMetric> = BTreeMap::new();
    for series in &all {
        let metric = series.labels.metric();
        let entry = by_metric.entry(metric).or_insert_with(|| UnmappedMetric {
            tenant: snapshot.tenant().clone(),
            metric: metric.to_owned(),
            series: 0,
            jobs: BTreeSet::new(),
        });
        entry.series += 1;
        if !entry.jobs.contains(series.labels.get("job")) {
            entry.jobs.insert(series.labels.get("job").to_owned());
        }
    }
    let is_service = |job: &String| {
        let id = EntityId::service(snapshot.tenant(), None, job);
        graph.get(&id).is_some()
    };
    let metrics = by_metric.into_values();
    metrics
        .filter(|one| mappings.exporter_of(&one.metric).is_none())
        .filter(|one| !one.jobs.iter().any(is_service))
        .collect()
}

impl View<'_> {
    /// Where signals about a node contradict each other.
    pub(crate) fn conflicts(&self, node: NodeIndex) -> Vec<Conflict> {
        let Some(known) = self.known(node) else {
            return Vec::new();
        };
        let mut found = self.shared_identity(node);
        found.extend(self.two_carriers(node));
        let is_called = self
            .state
            .edges(node, Direction::Incoming)
            .any(|(_, history)| history.is_alive(self.at, self.config));
        if is_called && known.value(crate::entity::VIRTUAL).is_some() {
            found.extend(self.shared_address(node));
            found.extend(self.shared_names(node));
        }
        found
    }

    fn shared_address(&self, peer: NodeIndex) -> Option<Conflict> {
        let holders = self.holders_of_address(peer);
        if holders.len() < 2 {
            return None;
        }
        let about = self
            .known(peer)
            .and_then(|known| known.value(crate::entity::VIRTUAL));
        Some(Conflict {
            kind: ConflictKind::SharedAddress,
            entity: self.id(peer).clone(),
            about: about.unwrap_or_default(),
            claims: self.words(&holders),
            resolution: "the peer stays what it is called by: no claim is better than the others"
                .to_owned(),
        })
    }

    /// Callers that reach several under the name of a peer.
    fn shared_names(&self, peer: NodeIndex) -> Vec<Conflict> {
        let callers = self.state.edges(peer, Direction::Incoming);
        let callers = callers.filter(|(_, history)| {
            history.kind != Tie::Alias && history.is_alive(self.at, self.config)
        });
        let mut found = Vec::new();
        for (caller, _) in callers {
            let answering = self.answering(caller, peer);
            let [.., newest] = answering.as_slice() else {
                continue;
            };
            if answering.len() > 1 {
                found.push(Conflict {
                    kind: ConflictKind::SharedName,
                    entity: self.id(caller).clone(),
                    about: self.id(peer).to_string(),
                    claims: self.words(&answering),
                    resolution: format!(
                        "calls that nobody answered go to {}, which began to answer last, with 1/{} of the confidence",
                        self.id(*newest),
                        answering.len()
                    ),
                });
            }
        }
        found
    }

    fn shared_identity(&self, node: NodeIndex) -> Vec<Conflict> {
        let alive = self.state.graph[node].alive(self.at, self.config);
        let mut found = Vec::new();
        for key in IDENTIFYING {
            let mut values: BTreeMap<String, &Told> = BTreeMap::new();
            for (told, _) in &alive {
                if let Some(value) = told.attributes.text(key) {
                    values.insert(value.to_lowercase(), told);
                }
            }
            let kept = alive
                .iter()
                .rev()
                .find_map(|(told, _)| told.attributes.text(key));
            if let Some(kept) = kept.filter(|_| values.len() > 1) {
                let claims = values.iter();
                found.push(Conflict {
                    kind: ConflictKind::SharedIdentity,
                    entity: self.id(node).clone(),
                    about: key.to_owned(),
                    claims: claims
                        .map(|(value, told)| format!("{value} ({})", told.claim))
                        .collect(),
                    resolution: format!(
                        "{kept}: of the most trusted signal the newest value counts"
                    ),
                });
            }
        }
        found
    }

    /// A pod, a container, an instance or a machine that runs on two of one kind.
    fn two_carriers(&self, node: NodeIndex) -> Vec<Conflict> {
        let mut by_kind: BTreeMap<EntityKind, BTreeMap<EntityId, String>> = BTreeMap::new();
        for one in self.relations_from(node, |_| true) {
            let to = self.state.node(&one.to).and_then(|to| self.known(to));
            if let Some(to) = to.filter(|_| one.kind == crate::RelationKind::RunsOn) {
                let words = format!("{} ({})", one.to, one.sources.join(", "));
                by_kind.entry(to.kind).or_default().insert(one.to, words);
            }
        }
        let id = self.id(node);
        // A service runs in many places; a single thing runs in one.
        let is_single = !id.0.starts_with("service:");
        let conflicts = by_kind
            .into_iter()
            .filter(|(_, many)| is_single && many.len() > 1);
        conflicts
            .map(|(kind, many)| Conflict {
                kind: ConflictKind::TwoCarriers,
                entity: id.clone(),
                about: kind.to_string(),
                claims: many.into_values().collect(),
                resolution: "all are kept, each with the confidence of its own signals".to_owned(),
            })
            .collect()
    }

    fn words(&self, nodes: &[NodeIndex]) -> Vec<String> {
        nodes
            .iter()
            .map(|node| self.id(*node).to_string())
            .collect()
    }
}
