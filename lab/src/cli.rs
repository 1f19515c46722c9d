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
    /// Judge every recorded fault of a set within this process; write predictions, print their score.
    Rca(RcaArgs),
    /// Say how often predictions that `rca` wrote are right, by their confidence.
    Reliability(ReliabilityArgs),
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

#[derive(Debug, Args)]
pub(crate) struct RcaArgs {
    /// A set of recorded faults: a folder with labels.jsonl, cases/ and systems/.
    pub(crate) dir: PathBuf,
    /// Where predictions go, a JSON object a line.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Only cases that have this in their name; may be given more than once.
    #[arg(long)]
    pub(crate) case: Vec<String>,
    /// Name an onset that is so many seconds late (60s) or early (-60s) to the engine.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = seconds, allow_hyphen_values = true)]
    pub(crate) onset_shift: i64,
    /// Ask so many seconds after the true onset (60s), with what has come in until then; 0s is when the recording ends.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = seconds)]
    pub(crate) asked_after: i64,
    /// Forget this share of the known calls between entities.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub(crate) drop_edges: f64,
    /// Keep this share of the traces, as a sampler at their heads does.
    #[arg(long, value_name = "SHARE", default_value_t = 1.0)]
    pub(crate) sample_traces: f64,
    /// Which calls are forgotten, and which traces are kept.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Leave out a kind of telemetry; may be given more than once.
    #[arg(long, value_enum)]
    pub(crate) without: Vec<Source>,
    /// Judge so many windows of each system's fault-free time instead of its cases.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub(crate) fault_free: usize,
    /// Print every verdict with its evidence.
    #[arg(long)]
    pub(crate) explain: bool,
    /// Systems that are judged at the same time.
    #[arg(long, default_value_t = 1)]
    pub(crate) jobs: usize,
}

#[derive(Debug, Args)]
pub(crate) struct ReliabilityArgs {
    /// Files of predictions.
    #[arg(required = true)]
    pub(crate) predictions: Vec<PathBuf>,
    /// A set of recorded faults that predictions are of; may be given more than once.
    #[arg(long, value_name = "DIR", required = true)]
    pub(crate) set: Vec<PathBuf>,
}

/// A kind of telemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Source {
    Logs,
    Traces,
    Metrics,
}

fn seconds(text: &str) -> Result<i64, String> {
    let number = text.strip_suffix('s').unwrap_or(text);
    let seconds = number.parse::<i32>().map(i64::from);
    seconds.map_err(|_| format!("{text:?}: must be a whole number of seconds such as 60s"))
}
