//! Tests of the store through its public face, on real directories.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test panics to fail, and tells its parent process on stdout what it did"
)]

mod append;
mod columns;
mod compaction;
mod crash;
mod damage;
mod damaged_files;
mod delta_reader;
mod disk;
mod downsampling;
mod fixture;
mod full_disk;
mod older_version;
mod power_cut;
mod recovery;
mod retention;
mod round_trip;
mod scan;
mod snapshot;
