//! Starts the processes, starts them again when they end, breaks them, and reports restarts and deployments as a platform does.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, bail};
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    sync::watch,
    task::JoinSet,
};

use crate::{
    otlp::{Client, Event},
    role::{Defect, Role, RoleConfig, VARIABLE},
    scenario::Fault,
    system::System,
};

/// Wait before a process that ended is started again.
const BACKOFF: Duration = Duration::from_secs(2);
/// How often restart counts are reported.
const REPORT: Duration = Duration::from_secs(5);
/// Longest start of one process.
const START: Duration = Duration::from_secs(20);

/// Keeps a system's processes alive.
#[derive(Debug)]
pub(crate) struct Supervisor {
    shared: Arc<Shared>,
    wanted: BTreeMap<String, watch::Sender<RoleConfig>>,
    /// Ends every watcher, and with it every process, when dropped.
    _watchers: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    client: Client,
    dir: PathBuf,
    lists: BTreeMap<String, PathBuf>,
    running: Mutex<BTreeMap<String, (RoleConfig, Option<u32>)>>,
    restarts: Mutex<BTreeMap<String, u64>>,
}

impl Supervisor {
    /// Starts everything and waits until all of it listens.
    pub(crate) async fn start(
        system: &System,
        client: Client,
        dir: PathBuf,
    ) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared {
            client,
            dir,
            lists: system.lists.clone(),
            running: Mutex::default(),
            restarts: Mutex::default(),
        });
        let mut wanted = BTreeMap::new();
        let mut watchers = JoinSet::new();
        for config in &system.processes {
            let (sender, receiver) = watch::channel(config.clone());
            wanted.insert(config.name.clone(), sender);
            watchers.spawn(watch_process(Arc::clone(&shared), receiver));
            wait_for(config).await?;
        }
        watchers.spawn(report_restarts(Arc::clone(&shared)));
        Ok(Self {
            shared,
            wanted,
            _watchers: watchers,
        })
    }

    /// Breaks the system as the fault says.
    pub(crate) async fn inject(&self, fault: &Fault) -> anyhow::Result<()> {
        match fault {
            Fault::BadRelease {
                at: on,
                version,
                extra_wait_ms,
                fail_share,
            } => {
                let mut config = self.config(on)?;
                let from = std::mem::replace(&mut config.version, version.clone());
                config.defect.delay_ms = *extra_wait_ms;
                config.defect.fail_share = *fail_share;
                let event = Event {
                    name: "deployment",
                    body: format!("{on} {from} -> {version}"),
                    attributes: vec![("service.version".to_owned(), version.clone())],
                };
                self.shared.client.event(&config, event).await?;
                self.replace(on, config)
            }
            Fault::CrashLoop { at: on, after_ms } => {
                let mut config = self.config(on)?;
                config.defect.crash_after_ms = Some(*after_ms);
                self.replace(on, config)
            }
            Fault::CpuHog { at: on, threads } => {
                let defect = Defect {
                    hog_threads: *threads,
                    ..Defect::default()
                };
                self.order(on, &defect).await
            }
            Fault::Lock { at: on, hold_ms } => {
                let defect = Defect {
                    hold_lock_ms: *hold_ms,
                    ..Defect::default()
                };
                self.order(on, &defect).await
            }
            Fault::LinkDelay { at: on, delay_ms } | Fault::SlowExternal { at: on, delay_ms } => {
                let defect = Defect {
                    delay_ms: *delay_ms,
                    ..Defect::default()
                };
                self.order(on, &defect).await
            }
            Fault::LinkLoss { at: on, loss_share } => {
                let defect = Defect {
                    loss_share: *loss_share,
                    ..Defect::default()
                };
                self.order(on, &defect).await
            }
        }
    }

    fn config(&self, name: &str) -> anyhow::Result<RoleConfig> {
        let Some(sender) = self.wanted.get(name) else {
            bail!("fault.at {name:?}: is not there")
        };
        Ok(sender.borrow().clone())
    }

    /// Starts a process anew with another configuration.
    fn replace(&self, name: &str, config: RoleConfig) -> anyhow::Result<()> {
        let Some(sender) = self.wanted.get(name) else {
            bail!("fault.at {name:?}: is not there")
        };
        sender.send_replace(config);
        Ok(())
    }

    /// Tells a running process to misbehave.
    async fn order(&self, name: &str, defect: &Defect) -> anyhow::Result<()> {
        let url = format!("http://{}/defect", self.config(name)?.control);
        let answer = reqwest::Client::new().put(url).json(defect).send().await;
        answer
            .and_then(|answer| answer.error_for_status())
            .with_context(|| format!("break {name}"))?;
        Ok(())
    }
}

