//! All that is known of entities and relations: a petgraph graph with histories as its weights.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use demarc_proto::{EntityId, Nanos};
use petgraph::{
    Direction,
    stable_graph::{EdgeIndex, NodeIndex, StableDiGraph},
    visit::{EdgeIndexable, EdgeRef, NodeIndexable},
};

use crate::{
    CallStats, Mappings, Provenance, RelationKind, TopologyConfig, address,
    entity::VIRTUAL,
    history::{Claim, EntityHistory, Noted, RelationHistory, Sighting, Tie, Told},
    mapping::NAME,
};

/// How many edges and nodes are looked at in one turn of forgetting.
const FORGET_TURN: usize = 2_000;

/// Key of a relation.
pub(crate) type RelationKey = (EntityId, EntityId, RelationKind);

/// What is known; merging observations into it is commutative.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) graph: StableDiGraph<EntityHistory, RelationHistory>,
    index: HashMap<EntityId, NodeIndex>,
    edges: HashMap<(NodeIndex, NodeIndex, Tie), EdgeIndex>,
    /// Whether a node ever was a name that others call by; everything else is reached as itself. Beside the graph, since whoever looks
    /// at a node's neighbours asks it of each.
    names: Vec<bool>,
    /// The ties that begin at each node, side by side: whoever asks for a part of the graph looks at far more of them than it takes.
    outgoing: Vec<Vec<Outgoing>>,
    /// The tables by which series and resources are read.
    pub(crate) mappings: Arc<Mappings>,
    /// Who ever had a value of an attribute that ties entities: the attribute, the value, the nodes.
    values: HashMap<(Arc<str>, String), BTreeSet<NodeIndex>>,
    /// The attributes that tie entities.
    tying: Vec<Arc<str>>,
    /// Nodes and edges that changed since the store was written last.
    pub(crate) dirty_nodes: Vec<NodeIndex>,
    pub(crate) dirty_edges: Vec<EdgeIndex>,
    /// Those that changed by too little to be written yet.
    pub(crate) dirty_nodes_later: Vec<NodeIndex>,
    pub(crate) dirty_edges_later: Vec<EdgeIndex>,
    /// Where forgetting goes on.
    next_edge: usize,
    next_node: usize,
    /// What was not taken because the limits were reached.
    pub(crate) refused: u64,
}

/// A tie that begins at a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing {
    pub(crate) target: NodeIndex,
    pub(crate) kind: Tie,
    pub(crate) edge: EdgeIndex,
}

impl State {
    /// Nothing yet, to be read by these tables.
    pub(crate) fn new(mappings: Arc<Mappings>) -> Self {
        let ties = mappings.ties.iter();
        let names: BTreeSet<&str> = ties
            .flat_map(|tie| [tie.by.as_str(), tie.with.as_str()])
            .chain(address::KEYS)
            .chain([VIRTUAL])
            .collect();
        Self {
            tying: names.into_iter().map(Arc::from).collect(),
            mappings,
            ..Self::default()
        }
    }

    /// Notes that an entity was seen during `[first, last]`.
    pub(crate) fn entity(
        &mut self,
        sighting: Sighting,
        during: (Nanos, Nanos),
        config: &TopologyConfig,
    ) {
        let Some(node) = self.place(&sighting.id, config) else {
            return;
        };
        self.names[node.index()] |= sighting.told.attributes.0.contains_key(VIRTUAL);
        if self.graph[node].note(sighting.told, during, config) == Noted::New {
            self.index_values(node);
        }
        self.touch_node(node);
    }

    /// Notes that a relation was seen during `[first, last]`.
    pub(crate) fn relation(
        &mut self,
        (from, to, kind): RelationKey,
        provenance: Provenance,
        during: (Nanos, Nanos),
        calls: CallStats,
        config: &TopologyConfig,
    ) {
        let claim = (Claim::of(provenance), provenance.confidence());
        self.tie(
            (from, to, Tie::Relation(kind)),
            claim,
            (during, calls),
            config,
        );
    }

