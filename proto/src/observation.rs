//! What `ingest` notices in passing and `topology` turns into entities and relations.

use std::sync::Arc;

use crate::{Attributes, Labels, Nanos, TenantId, TimeRange};

/// One thing seen in the telemetry.
#[derive(Clone, Debug, PartialEq)]
pub enum Observation {
    /// A resource sent telemetry.
    Resource(ResourceObservation),
    /// Calls were made between two sides.
    Calls(CallObservation),
    /// A series that is known to tell of entities has a value.
    Series(SeriesObservation),
}

/// A resource that sent telemetry: a service instance, a host agent, a link.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceObservation {
    /// Who sent it.
    pub tenant: TenantId,
    /// The time of the telemetry (not of its arrival).
    pub at: Nanos,
    /// The resource attributes as they came.
    pub resource: Attributes,
    /// The entities that the resource is made of, where the sender names them.
    pub entities: Vec<EntityRef>,
}

/// An entity that a resource names as such. Source: OTLP, `common.v1.EntityRef`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityRef {
    /// Its type, such as `host` or `k8s.node`.
    pub kind: String,
    /// The resource attributes that identify it.
    pub id_keys: Vec<String>,
    /// The resource attributes that describe it.
    pub description_keys: Vec<String>,
}

/// A series of an exporter, and its newest value.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesObservation {
    /// Whose series.
    pub tenant: TenantId,
    /// The time of the value.
    pub at: Nanos,
    /// The labels, with the metric's name.
    pub labels: Labels,
    /// The value.
    pub value: f64,
    /// The resource that sent it, where it came over OTLP.
    pub resource: Option<Arc<Attributes>>,
}

/// All calls of one operation between two sides within one window.
#[derive(Clone, Debug, PartialEq)]
pub struct CallObservation {
    /// When the calls started.
    pub window: TimeRange,
    /// The calling side; `None` for a root: a caller that sends no spans.
    pub client: Option<CallSide>,
    /// The called side.
    pub server: Peer,
    /// The name by which the client's span calls an instrumented server: where calls go that the server never saw.
    pub alias: Option<Box<Peer>>,
    /// Number of calls.
    pub count: u64,
    /// Those that failed, as seen by the client where it is known, else by the server.
    pub errors: u64,
    /// Sum of the durations seen by the client, in nanoseconds; 0 without a client span.
    pub client_duration_ns: u64,
    /// Sum of the durations seen by the server, in nanoseconds; 0 without a server span.
    pub server_duration_ns: u64,
}

/// A side of a call that sends spans.
#[derive(Clone, Debug, PartialEq)]
pub struct CallSide {
    /// The tenant of the spans.
    pub tenant: TenantId,
    /// The resource attributes of the spans.
    pub resource: Attributes,
    /// The span's name.
    pub operation: String,
}

/// The called side.
#[derive(Clone, Debug, PartialEq)]
pub enum Peer {
    /// It sends server spans.
    Instrumented(CallSide),
    /// A database seen only in the client's spans.
    Database {
        /// `db.system.name`
        system: String,
        /// `db.namespace`
        namespace: Option<String>,
        /// `server.address`, with `:port` where given.
        address: Option<String>,
    },
    /// A queue or topic seen only in the producer's spans.
    Messaging {
        /// `messaging.system`
        system: String,
        /// `messaging.destination.name`
        destination: String,
    },
    /// Anything else that was called and sends no spans.
    Remote {
        /// `server.address` with `:port` where given, or `peer.service`.
        address: String,
    },
}