async fn wait_for(config: &RoleConfig) -> anyhow::Result<()> {
    let address = match &config.role {
        Role::Http | Role::Database | Role::Gateway => config.listen,
        Role::Worker | Role::Agent { .. } | Role::Link { .. } => config.control,
    };
    let connect = async {
        while TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(START, connect)
        .await
        .with_context(|| format!("{} does not listen on {address}; see its log", config.name))
}

/// Runs one process: again after it ended, anew when it is wanted otherwise.
async fn watch_process(shared: Arc<Shared>, mut wanted: watch::Receiver<RoleConfig>) {
    loop {
        let config = wanted.borrow_and_update().clone();
        let Ok(mut child) = spawn(&shared, &config) else {
            return;
        };
        shared.note(&config, child.id());
        tokio::select! {
            ended = child.wait() => {
                shared.note(&config, None);
                let code = ended.ok().and_then(|status| status.code());
                shared.ended(&config, code).await;
                tokio::time::sleep(BACKOFF).await;
            }
            changed = wanted.changed() => {
                if changed.is_err() {
                    return;
                }
                // It may have ended by itself meanwhile.
                let _ = child.kill().await;
            }
        }
    }
}

fn spawn(shared: &Shared, config: &RoleConfig) -> anyhow::Result<Child> {
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(shared.dir.join(format!("{}.log", config.name)))?;
    let child = Command::new(std::env::current_exe()?)
        .arg("role")
        .env(VARIABLE, serde_json::to_string(config)?)
        .current_dir(&shared.dir)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()?;
    Ok(child)
}

impl Shared {
    /// Keeps the lists that the hosts' agents read.
    fn note(&self, config: &RoleConfig, pid: Option<u32>) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.insert(config.name.clone(), (config.clone(), pid));
        let Some(path) = self.lists.get(&config.host) else {
            return;
        };
        let is_service = |role: &Role| matches!(role, Role::Http | Role::Worker | Role::Database);
        let listed: Vec<serde_json::Value> = running
            .values()
            .filter(|(other, _)| other.host == config.host && is_service(&other.role))
            .filter_map(|(other, pid)| {
                Some(serde_json::json!({"pid": (*pid)?, "name": other.name, "owner": other.tenant}))
            })
            .collect();
        // Without the list the agent reports an idle host, which the demo's verdict would show.
        let _ = serde_json::to_vec(&listed)
            .map_err(anyhow::Error::from)
            .and_then(|bytes| {
                let fresh = path.with_extension("new");
                std::fs::write(&fresh, bytes)?;
                Ok(std::fs::rename(fresh, path)?)
            });
    }

    async fn ended(&self, config: &RoleConfig, code: Option<i32>) {
        {
            let mut restarts = self.restarts.lock().unwrap_or_else(PoisonError::into_inner);
            *restarts.entry(config.name.clone()).or_default() += 1;
        }
        let code = code.map_or_else(|| "signal".to_owned(), |code| code.to_string());
        let event = Event {
            name: "process.exit",
            body: format!("{} ended ({code})", config.name),
            attributes: vec![("process.exit.code".to_owned(), code)],
        };
        // A report that is lost is made up for by the next count of restarts.
        let _ = self.client.event(config, event).await;
    }
}

/// Reports how often each service was started again, under the service's own name and tenant.
async fn report_restarts(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(REPORT);
    loop {
        ticks.tick().await;
        let running: Vec<RoleConfig> = {
            let running = shared
                .running
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            running.values().map(|(config, _)| config.clone()).collect()
        };
        for config in running {
            if !matches!(config.role, Role::Http | Role::Worker | Role::Database) {
                continue;
            }
            let count = {
                let restarts = shared
                    .restarts
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                restarts.get(&config.name).copied().unwrap_or_default()
            };
            // The next report makes up for one that is lost.
            let _ = shared.client.restarts(&config, count).await;
        }
    }
}
