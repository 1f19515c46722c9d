//! The server as its users meet it: a child process, its sockets, its command line.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on is to panic where it stands"
)]

mod architecture;
mod cases;
mod cli;
mod compression;
mod flight;
mod harness;
mod hostile;
mod hostile_sql;
mod incident;
mod isolation;
mod kill;
mod logs;
mod mutation;
mod otlp;
mod postgres;
mod prometheus;
mod prometheus_client;
mod python;
mod remote_write;
mod sockets;
mod sql;
mod tempo;
mod tls;
mod topology;
