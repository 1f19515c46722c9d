//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Measures Demarc beside Prometheus and VictoriaMetrics, on the same load, in one run.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Remote-write: samples a second, per second of the server's processor time, memory, bytes on disk, latency.
    Ingest(IngestArgs),
    /// OTLP over gRPC into Demarc alone: metric points, spans and log records.
    Otlp(OtlpArgs),
    /// The same queries to each server over the same data: the middle of several runs, and ratios.
    Query(QueryArgs),
    /// Many clients that replay the panels of a dashboard: answers a second, latency, memory.
    Dashboards(DashboardArgs),
    /// Statements of SQL over HTTP, one at a time.
    Sql(SqlArgs),
    /// More writes and hostile queries than Demarc can take: what is accepted, what ordinary questions take meanwhile, memory, and
    /// whether what was acknowledged is there.
    Overload(OverloadArgs),
    /// Memory per active series, and samples a second into the store alone.
    Series(SeriesArgs),
    /// Scrapes an exporter, for `shape`.
    Record(RecordArgs),
    /// Bytes per sample on disk, by encoding, of what `record` has scraped.
    Shape(ShapeArgs),
    /// Bytes per span and per log line on disk, by column, before and after files are merged.
    ShapeRows(ShapeRowsArgs),
}

#[derive(Debug, Args)]
pub(crate) struct SeriesArgs {
    /// Active series.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) series: usize,
    /// Samples of each series, 15 s apart.
    #[arg(long, default_value_t = 10)]
    pub(crate) rounds: usize,
}

#[derive(Debug, Args)]
pub(crate) struct RecordArgs {
    /// What to scrape.
    #[arg(long, default_value = "http://127.0.0.1:9100/metrics")]
    pub(crate) url: String,
    /// Where the scrapes go, one file each.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
    /// Scrapes to take.
    #[arg(long, default_value_t = 900)]
    pub(crate) scrapes: usize,
    /// Milliseconds between two scrapes.
    #[arg(long, default_value_t = 2_000)]
    pub(crate) every_ms: u64,
}

#[derive(Debug, Args)]
pub(crate) struct ShapeArgs {
    /// Where the scrapes are.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
    /// Hosts that the scrapes are dealt out to, a stretch of them to each.
    #[arg(long, default_value_t = 1)]
    pub(crate) hosts: usize,
    /// Only every so many-th scrape.
    #[arg(long, default_value_t = 1)]
    pub(crate) stride: usize,
    /// Times that memory is written to files, before they are merged.
    #[arg(long, default_value_t = 8)]
    pub(crate) flushes: usize,
}

#[derive(Debug, Args)]
pub(crate) struct ShapeRowsArgs {
    /// Spans.
    #[arg(long, default_value_t = 800_000)]
    pub(crate) spans: usize,
    /// Log lines.
    #[arg(long, default_value_t = 800_000)]
    pub(crate) lines: usize,
    /// Times that memory is written to files.
    #[arg(long, default_value_t = 8)]
    pub(crate) flushes: usize,
}

/// Which servers, and the load on them.
#[derive(Debug, Args)]
pub(crate) struct Load {
    /// The servers to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Kind::Demarc, Kind::VictoriaMetrics, Kind::Prometheus])]
    pub(crate) servers: Vec<Kind>,
    /// The engine; the `demarc` beside this binary if not given.
    #[arg(long, value_name = "FILE")]
    pub(crate) demarc: Option<PathBuf>,
    /// Active series.
    #[arg(long, default_value_t = 100_000)]
    pub(crate) series: usize,
    /// Samples a request.
    #[arg(long, default_value_t = 5_000)]
    pub(crate) batch: usize,
    /// Connections; every series keeps to one of them, so that its samples stay in order.
    #[arg(long, default_value_t = 2)]
    pub(crate) connections: usize,
}

#[derive(Debug, Args)]
pub(crate) struct IngestArgs {
    #[command(flatten)]
    pub(crate) load: Load,
    /// Samples of each series, 15 s apart.
    #[arg(long, default_value_t = 80)]
    pub(crate) rounds: usize,
}

#[derive(Debug, Args)]
pub(crate) struct OtlpArgs {
    /// The engine; the `demarc` beside this binary if not given.
    #[arg(long, value_name = "FILE")]
    pub(crate) demarc: Option<PathBuf>,
    /// The signals to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Signal::Metrics, Signal::Traces, Signal::Logs])]
    pub(crate) signals: Vec<Signal>,
    /// Requests of each signal.
    #[arg(long, default_value_t = 400)]
    pub(crate) requests: usize,
    /// Items a request.
    #[arg(long, default_value_t = 2_000)]
    pub(crate) batch: usize,
    /// Connections.
    #[arg(long, default_value_t = 2)]
    pub(crate) connections: usize,
}

#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    #[command(flatten)]
    pub(crate) load: Load,
    /// Hours of data, a sample every 15 s.
    #[arg(long, default_value_t = 6.0)]
    pub(crate) hours: f64,
    /// Runs of each query; the middle one counts.
    #[arg(long, default_value_t = 5)]
    pub(crate) runs: usize,
}

#[derive(Debug, Args)]
pub(crate) struct DashboardArgs {
    #[command(flatten)]
    pub(crate) load: Load,
    /// Hours of data, a sample every 15 s.
    #[arg(long, default_value_t = 1.1)]
    pub(crate) hours: f64,
    /// Clients, each with a dashboard of its own.
    #[arg(long, default_value_t = 64)]
    pub(crate) clients: usize,
    /// Seconds for which they ask.
    #[arg(long, default_value_t = 15)]
    pub(crate) seconds: u64,
}

#[derive(Debug, Args)]
pub(crate) struct SqlArgs {
    /// The engine; the `demarc` beside this binary if not given.
    #[arg(long, value_name = "FILE")]
    pub(crate) demarc: Option<PathBuf>,
    /// Spans, and as many log lines.
    #[arg(long, default_value_t = 400_000)]
    pub(crate) items: usize,
    /// Series.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) series: usize,
    /// Samples of each series, 15 s apart.
    #[arg(long, default_value_t = 100)]
    pub(crate) rounds: usize,
    /// Runs of each statement.
    #[arg(long, default_value_t = 20)]
    pub(crate) runs: usize,
}

#[derive(Debug, Args)]
pub(crate) struct OverloadArgs {
    /// The engine; the `demarc` beside this binary if not given.
    #[arg(long, value_name = "FILE")]
    pub(crate) demarc: Option<PathBuf>,
    /// How long.
    #[arg(long, default_value_t = 600)]
    pub(crate) seconds: u64,
    /// Connections that write, of each kind: remote-write and the three signals of OTLP.
    #[arg(long, default_value_t = 2)]
    pub(crate) connections: usize,
    /// Connections that ask hostile queries.
    #[arg(long, default_value_t = 8)]
    pub(crate) hostile: usize,
    /// Memory that the server is told to keep within; more at the peak is a failure.
    #[arg(long, default_value_t = 4096)]
    pub(crate) memory_mib: u64,
}

/// A signal of OTLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Signal {
    /// Points of gauges.
    Metrics,
    /// Spans of a fleet of services.
    Traces,
    /// Log records of a fleet of services.
    Logs,
}

/// A server that can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// This project's.
    Demarc,
    /// `victoria-metrics` of the PATH.
    VictoriaMetrics,
    /// `prometheus` of the PATH.
    Prometheus,
}
