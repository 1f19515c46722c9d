//! The load that the benchmarks are made with: the same bytes on every run.
//!
//! [`spans`], [`gauges`] and [`logs`] make OTLP requests as an SDK would send them; [`Bed`] is an engine in a folder of its own to send them to.

mod bed;
mod load;

pub use bed::Bed;
pub use load::{gauges, logs, spans};
