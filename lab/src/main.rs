//! `demarc-lab`: a small real system to observe and to break.
//!
//! `scenario` (YAML) -> `system` (which processes, which ports, which links) -> `supervisor` (starts, restarts, breaks them) and
//! `load`; each process is a `role` of this same binary. `demo` runs the engine beside it and compares its verdict with the
//! truth; `replay` sends a recorded fault of another system instead; `rca` judges all faults of a set of recordings within this process.
//!
//! Invariants: the engine learns of the lab through its sockets, of recordings through OTLP alone; nothing outlives the lab.

mod cli;
mod demo;
mod engine;
mod load;
mod otlp;
mod ports;
mod rca;
mod recording;
mod replay;
mod role;
mod say;
mod scenario;
mod show;
mod supervisor;
mod system;
mod webhook;

use clap::Parser;

use cli::{Cli, Command};

fn main() -> std::process::ExitCode {
    match run(Cli::parse()) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write;
            // Nothing can be done when standard error is closed.
            let _ = writeln!(std::io::stderr(), "demarc-lab: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    if matches!(cli.command, Command::Role) {
        return role::run();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match cli.command {
            Command::Demo(args) => demo::run(args).await,
            Command::Run(args) => demo::run_lab(args).await,
            Command::Replay(args) => replay::run(args).await,
            Command::Rca(args) => rca::run(args).await,
            Command::Reliability(args) => rca::reliability(&args),
            Command::Scenarios => {
                for scenario in scenario::shipped()? {
                    say::line(&format!("{:<18} {}", scenario.name, scenario.title))?;
                }
                Ok(())
            }
            Command::Role => Ok(()),
        }
    })
}
