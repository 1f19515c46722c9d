//! Whether a tenant may see one node, without the rest of the graph: the same answer as [`crate::Graph::visible_to`] gives.

use std::collections::{HashMap, HashSet};

use demarc_proto::TenantId;
use petgraph::{Direction, stable_graph::NodeIndex};

use crate::{EntityKind, RelationKind, history::Tie, view::View};

/// What a tenant may see, as far as it was asked.
pub(crate) struct Sight<'a> {
    pub(crate) view: View<'a>,
    pub(crate) tenant: &'a TenantId,
    pub(crate) operator: &'a str,
    pub(crate) asked: HashMap<NodeIndex, bool>,
}

/// Whose a node is to a tenant.
enum Whose {
    Own,
    /// Shared, or the operator's: seen where it carries or serves something that is seen.
    Open,
    /// Another agency's, or nobody's at this time.
    Closed,
}

impl Sight<'_> {
    /// Whether the tenant may see the node.
    pub(crate) fn sees(&mut self, node: NodeIndex) -> bool {
        if let Some(answer) = self.asked.get(&node) {
            return *answer;
        }
        let is_link = self
            .view
            .known(node)
            .is_some_and(|known| known.kind == EntityKind::Link);
        let answer = self.leads_to_own(node) || (is_link && self.sees_ends(node));
        self.asked.insert(node, answer);
        answer
    }

    /// A link is seen where all that it connects is.
    fn sees_ends(&mut self, link: NodeIndex) -> bool {
        let ends: Vec<NodeIndex> = self
            .view
            .tied(link, Direction::Outgoing)
            .into_iter()
            .filter(|(_, kind)| *kind == RelationKind::Connects)
            .map(|(end, _)| end)
            .collect();
        !ends.is_empty() && ends.into_iter().all(|end| self.leads_to_own(end))
    }

    /// Whether anything of the tenant's own stands above the node.
    fn leads_to_own(&self, node: NodeIndex) -> bool {
        let mut known = HashSet::from([node]);
        let mut open = vec![node];
        while let Some(next) = open.pop() {
            match self.whose(next) {
                Whose::Own => return true,
                Whose::Closed => continue,
                Whose::Open => {}
            }
            for above in self.above(next) {
                if known.insert(above) {
                    open.push(above);
                }
            }
        }
        false
    }

    fn whose(&self, node: NodeIndex) -> Whose {
        let Some(known) = self.view.known(node) else {
            return Whose::Closed;
        };
        match known.tenant {
            None => Whose::Open,
            Some(tenant) if tenant == *self.tenant => Whose::Own,
            Some(tenant) if tenant.as_str() == self.operator => Whose::Open,
            Some(_) => Whose::Closed,
        }
    }

    /// What makes a node visible: whatever calls it, uses it or runs on it, and the service that it is a part of.
    fn above(&self, node: NodeIndex) -> Vec<NodeIndex> {
        let users = self.view.tied(node, Direction::Incoming).into_iter();
        let users = users.filter(|(_, kind)| *kind != RelationKind::Connects);
        let wholes = self.view.tied(node, Direction::Outgoing).into_iter();
        let wholes = wholes.filter(|(whole, kind)| {
            let has_own_parts = |known: crate::history::Known| {
                known.tenant.is_some() && known.kind.is_tenants_own()
            };
            *kind == RelationKind::PartOf && self.view.known(*whole).is_some_and(has_own_parts)
        });
        users.chain(wholes).map(|(other, _)| other).collect()
    }
}

impl View<'_> {
    /// The nodes that a node is tied to in one direction at this time, each with what ties them, in no particular order.
    pub(crate) fn tied(
        &self,
        node: NodeIndex,
        direction: Direction,
    ) -> Vec<(NodeIndex, RelationKind)> {
        let mut found = Vec::new();
        for (other, history) in self.state.edges(node, direction) {
            let kind = match history.kind {
                Tie::Alias if direction == Direction::Incoming => {
                    let callers = self.callers_by_name(other, node).into_iter();
                    found.extend(callers.map(|caller| (caller, RelationKind::Calls)));
                    continue;
                }
                Tie::Relation(kind) if history.is_alive(self.at, self.config) => kind,
                Tie::Alias | Tie::Relation(_) => continue,
            };
            match (kind, direction) {
                (RelationKind::Calls, Direction::Outgoing) => {
                    found.push((self.reached(node, other).node, kind));
                }
                (RelationKind::Calls, Direction::Incoming) => {
                    if self.reached(other, node).node == node {
                        found.push((other, kind));
                    }
                }
                _ => found.push((other, kind)),
            }
        }
        let ties = self.ties(node, direction).into_iter();
        found.extend(ties.map(|(other, kind, _)| (other, kind)));
        if direction == Direction::Incoming {
            let callers = self.callers_by_address(node).into_iter();
            found.extend(callers.map(|caller| (caller, RelationKind::Calls)));
        }
        found
    }
}
