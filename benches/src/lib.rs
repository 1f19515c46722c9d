//! The load that the benchmarks are made with: the same bytes on every run.
//!
//! [`gauges`] makes OTLP metrics of a given size; [`Traffic`] makes traces and log lines as a fleet of services sends
//! them; [`Bed`] is an engine in a folder of its own to send them to; [`numbers`] reads the sizes.

mod arguments;
mod bed;
mod load;
mod traffic;

pub use arguments::numbers;
pub use bed::Bed;
pub use load::gauges;
pub use traffic::Traffic;
