//! What the graph ties: entities.

use std::fmt;

use demarc_proto::{Attributes, EntityId, Nanos, OwnerId, TenantId};

use crate::Layer;

/// What an entity is. Of two kinds that are told of one entity, the later in this order is the more telling.
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
    /// A gateway or proxy for requests.
    Gateway,
    /// A database.
    Database,
    /// A cache.
    Cache,
    /// A queue or topic.
    Queue,
    /// A Kubernetes cluster.
    Cluster,
    /// A Kubernetes namespace.
    Namespace,
    /// A deployment, stateful set, daemon set, replica set, job or cron job.
    Workload,
    /// A Kubernetes pod.
    Pod,
    /// A container.
    Container,
    /// A Kubernetes node.
    Node,
    /// A virtual machine, as its hypervisor or cloud knows it.
    Vm,
    /// A host, virtual or physical: a hypervisor is one.
    Host,
    /// A rack.
    Rack,
    /// An availability zone or a machine room.
    Zone,
    /// A region.
    Region,
    /// A volume.
    Volume,
    /// A disk of a host.
    Disk,
    /// A disk array or a storage cluster.
    Array,
    /// A load balancer or a virtual address.
    LoadBalancer,
    /// A network interface of a host or of a switch.
    Interface,
    /// A network link between two hosts, switches or regions.
    Link,
    /// A switch, router or firewall.
    Switch,
    /// A network or subnet.
    Network,
    /// A name server, or a name that is looked up.
    Dns,
    /// An address that is probed from outside.
    Probe,
    /// A third party that sends no telemetry.
    External,
    /// What telemetry names as an entity of a type that no table gives a kind.
    Component,
}

impl EntityKind {
    /// All kinds.
    pub const ALL: [Self; 31] = [
        Self::Service,
        Self::Operation,
        Self::Instance,
        Self::Function,
        Self::Gateway,
        Self::Database,
        Self::Cache,
        Self::Queue,
        Self::Cluster,
        Self::Namespace,
        Self::Workload,
        Self::Pod,
        Self::Container,
        Self::Node,
        Self::Vm,
        Self::Host,
        Self::Rack,
        Self::Zone,
        Self::Region,
        Self::Volume,
        Self::Disk,
        Self::Array,
        Self::LoadBalancer,
        Self::Interface,
        Self::Link,
        Self::Switch,
        Self::Network,
        Self::Dns,
        Self::Probe,
        Self::External,
        Self::Component,
    ];

    /// The kind's word, with which its ids begin.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Operation => "operation",
            Self::Instance => "instance",
            Self::Function => "function",
            Self::Gateway => "gateway",
            Self::Database => "database",
            Self::Cache => "cache",
            Self::Queue => "queue",
            Self::Cluster => "cluster",
            Self::Namespace => "namespace",
            Self::Workload => "workload",
            Self::Pod => "pod",
            Self::Container => "container",
            Self::Node => "node",
            Self::Vm => "vm",
            Self::Host => "host",
            Self::Rack => "rack",
            Self::Zone => "zone",
            Self::Region => "region",
            Self::Volume => "volume",
            Self::Disk => "disk",
            Self::Array => "array",
            Self::LoadBalancer => "load_balancer",
            Self::Interface => "interface",
            Self::Link => "link",
            Self::Switch => "switch",
            Self::Network => "network",
            Self::Dns => "dns",
            Self::Probe => "probe",
            Self::External => "external",
            Self::Component => "component",
        }
    }

    /// The kind that `word` names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The layer that the kind belongs to.
    pub fn layer(self) -> Layer {
        match self {
            Self::Service | Self::Operation | Self::Instance | Self::Function | Self::Component => {
                Layer::Application
            }
            Self::Gateway | Self::Database | Self::Cache | Self::Queue => Layer::Middleware,
            Self::Cluster | Self::Namespace | Self::Workload | Self::Pod | Self::Container => {
                Layer::Platform
            }
            Self::Node | Self::Vm | Self::Host | Self::Rack | Self::Zone | Self::Region => {
                Layer::Compute
            }
            Self::Volume | Self::Disk | Self::Array => Layer::Storage,
            Self::LoadBalancer
            | Self::Interface
            | Self::Link
            | Self::Switch
            | Self::Network
            | Self::Dns
            | Self::Probe => Layer::Network,
            Self::External => Layer::External,
        }
    }

    /// Whether two tenants may each have one of the same name: then the tenant is part of the id.
    pub fn is_tenants_own(self) -> bool {
        matches!(
            self.layer(),
            Layer::Application | Layer::Middleware | Layer::External
        )
    }

    /// The id of an entity of this kind; the name stands as it is told.
    ///
    /// A function is a service of its own id: it is the same one before and after it says what it is.
    pub fn id(self, tenant: &TenantId, name: &str) -> EntityId {
        let word = match self {
            Self::Function => Self::Service.as_str(),
            kind => kind.as_str(),
        };
        EntityId(if self.is_tenants_own() {
            format!("{word}:{tenant}/{name}")
        } else {
            format!("{word}:{name}")
        })
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

impl Entity {
    /// Whether it is known by a name only that others call it by.
    pub fn is_virtual(&self) -> bool {
        let is_peer = matches!(
            self.kind,
            EntityKind::External | EntityKind::Queue | EntityKind::Database | EntityKind::Cache
        );
        is_peer && self.attributes.text(VIRTUAL).is_some()
    }

    /// Whether its parts are seen by whoever sees it: a service's instances, not a cluster's pods.
    pub(crate) fn has_own_parts(&self) -> bool {
        self.tenant.is_some() && self.kind.is_tenants_own()
    }
}

/// The attribute of an entity that is known by a name only; its value is the host of that name, without the port.
pub(crate) const VIRTUAL: &str = "demarc.peer.host";
