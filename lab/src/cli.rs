//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};

/// A small city cloud of real processes, observed by Demarc over OTLP, and broken on purpose.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start engine and lab, break something, and show what the engine says of it.
    Demo(DemoArgs),
    /// Start the lab alone against a running engine, and break it after its warm-up.
    Run(RunArgs),
    /// Send a recorded fault of another system to a running engine, its times moved to now.
    Replay(ReplayArgs),
    /// List the shipped scenarios.
    Scenarios,
    /// Be one of the lab's processes.
    #[command(hide = true)]
    Role,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// A shipped scenario's name, or a scenario file.
    #[arg(long, default_value = "cpu-hog")]
    pub(crate) scenario: String,
    /// End when the verdict is there: successfully if it is right.
    #[arg(long)]
    pub(crate) exit: bool,
    /// Where data, logs and reports go; a new temporary folder if not given.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// The engine's HTTP API; port 0 picks a free one.
    #[arg(long, default_value = "127.0.0.1:9400")]
    pub(crate) http: SocketAddr,
    /// The engine's OTLP/gRPC socket.
    #[arg(long, default_value = "127.0.0.1:4317")]
    pub(crate) otlp_grpc: SocketAddr,
    /// The engine's OTLP/HTTP socket.
    #[arg(long, default_value = "127.0.0.1:4318")]
    pub(crate) otlp_http: SocketAddr,
    /// The engine; the `demarc` beside this binary if not given.
    #[arg(long, value_name = "FILE")]
    pub(crate) engine: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// A shipped scenario's name, or a scenario file.
    #[arg(long, default_value = "cpu-hog")]
    pub(crate) scenario: String,
    /// Where OTLP/gRPC goes.
    #[arg(long, default_value = "http://127.0.0.1:4317")]
    pub(crate) otlp: String,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// The folder of one case, in the layout of a set of recorded faults.
    pub(crate) case: PathBuf,
    /// Where OTLP/gRPC goes.
    #[arg(long, default_value = "http://127.0.0.1:4317")]
    pub(crate) otlp: String,
    /// The tenant to send as.
    #[arg(long, default_value = "default")]
    pub(crate) tenant: String,
    /// Ask the engine for its verdict when everything was sent.
    #[arg(long)]
    pub(crate) ask: bool,
    /// The engine's HTTP API, for --ask.
    #[arg(long, default_value = "http://127.0.0.1:9400")]
    pub(crate) server: String,
}
