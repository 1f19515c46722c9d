//! `demarc-bench`: Demarc beside its peers, on the same load, in one run.
//!
//! `fleet` (which series there are, which values they take) -> `remote_write` (requests as bytes) -> `drive` (sends them and takes
//! the time) to each `subject` (a server process: started, watched, stopped) -> `ingest`, `query` and `dashboards`, the
//! comparisons, which print a table each. Beside them `series`: memory per
//! series; `overload`: more of both than there is room for; `sql`: single statements; and `shape`: bytes per sample, span and log line on disk.
//!
//! Peers are the `prometheus` and `victoria-metrics` of the PATH; one that is not there is left out by name. Every address is on
//! the loopback interface, every folder temporary.

mod cli;
mod dashboards;
mod drive;
mod fleet;
mod ingest;
mod otlp;
mod overload;
mod query;
mod remote_write;
mod series;
mod shape;
mod sql;
mod subject;
mod table;

use clap::Parser;

use cli::{Cli, Command};

fn main() -> std::process::ExitCode {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let done = match Cli::parse().command {
        Command::Ingest(args) => runtime.block_on(ingest::run(&args)),
        Command::Otlp(args) => runtime.block_on(otlp::run(&args)),
        Command::Query(args) => runtime.block_on(query::run(&args)),
        Command::Dashboards(args) => runtime.block_on(dashboards::run(&args)),
        Command::Overload(args) => runtime.block_on(overload::run(&args)),
        Command::Sql(args) => runtime.block_on(sql::run(&args)),
        Command::Series(args) => runtime.block_on(series::run(&args)),
        Command::Record(args) => runtime.block_on(shape::record(&args)),
        Command::Shape(args) => runtime.block_on(shape::run(&args)),
        Command::ShapeRows(args) => runtime.block_on(shape::run_rows(&args)),
    };
    match done {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            table::say(&format!("demarc-bench: {error:#}"));
            std::process::ExitCode::FAILURE
        }
    }
}
