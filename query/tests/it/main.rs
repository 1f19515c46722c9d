//! The query engine over a real store.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on is to panic where it stands"
)]

mod compliance;
mod corpus;
mod damage;
mod dashboards;
mod fixture;
mod old;
mod promql;
mod results;
mod sql;
