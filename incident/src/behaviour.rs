//! What operations do, and how long services take for it: the part of evidence that needs whole traces.

use std::collections::{BTreeMap, BTreeSet};

use demarc_proto::EntityId;
use serde::{Deserialize, Serialize};

/// Something that a span did.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// It called an operation of another service, or did a part of its work under another name.
    Call {
        /// The other service; `None` for its own.
        service: Option<EntityId>,
        /// The operation.
        operation: String,
    },
    /// It wrote a log line of this template.
    Line(String),
    /// It wrote a log line of this template that tells of an error.
    ErrorLine(String),
    /// It threw an exception of this type.
    Exception(String),
    /// It failed.
    Failure,
    /// None of these.
    Nothing,
}

impl Event {
    /// Whether something went wrong.
    pub fn is_error(&self) -> bool {
        matches!(
            self,
            Self::ErrorLine(_) | Self::Exception(_) | Self::Failure
        )
    }
}

/// What some spans of an operation did alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pattern {
    /// All that each of them did.
    pub events: BTreeSet<Event>,
    /// How many did.
    pub count: u64,
    /// How many of them called which other service last, during the disturbance.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub last: BTreeMap<EntityId, u64>,
}

/// What an operation did before and during.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationFacts {
    /// Whose.
    pub service: EntityId,
    /// Its name, with whom it calls where its spans say so.
    pub operation: String,
    /// The name of its spans.
    #[serde(default)]
    pub span_name: String,
    /// Whom its spans call, where they call another service and always the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<EntityId>,
    /// Errors that these requests also meet in peace.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub background: BTreeSet<String>,
    /// Before, the most frequent pattern first.
    pub before: Vec<Pattern>,
    /// During, the most frequent pattern first.
    pub during: Vec<Pattern>,
    /// Number of spans below its spans, before.
    #[serde(default)]
    pub descendants_before: u64,
    /// Number of spans below its spans, during.
    #[serde(default)]
    pub descendants_during: u64,
}

impl OperationFacts {
    /// Number of its spans before.
    pub fn spans_before(&self) -> u64 {
        self.before.iter().map(|pattern| pattern.count).sum()
    }

    /// Number of its spans during.
    pub fn spans_during(&self) -> u64 {
        self.during.iter().map(|pattern| pattern.count).sum()
    }
}

/// Time between the two sides of calls, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GapFacts {
    /// Number of calls before.
    pub before_count: u64,
    /// Number of calls during.
    pub during_count: u64,
    /// Median before.
    pub before_ms: f64,
    /// What three of four did not exceed before.
    pub before_high_ms: f64,
    /// Median during.
    pub during_ms: f64,
}

/// Time that a service takes for a request itself, without waiting for calls, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OwnFacts {
    /// Number of requests before.
    pub before_count: u64,
    /// Number of requests during.
    pub during_count: u64,
    /// Mean before; the highest tenth counts as its lowest.
    pub before_ms: f64,
    /// Three quarters' bound above the median, before.
    pub spread_ms: f64,
    /// Mean during; the highest tenth counts as its lowest.
    pub during_ms: f64,
    /// Requests of the service per trace, during.
    pub per_trace: f64,
}
