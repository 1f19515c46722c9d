//! The handlers of the HTTP API, one file per subject.

pub(crate) mod admin;
pub(crate) mod changes;
pub(crate) mod document;
pub(crate) mod health;
pub(crate) mod import;
pub(crate) mod incident;
pub(crate) mod metrics;
pub(crate) mod number;
pub(crate) mod params;
pub(crate) mod prometheus;
pub(crate) mod remote_write;
pub(crate) mod responsibility;
pub(crate) mod rules;
pub(crate) mod sql;
pub(crate) mod tempo;
pub(crate) mod topology;
pub(crate) mod trace;
