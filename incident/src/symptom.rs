//! What suffers.

use demarc_proto::{EntityId, Nanos, TenantId, TimeRange};
use serde::{Deserialize, Serialize};

/// What is wrong with a service, as its users feel it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SymptomKind {
    /// It fails requests.
    Errors,
    /// It answers late.
    Latency,
    /// It gets, or serves, no requests any more.
    Traffic,
    /// Whichever of these it is.
    Any,
}

/// What suffers, and since when.
#[derive(Clone, Debug, PartialEq)]
pub struct Symptom {
    /// Whose service.
    pub tenant: TenantId,
    /// The service.
    pub service: EntityId,
    /// What is wrong with it.
    pub kind: SymptomKind,
    /// Since when, as far as the asker knows.
    pub since: Nanos,
    /// Until when evidence is looked at: as late as telemetry has settled, for a disturbance that goes on.
    pub until: Nanos,
    /// Times of peace to compare with, besides those right before.
    pub history: Vec<TimeRange>,
}
