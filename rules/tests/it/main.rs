//! Rule files, and alerts over a real store.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on is to panic where it stands"
)]

mod alerts;
mod files;
