//! What each subcommand does.

mod client;
mod demarcate;
mod report;
mod responsibility;
mod server;
mod sql;
mod tenant;
mod test_promql;
mod topology;
mod verify;

use std::io::Write;

use anyhow::Context;

use crate::cli::{Cli, Command, TestCommand};

/// Runs a subcommand to its end.
pub(crate) fn run(cli: Cli) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match cli.command {
            Command::Server(args) => server::run(args).await,
            Command::Sql(args) => sql::run(args).await,
            Command::Demarcate(args) => demarcate::run(args).await,
            Command::Report(args) => report::run(args).await,
            Command::Responsibility { command } => responsibility::run(command).await,
            Command::Topology { command } => topology::run(command).await,
            Command::Tenant(command) => tenant::run(command).await,
            Command::Verify(args) => verify::run(args).await,
            Command::Test(TestCommand::Promql(args)) => test_promql::run(args).await,
        }
    })
}

/// Prints to standard output at once; a reader that went away is an error like any other.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("write to standard output")
}
