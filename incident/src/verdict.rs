//! The documents that a demarcation ends in. They are kept and shown as they are, hence `Serialize`.

use demarc_proto::{EntityId, OwnerId};
use demarc_topology::Layer;
use serde::{Deserialize, Serialize};

use crate::{Bilingual, Cause, SymptomKind};

/// What a demarcation says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The tenant whose service suffers.
    pub tenant: String,
    /// The service that suffers.
    pub service: EntityId,
    /// How it suffers.
    pub symptom: SymptomKind,
    /// When the disturbance began, Unix nanoseconds.
    pub onset: i64,
    /// Until when evidence was looked at, Unix nanoseconds.
    pub until: i64,
    /// The answer.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// What speaks for it, the strongest first. Ids are unique within the verdict.
    pub evidence: Vec<EvidenceItem>,
    /// All suspects, the likeliest first, whatever the answer is.
    #[serde(default)]
    pub ranking: Vec<Candidate>,
    /// Data that would have helped and is not there.
    pub missing: Vec<MissingSignal>,
    /// Who suffers.
    pub impact: Vec<Impact>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// One suspect explains the disturbance.
    Determined {
        /// Who it is.
        suspect: Suspect,
        /// Its share of all explanations, 0 to 1.
        confidence: f64,
        /// The next best explanation.
        runner_up: Option<Box<Candidate>>,
    },
    /// No suspect does.
    Inconclusive {
        /// Why not.
        reason: Bilingual,
        /// What is suspected most, best first.
        candidates: Vec<Candidate>,
    },
}

/// Layer, owner, entity, cause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Suspect {
    /// The layer of the fault.
    pub layer: Layer,
    /// Who answers for it; `None` when no rule says so.
    pub owner: Option<OwnerId>,
    /// The contract under which it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<String>,
    /// The on-call rota.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rota: Option<String>,
    /// Where it is.
    pub entity: EntityId,
    /// The entity's name to a person.
    pub entity_name: String,
    /// What changed there.
    pub cause: Cause,
    /// What the cause points at, where that is not `entity` itself: the process of a noisy neighbour.
    pub culprit: Option<String>,
    /// The service of the culprit, where the graph knows it.
    pub culprit_service: Option<EntityId>,
    /// Who answers for the culprit.
    pub culprit_owner: Option<OwnerId>,
}

/// A suspect with its share of all explanations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Who it is.
    pub suspect: Suspect,
    /// Its share of all explanations, 0 to 1.
    pub confidence: f64,
}

/// One fact and the query that shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvidenceItem {
    /// `e1`, `e2` ...
    pub id: String,
    /// What it says of the verdict.
    pub role: Role,
    /// The entity that it is about.
    pub entity: EntityId,
    /// Further entities that its words or its query name; whoever may not see one of them sees neither.
    #[serde(default)]
    pub names: Vec<EntityId>,
    /// The fact in words.
    pub statement: Bilingual,
    /// The value during the disturbance.
    pub observed: f64,
    /// The value before it.
    pub expected: f64,
    /// Unit of both, UCUM.
    pub unit: String,
    /// The query that anybody may run again.
    pub query: StoredQuery,
}

/// What a fact says of the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// What suffers.
    Symptom,
    /// It speaks for the suspect.
    Supports,
    /// It speaks against the suspect.
    Contradicts,
    /// It rules out another suspect.
    RulesOut,
}

/// A query with all that is needed to run it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredQuery {
    /// Whose data.
    pub tenant: String,
    /// PromQL or SQL.
    pub language: QueryLanguage,
    /// The text.
    pub text: String,
    /// First time, Unix milliseconds. SQL has its times in its text.
    pub start: i64,
    /// Last time, Unix milliseconds.
    pub end: i64,
    /// Distance between two points in milliseconds, for PromQL.
    pub step: i64,
    /// Hash of the result (XXH3-128, hexadecimal); empty until it was run.
    pub digest: String,
}

/// The language of a [`StoredQuery`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QueryLanguage {
    /// A range query.
    PromQl,
    /// SQL over the tenant's tables.
    Sql,
}

/// Data that would have helped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MissingSignal {
    /// Of which entity.
    pub entity: EntityId,
    /// Which signal, such as `host cpu`.
    pub signal: String,
    /// Why it matters, and how to get it.
    pub why_zh: String,
    /// The same in English.
    pub why_en: String,
}

/// One service that suffers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Impact {
    /// The service.
    pub service: EntityId,
    /// Its tenant.
    pub tenant: String,
    /// Who answers for it.
    pub owner: Option<OwnerId>,
    /// Mean duration during the disturbance over the one before; `None` when unknown.
    pub latency_ratio: Option<f64>,
    /// Share of requests that fail during the disturbance, 0 to 1.
    pub error_ratio: f64,
}
