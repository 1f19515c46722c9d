//! Recorded faults of other systems, read as the OTLP that their systems would have sent.
//!
//! A set is a folder with `labels.jsonl`, `cases/` and `systems/`. What the recordings of a set look like is told by its labels:
//! `nezha` has spans of pods, metrics a minute and logs; `petshop` has figures per entity and a graph of calls.

mod dice;
mod label;
mod nezha;
mod petshop;
mod set;
mod table;
mod telemetry;

pub(crate) use label::{Label, Truth};
pub(crate) use set::{Cut, Recording, Set, System};
pub(crate) use telemetry::{Telemetry, Unix};