    /// Notes what a claim says of a tie.
    pub(crate) fn tie(
        &mut self,
        (from, to, kind): (EntityId, EntityId, Tie),
        claim: (Claim, f64),
        (during, calls): ((Nanos, Nanos), CallStats),
        config: &TopologyConfig,
    ) {
        let ends = (self.place(&from, config), self.place(&to, config));
        let (Some(from), Some(to)) = ends else {
            return;
        };
        let key = (from, to, kind);
        let edge = match self.edges.get(&key) {
            Some(edge) => *edge,
            None if self.graph.edge_count() >= config.max_relations => {
                self.refused += 1;
                return;
            }
            None => {
                let edge = self.graph.add_edge(from, to, RelationHistory::new(kind));
                self.edges.insert(key, edge);
                self.outgoing[from.index()].push(Outgoing {
                    target: to,
                    kind,
                    edge,
                });
                edge
            }
        };
        self.names[from.index()] |= kind == Tie::Alias;
        self.graph[edge].note(claim, during, calls, config);
        self.touch_edge(edge);
    }

    /// Notes by which values a node can be tied, as its newest version has them.
    fn index_values(&mut self, node: NodeIndex) {
        let Some(version) = self.graph[node].versions.last() else {
            return;
        };
        for place in tying_values(&self.tying, &version.told) {
            self.values.entry(place).or_default().insert(node);
        }
    }

    /// The nodes that ever had this value.
    pub(crate) fn having(&self, key: &str, value: &str) -> impl Iterator<Item = NodeIndex> {
        let place = (Arc::from(key), value.to_owned());
        self.values.get(&place).into_iter().flatten().copied()
    }

    /// Marks a node as changed since the store was written.
    pub(crate) fn touch_node(&mut self, node: NodeIndex) {
        let history = &mut self.graph[node];
        if !history.is_queued {
            history.is_queued = true;
            self.dirty_nodes.push(node);
        }
    }

    /// Marks an edge as changed since the store was written.
    pub(crate) fn touch_edge(&mut self, edge: EdgeIndex) {
        let history = &mut self.graph[edge];
        if !history.is_queued {
            history.is_queued = true;
            self.dirty_edges.push(edge);
        }
    }

    /// The node of an entity, made if there is none; `None` when there are too many.
    fn place(&mut self, id: &EntityId, config: &TopologyConfig) -> Option<NodeIndex> {
        if let Some(node) = self.index.get(id) {
            return Some(*node);
        }
        if self.graph.node_count() >= config.max_entities {
            self.refused += 1;
            return None;
        }
        let node = self.graph.add_node(EntityHistory::new(id.clone()));
        self.index.insert(id.clone(), node);
        // The place of one that was forgotten is given away again.
        let bound = self.graph.node_bound();
        self.names.resize(bound, false);
        self.names[node.index()] = false;
        self.outgoing.resize(bound, Vec::new());
        Some(node)
    }

    /// Whether a node ever was a name that others call by.
    pub(crate) fn is_name(&self, node: NodeIndex) -> bool {
        self.names[node.index()]
    }

    /// The node of an entity.
    pub(crate) fn node(&self, id: &EntityId) -> Option<NodeIndex> {
        self.index.get(id).copied()
    }

    /// The edge between two nodes.
    pub(crate) fn edge(&self, from: NodeIndex, to: NodeIndex, kind: Tie) -> Option<EdgeIndex> {
        self.edges.get(&(from, to, kind)).copied()
    }

    /// The ties that begin at a node.
    pub(crate) fn outgoing(&self, node: NodeIndex) -> &[Outgoing] {
        &self.outgoing[node.index()]
    }

    /// The edges of a node in one direction, each with the node at its other end.
    pub(crate) fn edges(
        &self,
        node: NodeIndex,
        direction: Direction,
    ) -> impl Iterator<Item = (NodeIndex, &RelationHistory)> {
        self.graph
            .edges_directed(node, direction)
            .map(move |edge| match direction {
                Direction::Outgoing => (edge.target(), edge.weight()),
                Direction::Incoming => (edge.source(), edge.weight()),
            })
    }

