//! Entities, layers, owners, and the time-versioned graph that ties them.
//!
//! observations -> `identify` | `calls` -> `merge` into `state` -> [`Graph`] at a time, with owners by [`Responsibility`]
//!
//! Invariants: merging is pure and does not depend on the order of observations; a relation says which signal it is from and
//! how sure that is; a graph for a past time is the graph as it was.
//!
//! Reading order: [`Layer`], [`Entity`], [`Relation`], [`Graph`], `identify`, `calls`, `state`, [`Responsibility`], [`Topology`].

mod calls;
mod config;
mod entity;
mod error;
mod graph;
mod identify;
mod layer;
mod owner;
mod persist;
mod relation;
mod state;
mod topology;

pub use config::TopologyConfig;
pub use entity::{Entity, EntityKind};
pub use error::TopologyError;
pub use graph::Graph;
pub use layer::Layer;
pub use owner::{LocalName, OwnerMatch, OwnerRule, Party, PartyKind, Responsibility};
pub use relation::{CallStats, Provenance, Relation, RelationKind};
pub use topology::Topology;
