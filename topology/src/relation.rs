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
    /// The first connects the second to others.
    Connects,
}

impl RelationKind {
    /// The kind's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::RunsOn => "runs_on",
            Self::PartOf => "part_of",
            Self::Connects => "connects",
        }
    }

    /// The kind that `word` names.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Calls, Self::RunsOn, Self::PartOf, Self::Connects]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}

/// Which signal says that a relation exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provenance {
    /// A client span and its server span.
    SpanPair,
    /// A client span whose other side sends none.
    ClientSpan,
    /// The attributes of one resource.
    Resource,
}

impl Provenance {
    /// The signal's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SpanPair => "span-pair",
            Self::ClientSpan => "client-span",
            Self::Resource => "resource",
        }
    }

    /// The signal that `word` names.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::SpanPair, Self::ClientSpan, Self::Resource]
            .into_iter()
            .find(|provenance| provenance.as_str() == word)
    }

    /// How far a relation may be trusted that only this signal tells of, 0 to 1. An address in a client span may be a proxy's,
    /// or have been given to somebody else.
    pub fn confidence(self) -> f64 {
        match self {
            Self::SpanPair => 1.0,
            Self::Resource => 0.95,
            Self::ClientSpan => 0.7,
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
    /// How sure it is, 0 to 1.
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
