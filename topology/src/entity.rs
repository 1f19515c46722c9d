//! What the graph ties: entities.

use std::fmt;

use demarc_proto::{Attributes, EntityId, Nanos, OwnerId, TenantId};

use crate::Layer;

/// What an entity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntityKind {
    /// A service: `service.name` within its namespace and tenant.
    Service,
    /// One operation of a service: the name of its server spans.
    Operation,
    /// One process of a service.
    Instance,
    /// A function run by a cloud.
    Function,
    /// A database.
    Database,
    /// A queue or topic.
    Queue,
    /// A Kubernetes pod.
    Pod,
    /// A container.
    Container,
    /// A Kubernetes node.
    Node,
    /// A host, virtual or physical.
    Host,
    /// A network link between two hosts.
    Link,
    /// A third party that sends no telemetry.
    External,
}

impl EntityKind {
    /// All kinds.
    pub const ALL: [Self; 12] = [
        Self::Service,
        Self::Operation,
        Self::Instance,
        Self::Function,
        Self::Database,
        Self::Queue,
        Self::Pod,
        Self::Container,
        Self::Node,
        Self::Host,
        Self::Link,
        Self::External,
    ];

    /// The kind's word, with which its ids begin.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Operation => "operation",
            Self::Instance => "instance",
            Self::Function => "function",
            Self::Database => "database",
            Self::Queue => "queue",
            Self::Pod => "pod",
            Self::Container => "container",
            Self::Node => "node",
            Self::Host => "host",
            Self::Link => "link",
            Self::External => "external",
        }
    }

    /// The kind that `word` names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The layer that the kind belongs to.
    pub fn layer(self) -> Layer {
        match self {
            Self::Service | Self::Operation | Self::Instance | Self::Function => Layer::Application,
            Self::Database | Self::Queue => Layer::Middleware,
            Self::Pod | Self::Container => Layer::Platform,
            Self::Node | Self::Host => Layer::Compute,
            Self::Link => Layer::Network,
            Self::External => Layer::External,
        }
    }

    /// Whether two tenants may each have one of the same name: then the tenant is part of the id.
    pub fn is_tenants_own(self) -> bool {
        !matches!(
            self,
            Self::Pod | Self::Container | Self::Node | Self::Host | Self::Link
        )
    }
}

impl fmt::Display for EntityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One entity, as it is at the time of its graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Entity {
    /// Its identity.
    pub id: EntityId,
    /// What it is.
    pub kind: EntityKind,
    /// Where it stands.
    pub layer: Layer,
    /// Its name to a person.
    pub name: String,
    /// Whose telemetry tells of it; `None` for infrastructure that several tenants share.
    pub tenant: Option<TenantId>,
    /// Who answers for it; `None` when no rule says so.
    pub owner: Option<OwnerId>,
    /// What is known of it.
    pub attributes: Attributes,
    /// When it was first seen.
    pub first_seen: Nanos,
    /// When it was last seen.
    pub last_seen: Nanos,
}
