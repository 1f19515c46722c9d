//! The lab beside the engine, as processes.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on is to panic where it stands"
)]

mod demo;
mod rca;
mod replay;
