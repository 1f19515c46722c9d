//! Observations to graphs.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on is to panic where it stands"
)]

mod exporters;
mod graphs;
mod import;
mod order;
mod persist;
mod responsibility;
mod scene;
