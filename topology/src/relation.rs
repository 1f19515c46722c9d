//! How entities are tied.

use demarc_proto::{EntityId, Nanos, OwnerId};

/// What ties two entities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RelationKind {
    /// The first calls the second.
    Calls,
    /// The first runs on the second.
    RunsOn,
    /// The first is a part of the second.
    PartOf,
    /// The first uses the second: a volume, a database, a load balancer.
    Uses,
    /// The first connects the second to others.
    Connects,
}

impl RelationKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [
        Self::Calls,
        Self::RunsOn,
        Self::PartOf,
        Self::Uses,
        Self::Connects,
    ];

    /// The kind's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::RunsOn => "runs_on",
            Self::PartOf => "part_of",
            Self::Uses => "uses",
            Self::Connects => "connects",
        }
    }

    /// The kind that `word` names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// Which signal says that something is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provenance {
    /// A client span and its server span.
    SpanPair,
    /// A client span whose other side sends none.
    ClientSpan,
    /// The attributes of one resource.
    Resource,
    /// The entities that a resource names as such (OTLP entity references).
    EntityRef,
    /// A series of an exporter, by a mapping rule.
    Metric,
    /// A metric that counts the calls between two services, made by somebody else.
    ServiceGraph,
    /// An inventory that was imported.
    Cmdb,
    /// Two that must be the same or tied, because they name the same address or machine.
    Address,
}

impl Provenance {
    /// All signals.
    pub const ALL: [Self; 8] = [
        Self::SpanPair,
        Self::ClientSpan,
        Self::Resource,
        Self::EntityRef,
        Self::Metric,
        Self::ServiceGraph,
        Self::Cmdb,
        Self::Address,
    ];

    /// The signal's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SpanPair => "span-pair",
            Self::ClientSpan => "client-span",
            Self::Resource => "resource",
            Self::EntityRef => "entity-ref",
            Self::Metric => "metric",
            Self::ServiceGraph => "service-graph",
            Self::Cmdb => "cmdb",
            Self::Address => "address",
        }
    }

    /// The signal that `word` names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|provenance| provenance.as_str() == word)
    }

    /// How far a relation may be trusted that only this signal tells of, 0 to 1. An address in a client span may be a proxy's,
    /// or have been given to somebody else; an inventory lags behind what it describes.
    pub fn confidence(self) -> f64 {
        match self {
            Self::SpanPair => 1.0,
            Self::Resource | Self::EntityRef => 0.95,
            Self::Metric | Self::ServiceGraph => 0.9,
            Self::Cmdb => 0.8,
            Self::ClientSpan => 0.7,
            Self::Address => 0.6,
        }
    }
}

/// Calls within the time that a relation has been seen without a gap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallStats {
    /// Number of calls.
    pub count: u64,
    /// Those that failed.
    pub errors: u64,
    /// Sum of the durations that clients saw, in nanoseconds.
    pub client_duration_ns: u64,
    /// Sum of the durations that servers saw, in nanoseconds.
    pub server_duration_ns: u64,
}

/// One relation, as it is at the time of its graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Relation {
    /// Where it begins.
    pub from: EntityId,
    /// Where it ends.
    pub to: EntityId,
    /// What it is.
    pub kind: RelationKind,
    /// The best signal that says so.
    pub provenance: Provenance,
    /// Every signal that says so, as `<provenance>` or `<provenance>:<source>`, sorted.
    pub sources: Vec<String>,
    /// How sure it is, 0 to 1: the chance that not all of the signals are wrong, taken as independent.
    pub confidence: f64,
    /// Who answers for it; `None` when no rule says so.
    pub owner: Option<OwnerId>,
    /// The calls, for [`RelationKind::Calls`].
    pub calls: CallStats,
    /// When it was first seen.
    pub first_seen: Nanos,
    /// When it was last seen.
    pub last_seen: Nanos,
}
