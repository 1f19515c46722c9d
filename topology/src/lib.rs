//! Entities, layers, owners, and the time-versioned graph that ties them.
//!
//! observations -> `identify` | `calls` -> histories in `state` -> `view` at a time -> [`Graph`], with owners by [`Responsibility`]
//!
//! Invariants: merging is pure and does not depend on the order of observations; a relation says which signal it is from and
//! how sure that is; a graph for a past time is the graph as it was.
//!
//! Reading order: [`Layer`], [`Entity`], [`Relation`], [`Graph`], `identify`, `calls`, `interval`, `history`, `state`, `view`,
//! [`Responsibility`], `persist`, [`Topology`].

mod address;
mod calls;
mod config;
mod entity;
mod error;
mod graph;
mod history;
mod identify;
mod import;
mod interval;
mod layer;
mod mapping;
mod owner;
mod persist;
mod problem;
mod relation;
mod sight;
mod state;
mod topology;
mod view;

pub use calls::peer_id;
pub use config::TopologyConfig;
pub use entity::{Entity, EntityKind};
pub use error::TopologyError;
pub use graph::Graph;
pub use import::{ImportFormat, ImportMode, ImportReport, ImportRequest, ImportRun, RefusedLine};
pub use layer::Layer;
pub use mapping::Mappings;
pub use owner::{
    Accountable, EdgeMatch, EdgeRule, LocalName, OwnerChange, OwnerMatch, OwnerRule, Party,
    PartyKind, Responsibility, Review, Rule,
};
pub use problem::{Conflict, ConflictKind, Problems, UnmappedMetric};
pub use relation::{CallStats, Provenance, Relation, RelationKind};
pub use topology::{Around, Topology};
