//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Observability and fault demarcation: takes OTLP in, answers PromQL and SQL, and says which layer and which owner a fault
/// belongs to.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the engine: takes telemetry, keeps it, answers queries, raises alerts, demarcates.
    ///
    /// Needs no configuration. Send OTLP to port 4317 (gRPC) or 4318 (HTTP), with the tenant in the header X-Scope-OrgID, and
    /// point Grafana's Prometheus data source at port 9400. Stop it with Ctrl-C or SIGTERM: it flushes first.
    Server(ServerArgs),
    /// Run SQL over a tenant's tables: series, samples, histograms, exemplars, spans, logs, entities, relations, changes, samples_5m, samples_1h.
    ///
    /// Example: demarc sql "SELECT service, count(*) FROM spans GROUP BY service"
    Sql(SqlArgs),
    /// Ask why a service is bad: which layer, which owner, since when, how sure, and what shows it.
    ///
    /// Example: demarc demarcate --service tax-api --since 10m
    Demarcate(DemarcateArgs),
    /// Write an incident's report for the reader that --tenant names, as one HTML file.
    ///
    /// Without an id: the newest incident. Example: demarc report --tenant tax --lang zh --out report.html
    Report(ReportArgs),
    /// Check who answers for what.
    Responsibility {
        #[command(subcommand)]
        command: ResponsibilityCommand,
    },
    /// Look at the topology, or tell it of what telemetry does not.
    Topology {
        #[command(subcommand)]
        command: TopologyCommand,
    },
    /// Delete a tenant's data.
    #[command(subcommand)]
    Tenant(TenantCommand),
    /// Run the queries of an incident's verdict again and say whether they return what they returned.
    Verify(VerifyArgs),
    /// Check the engine against test scripts.
    #[command(subcommand)]
    Test(TestCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum TestCommand {
    /// Run test scripts of Prometheus (load, clear, eval) against a store of their own, which is gone afterwards.
    ///
    /// Prints how many evaluations hold, per file and in all, and for each that does not: the line, what was expected and what
    /// came. Example: demarc test promql functions.test
    Promql(TestPromqlArgs),
}

#[derive(Debug, Args)]
pub(crate) struct TestPromqlArgs {
    /// The scripts.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// Where the data is kept; made if it is not there. One process per directory.
    #[arg(long, env = "DEMARC_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Address of the HTTP API; port 0 picks a free one and prints it. [default: 127.0.0.1:9400]
    #[arg(long, env = "DEMARC_HTTP", value_name = "ADDR")]
    pub(crate) http: Option<SocketAddr>,
    /// Address for OTLP over gRPC. [default: 127.0.0.1:4317]
    #[arg(long, env = "DEMARC_OTLP_GRPC", value_name = "ADDR")]
    pub(crate) otlp_grpc: Option<SocketAddr>,
    /// Address for OTLP over HTTP. [default: 127.0.0.1:4318]
    #[arg(long, env = "DEMARC_OTLP_HTTP", value_name = "ADDR")]
    pub(crate) otlp_http: Option<SocketAddr>,
    /// Address for SQL over Arrow Flight SQL (ADBC, JDBC). [default: 127.0.0.1:9401]
    #[arg(long, env = "DEMARC_FLIGHT", value_name = "ADDR")]
    pub(crate) flight: Option<SocketAddr>,
    /// Address for SQL over PostgreSQL's protocol; the database names the tenant. [default: 127.0.0.1:9402]
    #[arg(long, env = "DEMARC_POSTGRES", value_name = "ADDR")]
    pub(crate) postgres: Option<SocketAddr>,
    /// A configuration file in TOML; docs/operations.md lists its settings.
    #[arg(long, env = "DEMARC_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// Which server, whose data.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// The HTTP API of a running server.
    #[arg(
        long,
        env = "DEMARC_SERVER",
        default_value = "http://127.0.0.1:9400",
        value_name = "URL"
    )]
    pub(crate) server: String,
    /// The tenant, as in X-Scope-OrgID.
    #[arg(long, env = "DEMARC_TENANT", default_value = "default")]
    pub(crate) tenant: String,
}

#[derive(Debug, Args)]
pub(crate) struct SqlArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The query; only reading is allowed.
    pub(crate) query: String,
    /// How to print the rows.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Format {
    /// A table for people.
    Table,
    /// JSON.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct DemarcateArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The service that suffers: its name, or namespace/name.
    #[arg(long)]
    pub(crate) service: String,
    /// Since when: a duration before now (10m), or a time (2026-01-31T10:02:00+08:00).
    #[arg(long, default_value = "10m")]
    pub(crate) since: String,
    /// Until when; now if not given.
    #[arg(long)]
    pub(crate) until: Option<String>,
    /// What is wrong.
    #[arg(long, value_enum, default_value_t = SymptomArg::Any)]
    pub(crate) symptom: SymptomArg,
    /// How to print the verdict.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum SymptomArg {
    /// It fails requests.
    Errors,
    /// It answers late.
    Latency,
    /// It serves no requests.
    Traffic,
    /// Whichever of these it is.
    Any,
}

impl SymptomArg {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Errors => "errors",
            Self::Latency => "latency",
            Self::Traffic => "traffic",
            Self::Any => "any",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The incident; the newest one if not given.
    pub(crate) incident: Option<String>,
    /// zh or en.
    #[arg(long, default_value = "zh")]
    pub(crate) lang: String,
    /// Where to write; standard output if not given.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TenantCommand {
    /// Delete all telemetry of the tenant that --tenant names: in memory, in the write-ahead log and in every table.
    ///
    /// Example: demarc tenant delete --tenant tax --yes-delete tax
    Delete(TenantDeleteArgs),
}

#[derive(Debug, Args)]
pub(crate) struct TenantDeleteArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The tenant once more, because it cannot be undone.
    #[arg(long, value_name = "TENANT")]
    pub(crate) yes_delete: String,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The incident.
    pub(crate) incident: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TopologyCommand {
    /// Import an inventory (a CMDB): entities and relations from a CSV, YAML or JSON file.
    ///
    /// Prints what is added (+), changed (~), ended (-) and refused (!), each refused line with its reason, and fails when a
    /// line was refused. docs/topology.md describes the files. Example: demarc topology import cmdb.csv --tenant operator --dry-run
    Import(ImportArgs),
    /// List what is wrong with the topology: unmapped metrics, entities that nobody answers for, orphans, conflicts.
    Problems(ProblemsArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ResponsibilityCommand {
    /// Say what a responsibility file would change: which entities and relations change owner, which have none, and how many each
    /// rule decides. Changes nothing.
    ///
    /// Example: demarc responsibility check owners.yaml --tenant operator
    Check(CheckArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The responsibility file.
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The inventory: .csv, .yaml, .yml or .json.
    pub(crate) file: PathBuf,
    /// Only print what would be done.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// The inventory's name: imports of other names are left alone.
    #[arg(long, default_value = "cmdb")]
    pub(crate) source: String,
    /// The file is the whole inventory: what this source told before and does not tell now ends.
    #[arg(long)]
    pub(crate) replace: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ProblemsArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// When: a time (2026-01-31T10:02:00+08:00); now if not given.
    #[arg(long)]
    pub(crate) at: Option<String>,
}
