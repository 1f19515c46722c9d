//! From OTLP bytes to rows in a real store.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on is to panic where it stands"
)]

mod arbitrary;
mod bed;
mod golden;
mod message;
mod mutation;
mod notice;
mod remote_write;
mod service_graph;
mod spans;
