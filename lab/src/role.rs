//! The processes of the lab: one binary, one role each, configured by an environment variable.

mod agent;
mod database;
mod defect;
mod gateway;
mod http;
mod link;
mod outgoing;
mod telemetry;
mod worker;

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Context;
use nix::{
    sched::{CpuSet, sched_setaffinity},
    sys::{prctl, signal::Signal},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

use crate::scenario::Statement;
pub(crate) use defect::Defect;

/// The variable that holds a role's configuration as JSON.
pub(crate) const VARIABLE: &str = "DEMARC_LAB_ROLE";

/// What one process is to be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RoleConfig {
    pub(crate) role: Role,
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) tenant: String,
    pub(crate) host: String,
    pub(crate) version: String,
    /// The processors of its host.
    pub(crate) cores: Vec<usize>,
    pub(crate) listen: SocketAddr,
    /// Where it can be told to misbehave.
    pub(crate) control: SocketAddr,
    /// OTLP/gRPC endpoint.
    pub(crate) otlp: String,
    pub(crate) work_ms: f64,
    pub(crate) calls: Vec<CallConfig>,
    pub(crate) defect: Defect,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "kebab-case")]
pub(crate) enum Role {
    Http,
    Worker,
    Database,
    /// A third party.
    Gateway,
    /// Reports on the processes that a file lists.
    Agent {
        processes: PathBuf,
    },
    /// Forwards connections.
    Link {
        source: String,
        destination: String,
        forwards: Vec<(SocketAddr, SocketAddr)>,
    },
}

/// One call that a request makes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CallConfig {
    pub(crate) to: String,
    pub(crate) protocol: Protocol,
    /// Where it really goes: the callee, or the link to it.
    pub(crate) address: SocketAddr,
    /// The name and port that the caller knows.
    pub(crate) known_as: (String, u16),
    pub(crate) share: f64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Protocol {
    Http,
    Sql(Statement),
}

/// Is what the environment says, until told to stop.
pub(crate) fn run() -> anyhow::Result<()> {
    let text = std::env::var(VARIABLE)
        .with_context(|| format!("{VARIABLE}: this subcommand is started by the lab itself"))?;
    let config: RoleConfig = serde_json::from_str(&text).context(VARIABLE)?;
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    let mut cores = CpuSet::new();
    for core in &config.cores {
        cores.set(*core)?;
    }
    sched_setaffinity(Pid::from_raw(0), &cores).context("share a host's processors")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let defect = defect::control(config.control, config.defect.clone()).await?;
        match config.role.clone() {
            Role::Http => http::run(config, defect).await,
            Role::Worker => worker::run(config, defect).await,
            Role::Database => database::run(config, defect).await,
            Role::Gateway => gateway::run(config, defect).await,
            Role::Agent { processes } => agent::run(config, &processes).await,
            Role::Link {
                source,
                destination,
                forwards,
            } => link::run(config, (source, destination), forwards, defect).await,
        }
    })
}

/// Keeps a processor busy, and does nothing else, for that long by the thread's own clock.
pub(crate) fn compute(milliseconds: f64) {
    let cpu_now = || {
        nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(0.0, |time| {
            time.tv_sec() as f64 * 1e3 + time.tv_nsec() as f64 / 1e6
        })
    };
    let end = cpu_now() + milliseconds;
    let mut sum: u64 = 1;
    while cpu_now() < end {
        for at in 0..2000_u64 {
            sum =
                std::hint::black_box(sum.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(at));
        }
    }
}
