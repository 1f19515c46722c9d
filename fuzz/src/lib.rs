//! What reads bytes or text that nobody here wrote, ready to be fed with anything.
//!
//! bytes -> [`Target::run`], which panics where something is wrong
//!
//! Each target has a libFuzzer program (`fuzz_targets/`), seeds ([`Target::seeds`]) and, where something was found, the
//! inputs that showed it (`found/<target>/`). The tests feed seeds and found inputs to every target without libFuzzer.
#![forbid(unsafe_code)]

mod compressed;
mod ground;
mod otlp;
mod promql;
mod remote_write;
mod rule_file;
mod target;
mod wal;

pub use ground::Ground;
pub use target::{Target, feed};
