//! Reports, compared byte by byte.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on is to panic where it stands"
)]

mod golden;
