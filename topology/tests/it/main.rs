//! Observations to graphs.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on is to panic where it stands"
)]

mod graphs;
mod order;
mod persist;
mod scene;