    /// Looks again at what had changed by too little to be written.
    pub(crate) fn queue_later(&mut self) {
        let (nodes, edges) = (&mut self.dirty_nodes_later, &mut self.dirty_edges_later);
        self.dirty_nodes.append(nodes);
        self.dirty_edges.append(edges);
    }

    /// Takes all that is known as what the store has.
    pub(crate) fn mark_kept(&mut self) {
        for history in self.graph.node_weights_mut() {
            history.is_queued = false;
            for version in &mut history.versions {
                version.seen.mark_kept();
            }
        }
        for history in self.graph.edge_weights_mut() {
            history.is_queued = false;
            history
                .claims
                .iter_mut()
                .for_each(|one| one.seen.mark_kept());
        }
        self.dirty_nodes.clear();
        self.dirty_edges.clear();
    }

    /// Takes nothing as what the store has: all is to be written again.
    pub(crate) fn mark_unkept(&mut self) {
        for node in self.graph.node_indices().collect::<Vec<_>>() {
            for version in &mut self.graph[node].versions {
                version.seen.mark_unkept();
            }
            self.touch_node(node);
        }
        for edge in self.graph.edge_indices().collect::<Vec<_>>() {
            let claims = &mut self.graph[edge].claims;
            claims.iter_mut().for_each(|one| one.seen.mark_unkept());
            self.touch_edge(edge);
        }
    }

    /// Looks at the next few edges and nodes and forgets those of them that were told of last before `horizon`: the store still has
    /// them. A few at a time, since others wait for the lock.
    pub(crate) fn forget_some(&mut self, horizon: Nanos) {
        let is_old = |newest: Option<Nanos>| newest.is_none_or(|newest| newest < horizon);
        let (edges, nodes) = (self.graph.edge_bound(), self.graph.node_bound());
        for _ in 0..FORGET_TURN.min(edges) {
            let edge = EdgeIndex::new(self.next_edge % edges);
            self.next_edge = self.next_edge.wrapping_add(1);
            let history = self.graph.edge_weight(edge);
            let is_gone = history.is_some_and(|one| !one.is_queued && is_old(one.newest()));
            if let Some((from, to)) = self.graph.edge_endpoints(edge).filter(|_| is_gone) {
                self.edges.remove(&(from, to, self.graph[edge].kind));
                self.outgoing[from.index()].retain(|one| one.edge != edge);
                self.graph.remove_edge(edge);
            }
        }
        for _ in 0..FORGET_TURN.min(nodes) {
            let node = NodeIndex::new(self.next_node % nodes);
            self.next_node = self.next_node.wrapping_add(1);
            let history = self.graph.node_weight(node);
            let is_gone = history.is_some_and(|one| !one.is_queued && is_old(one.newest()));
            let is_alone = || self.graph.neighbors_undirected(node).next().is_none();
            if is_gone && is_alone() {
                self.remove(node);
            }
        }
    }

    fn remove(&mut self, node: NodeIndex) {
        let Some(history) = self.graph.remove_node(node) else {
            return;
        };
        self.index.remove(&history.id);
        for version in &history.versions {
            for place in tying_values(&self.tying, &version.told) {
                if let Some(nodes) = self.values.get_mut(&place) {
                    nodes.remove(&node);
                    if nodes.is_empty() {
                        self.values.remove(&place);
                    }
                }
            }
        }
    }
}

/// The values by which an entity can be tied, as one signal tells of them.
fn tying_values(tying: &[Arc<str>], told: &Told) -> Vec<(Arc<str>, String)> {
    let value = |key: &Arc<str>| {
        let value = match &**key {
            NAME => Some(told.name.clone()),
            key => told.attributes.text(key).map(|value| value.into_owned()),
        };
        let value = value.filter(|value| !value.is_empty())?;
        Some((Arc::clone(key), value))
    };
    tying.iter().filter_map(value).collect()
}
