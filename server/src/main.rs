//! `demarc`: the one binary.
//!
//! `cli` -> `command` (server, sql, demarcate, report, verify, test). The server: `config` -> `app` (wiring) -> `routes` and `otlp`
//! (the sockets) and `background` (the loops).
//!
//! Invariants: only this crate opens sockets; only `status` maps errors to status codes; only `tenant` decides whose data a
//! request is about.

mod api;
mod app;
mod background;
mod body;
mod cli;
mod command;
mod compression;
mod config;
mod connection;
mod flight;
mod memory;
mod metric;
mod otlp;
mod postgres;
mod routes;
mod serve;
mod status;
mod telemetry;
mod tenant;
mod tls;

use clap::Parser;

fn main() -> std::process::ExitCode {
    match command::run(cli::Cli::parse()) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write;
            // Nothing can be done when standard error is closed.
            let _ = writeln!(std::io::stderr(), "demarc: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
