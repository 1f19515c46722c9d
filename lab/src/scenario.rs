//! Deployments and scenarios: YAML, shipped with the binary or read from a file.

use std::path::Path;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

/// A system to observe.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Deployment {
    /// The operator's tenant: host and link agents report under it.
    pub(crate) operator: String,
    /// Each is a set of processes that share processors.
    pub(crate) hosts: Vec<String>,
    pub(crate) links: Vec<Link>,
    pub(crate) externals: Vec<External>,
    pub(crate) services: Vec<Service>,
    pub(crate) load: Vec<Load>,
}

/// Traffic from one host to another goes through it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Link {
    pub(crate) name: String,
    pub(crate) from: String,
    pub(crate) to: String,
}

/// A third party that sends no telemetry.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct External {
    /// The name under which it is called.
    pub(crate) name: String,
    pub(crate) port: u16,
    pub(crate) latency_ms: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) kind: ServiceKind,
    pub(crate) tenant: String,
    pub(crate) namespace: String,
    pub(crate) host: String,
    /// Processor time per request.
    #[serde(default)]
    pub(crate) work_ms: f64,
    #[serde(default)]
    pub(crate) calls: Vec<Call>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ServiceKind {
    Http,
    Worker,
    Database,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Call {
    pub(crate) to: String,
    /// For databases.
    #[serde(default)]
    pub(crate) statement: Statement,
    /// Share of requests that make the call.
    #[serde(default = "one")]
    pub(crate) share: f64,
}

fn one() -> f64 {
    1.0
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Statement {
    #[default]
    Read,
    Write,
}

/// Requests from outside: open load, more by day than by night.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Load {
    pub(crate) to: String,
    pub(crate) per_second: f64,
}

/// What is broken, where, and what is true of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) deployment: String,
    /// How long the system runs well before the fault.
    pub(crate) warm_up_seconds: u64,
    pub(crate) fault: Fault,
    pub(crate) symptom: Suffering,
    pub(crate) truth: Truth,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Fault {
    /// A worker computes with that many threads.
    CpuHog { at: String, threads: u32 },
    /// A new version waits longer and fails a share of its requests.
    BadRelease {
        at: String,
        version: String,
        extra_wait_ms: u64,
        fail_share: f64,
    },
    /// The database's write lock is held again and again.
    Lock { at: String, hold_ms: u64 },
    /// A link takes that long for a round trip.
    LinkDelay { at: String, delay_ms: u64 },
    /// A link loses that share of what it carries; at 1 it is cut.
    LinkLoss { at: String, loss_share: f64 },
    /// A third party takes that much longer.
    SlowExternal { at: String, delay_ms: u64 },
    /// A service ends that long after each start.
    CrashLoop { at: String, after_ms: u64 },
}

/// Whose service is expected to suffer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Suffering {
    pub(crate) tenant: String,
    pub(crate) service: String,
}

/// What a right verdict says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Truth {
    pub(crate) layer: String,
    pub(crate) owner: String,
    pub(crate) entity: String,
    pub(crate) cause: String,
}

/// The shipped scenarios, in the order in which they are listed.
const SCENARIOS: [(&str, &str); 8] = [
    ("cpu-hog", include_str!("../scenarios/cpu-hog.yaml")),
    ("bad-release", include_str!("../scenarios/bad-release.yaml")),
    (
        "database-lock",
        include_str!("../scenarios/database-lock.yaml"),
    ),
    ("slow-link", include_str!("../scenarios/slow-link.yaml")),
    ("lossy-link", include_str!("../scenarios/lossy-link.yaml")),
    ("cut-link", include_str!("../scenarios/cut-link.yaml")),
    (
        "slow-third-party",
        include_str!("../scenarios/slow-third-party.yaml"),
    ),
    ("crash-loop", include_str!("../scenarios/crash-loop.yaml")),
];
const DEPLOYMENTS: [(&str, &str); 1] = [("city", include_str!("../deployment/city.yaml"))];

/// Who answers for what in the shipped deployment.
pub(crate) const RESPONSIBILITY: &str = include_str!("../deployment/responsibility.yaml");

/// The shipped scenarios.
pub(crate) fn shipped() -> anyhow::Result<Vec<Scenario>> {
    SCENARIOS
        .iter()
        .map(|(name, text)| read(name, text))
        .collect()
}

/// A scenario by the name of a shipped one, or by the path of a file.
pub(crate) fn find(name: &str) -> anyhow::Result<Scenario> {
    if let Some((_, text)) = SCENARIOS.iter().find(|(known, _)| *known == name) {
        return read(name, text);
    }
    if Path::new(name).is_file() {
        return read(name, &std::fs::read_to_string(name)?);
    }
    let known: Vec<&str> = SCENARIOS.iter().map(|(name, _)| *name).collect();
    bail!(
        "scenario {name:?}: must be a file, or one of {}",
        known.join(", ")
    )
}

impl Scenario {
    /// The deployment that the scenario names.
    pub(crate) fn deployment(&self) -> anyhow::Result<Deployment> {
        let shipped = DEPLOYMENTS
            .iter()
            .find(|(known, _)| *known == self.deployment);
        match shipped {
            Some((name, text)) => read(name, text),
            None => read(
                &self.deployment,
                &std::fs::read_to_string(&self.deployment)?,
            ),
        }
    }
}

fn read<T: for<'de> Deserialize<'de>>(name: &str, text: &str) -> anyhow::Result<T> {
    serde_saphyr::from_str(text).with_context(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_scenario_breaks_something_that_is_deployed() {
        for scenario in shipped().unwrap() {
            let deployment = scenario.deployment().unwrap();
            let on = match &scenario.fault {
                Fault::CpuHog { at: on, .. }
                | Fault::BadRelease { at: on, .. }
                | Fault::Lock { at: on, .. }
                | Fault::LinkDelay { at: on, .. }
                | Fault::LinkLoss { at: on, .. }
                | Fault::SlowExternal { at: on, .. }
                | Fault::CrashLoop { at: on, .. } => on,
            };
            let names = deployment.services.iter().map(|one| &one.name);
            let names = names.chain(deployment.links.iter().map(|one| &one.name));
            let mut names = names.chain(deployment.externals.iter().map(|one| &one.name));
            assert!(names.any(|name| name == on), "{}: {on}", scenario.name);
        }
    }
}
