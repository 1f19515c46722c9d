//! Groups alerts into one disturbance, gathers evidence, and says which layer and which owner the fault belongs to.
//!
//! alerts -> [`Incident`] -> `gather` -> [`Evidence`] -> [`demarcate`] -> [`Verdict`], whose cited queries are run and
//! sealed with a digest of their result
//!
//! Invariants: [`demarcate`] is pure; a verdict cites evidence whose query anybody can run again; lack of data yields
//! [`Outcome::Inconclusive`] that names what is missing; a degraded metric is a symptom, never a cause.
//!
//! Reading order: [`Symptom`], [`Cause`], [`Verdict`], [`Shift`] (how much something changed), [`Evidence`], `behaviour`, `gather`,
//! [`demarcate`] (`locate`, `suspect`, `score`, `rank`, `explain`, `impact`), [`Incident`], [`Registry`], [`Demarcation`].

mod audience;
mod behaviour;
mod cause;
mod config;
mod demarcate;
mod demarcation;
mod error;
mod evidence;
mod gather;
mod incident;
mod registry;
mod seal;
mod shift;
mod symptom;
mod text;
mod verdict;

pub use audience::Audience;
pub use behaviour::{Event, GapFacts, OperationFacts, OwnFacts, Pattern};
pub use cause::Cause;
pub use config::IncidentConfig;
pub use demarcate::demarcate;
pub use demarcation::{Demarcation, Question, Round, Verification};
pub use error::IncidentError;
pub use evidence::{
    CallFacts, ChangeFact, EntityFacts, Evidence, LevelFacts, LevelHistory, LevelPoint,
    ProcessFact, ServiceFacts, Side, Signal, SignalFact, Signals,
};
pub use incident::{Incident, IncidentAlert, IncidentState, TimelineEntry};
pub use registry::Registry;
pub use shift::Shift;
pub use symptom::{Symptom, SymptomKind};
pub use text::Bilingual;
pub use verdict::{
    Candidate, EvidenceItem, Impact, MissingSignal, Outcome, QueryLanguage, Role, StoredQuery,
    Suspect, Verdict,
};
