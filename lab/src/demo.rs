//! The demo: engine and lab side by side, a fault, and what the engine says of it.

use std::{
    path::{Path, PathBuf},
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::{
    cli::{DemoArgs, RunArgs},
    engine::{self, Engine},
    load::Citizens,
    otlp::Client,
    say,
    scenario::{self, RESPONSIBILITY, Scenario, Truth},
    show,
    supervisor::Supervisor,
    system::{Surroundings, System},
    webhook,
};

/// Longest wait for the alert after the fault.
const ALERT: Duration = Duration::from_secs(90);
/// Longest wait for the verdict after the alert.
const VERDICT: Duration = Duration::from_secs(30);

/// Runs the demo.
pub(crate) async fn run(args: DemoArgs) -> anyhow::Result<()> {
    let scenario = scenario::find(&args.scenario)?;
    let dir = folder(args.dir.as_deref())?;
    let stage = Stage {
        started: Instant::now(),
    };
    stage.phase(&format!("scenario {}: {}", scenario.name, scenario.title))?;
    stage.phase(&format!("starting the engine in {}", dir.display()))?;
    let (receiver, notifications) = webhook::listen().await?;
    let config = configure(&dir, &scenario, &format!("http://{receiver}/"))?;
    let engine = Engine::start(&args, &dir, &config).await?;
    let server = format!("http://{}", engine.http);
    stage.phase(&format!(
        "engine answers at {server}, takes OTLP at {}",
        engine.otlp_grpc
    ))?;
    let lab = Lab::start(
        &scenario,
        &format!("http://{}", engine.otlp_grpc),
        &dir,
        &stage,
    )
    .await?;
    let judged = tokio::select! {
        judged = lab.break_and_watch(&scenario, &server, notifications, &stage) => judged,
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
    };
    let right = match judged {
        Ok(judged) => finish(&scenario, &server, &dir, &judged, &stage).await,
        Err(error) if args.exit => Err(error),
        Err(error) => {
            stage.phase(&format!("{error:#}"))?;
            Ok(())
        }
    };
    if !args.exit {
        next_steps(&stage, &server, &scenario, &dir)?;
        tokio::signal::ctrl_c().await?;
        stage.phase("stopping")?;
    }
    drop(lab);
    engine.stop().await?;
    right
}

/// Runs the lab alone.
pub(crate) async fn run_lab(args: RunArgs) -> anyhow::Result<()> {
    let scenario = scenario::find(&args.scenario)?;
    let stage = Stage {
        started: Instant::now(),
    };
    let dir = folder(None)?;
    let lab = Lab::start(&scenario, &args.otlp, &dir, &stage).await?;
    tokio::select! {
        injected = lab.warm_up_and_inject(&scenario, &stage) => injected?,
        _ = tokio::signal::ctrl_c() => return Ok(()),
    }
    stage.phase("broken; Ctrl-C ends the lab")?;
    Ok(tokio::signal::ctrl_c().await?)
}

/// Says what happens, and when.
pub(crate) struct Stage {
    started: Instant,
}

impl Stage {
    fn phase(&self, text: &str) -> anyhow::Result<()> {
        say::line(&format!(
            "[{:>5.1} s] {text}",
            self.started.elapsed().as_secs_f64()
        ))
    }
}

fn folder(wanted: Option<&Path>) -> anyhow::Result<PathBuf> {
    let dir = match wanted {
        Some(dir) => dir.to_owned(),
        None => std::env::temp_dir().join(format!("demarc-demo-{}", std::process::id())),
    };
    if dir.join("data").exists() {
        bail!(
            "{}: holds data already; the demo wants a fresh folder",
            dir.display()
        );
    }
    std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
    Ok(std::fs::canonicalize(dir)?)
}

/// Writes the engine's configuration: who answers for what, and who is told.
fn configure(dir: &Path, scenario: &Scenario, receiver: &str) -> anyhow::Result<PathBuf> {
    let responsibility = dir.join("responsibility.yaml");
    std::fs::write(&responsibility, RESPONSIBILITY)?;
    let config = json!({
        "responsibility_file": responsibility,
        "telemetry": {"otlp_endpoint": "self"},
        "notify": {
            "receivers": [{"name": "duty-officer", "url": receiver}],
            "routes": [{"receiver": "duty-officer", "tenant": scenario.symptom.tenant}],
        },
    });
    let path = dir.join("demarc.toml");
    std::fs::write(&path, toml::to_string(&config)?)?;
    Ok(path)
}

struct Lab {
    supervisor: Supervisor,
    citizens: Citizens,
}

/// What the demo saw.
struct Judged {
    incident: String,
    verdict: Value,
}

impl Lab {
    async fn start(
        scenario: &Scenario,
        otlp: &str,
        dir: &Path,
        stage: &Stage,
    ) -> anyhow::Result<Self> {
        let dir = dir.join("lab");
        std::fs::create_dir_all(&dir)?;
        let deployment = scenario.deployment()?;
        let system = System::plan(&deployment, &Surroundings { otlp, dir: &dir })?;
        let client = Client::connect(otlp)
            .await
            .with_context(|| format!("no engine takes OTLP at {otlp}"))?;
        let supervisor = Supervisor::start(&system, client, dir).await?;
        let citizens = Citizens::start(&system.load);
        let count = system.processes.len();
        stage.phase(&format!(
            "lab runs: {count} processes on {} hosts",
            deployment.hosts.len()
        ))?;
        Ok(Self {
            supervisor,
            citizens,
        })
    }

    async fn warm_up_and_inject(&self, scenario: &Scenario, stage: &Stage) -> anyhow::Result<()> {
        let end = Instant::now() + Duration::from_secs(scenario.warm_up_seconds);
        while Instant::now() < end {
            let left = end.saturating_duration_since(Instant::now()).as_secs();
            stage.phase(&format!("all is well for {left} s more; {}", self.load()))?;
            let nap = Duration::from_secs(10).min(end.saturating_duration_since(Instant::now()));
            tokio::time::sleep(nap).await;
        }
        stage.phase(&format!("breaking it: {:?}", scenario.fault))?;
        self.supervisor.inject(&scenario.fault).await
    }

    /// What citizens have seen since the last call.
    fn load(&self) -> String {
        let tally = &self.citizens.tally;
        let sent = tally.sent.swap(0, Ordering::Relaxed);
        let failed = tally.failed.swap(0, Ordering::Relaxed);
        let waited = tally.waited_ms.swap(0, Ordering::Relaxed);
        let mean = waited.checked_div(sent).unwrap_or_default();
        format!("{sent} requests, {failed} failed, {mean} ms on average")
    }

    async fn break_and_watch(
        &self,
        scenario: &Scenario,
        server: &str,
        mut notifications: UnboundedReceiver<Value>,
        stage: &Stage,
    ) -> anyhow::Result<Judged> {
        self.warm_up_and_inject(scenario, stage).await?;
        let tenant = &scenario.symptom.tenant;
        let alert = self.alert(server, tenant, stage).await?;
        stage.phase(&format!("alert fires: {alert}"))?;
        let fired = Instant::now();
        let mut judged = None;
        while judged.is_none() {
            let left = VERDICT.saturating_sub(fired.elapsed());
            let Ok(Some(body)) = tokio::time::timeout(left, notifications.recv()).await else {
                break;
            };
            let incident = &body["incident"];
            let occasion = incident["occasion"].as_str().unwrap_or_default();
            let title = incident["title"]["en"].as_str().unwrap_or_default();
            stage.phase(&format!(
                "webhook received: {occasion}, {title}, {}",
                self.load()
            ))?;
            if !incident["verdict"].is_null() {
                show::verdict(&incident["verdict"])?;
                if incident["verdict"]["outcome"] == "determined" {
                    let id = incident["id"].as_str().unwrap_or_default().to_owned();
                    judged = Some(Judged {
                        incident: id,
                        verdict: incident["verdict"].clone(),
                    });
                }
            }
        }
        let judged = judged
            .with_context(|| format!("no determined verdict within {VERDICT:?} of the alert"))?;
        stage.phase(&format!(
            "verdict {:.1} s after the alert",
            fired.elapsed().as_secs_f64()
        ))?;
        Ok(judged)
    }

    /// Waits for the first firing alert of a tenant.
    async fn alert(&self, server: &str, tenant: &str, stage: &Stage) -> anyhow::Result<String> {
        let broken = Instant::now();
        let mut told = Instant::now();
        while broken.elapsed() < ALERT {
            let alerts = engine::get(server, tenant, "/api/v1/alerts").await?;
            let mut active = alerts["alerts"].as_array().into_iter().flatten();
            if let Some(alert) = active.find(|alert| alert["state"] == "firing") {
                return Ok(alert["annotations"]["summary"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned());
            }
            if told.elapsed() > Duration::from_secs(5) {
                told = Instant::now();
                stage.phase(&format!("waiting for the alert; {}", self.load()))?;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        bail!("no alert of tenant {tenant} within {ALERT:?} of the fault")
    }
}

/// Writes the reports and compares the verdict with the truth.
async fn finish(
    scenario: &Scenario,
    server: &str,
    dir: &Path,
    judged: &Judged,
    stage: &Stage,
) -> anyhow::Result<()> {
    let tenant = &scenario.symptom.tenant;
    for language in ["zh", "en"] {
        let path = format!(
            "/api/v1/incidents/{}/report?lang={language}",
            judged.incident
        );
        let html = engine::page(server, tenant, &path).await?;
        let file = dir.join(format!("report-{tenant}-{language}.html"));
        std::fs::write(&file, html)?;
        stage.phase(&format!("report written: {}", file.display()))?;
    }
    let suspect = &judged.verdict["suspect"];
    let text = |name: &str| suspect[name].as_str().unwrap_or_default().to_owned();
    let said = Truth {
        layer: text("layer"),
        owner: text("owner"),
        entity: text("entity"),
        cause: text("cause"),
    };
    if said != scenario.truth {
        bail!(
            "the verdict is wrong: it says {said:?}, the truth is {:?}",
            scenario.truth
        );
    }
    stage.phase("the verdict is right")
}

fn next_steps(stage: &Stage, server: &str, scenario: &Scenario, dir: &Path) -> anyhow::Result<()> {
    let (tenant, service) = (&scenario.symptom.tenant, &scenario.symptom.service);
    stage.phase("engine and lab go on until Ctrl-C. What to look at next:")?;
    for line in [
        format!("  open {}/report-{tenant}-zh.html", dir.display()),
        format!("  curl -H 'X-Scope-OrgID: {tenant}' {server}/api/v1/incidents"),
        format!("  curl -H 'X-Scope-OrgID: operator' {server}/api/v1/topology"),
        format!(
            "  demarc demarcate --server {server} --tenant {tenant} --service {service} --since 2m"
        ),
        format!(
            "  demarc sql --server {server} --tenant {tenant} \"SELECT service, count(*), avg(duration) / 1e6 AS ms FROM spans GROUP BY service\""
        ),
        format!(
            "  add {server} to Grafana as a Prometheus data source with the header X-Scope-OrgID: {tenant}; dashboards/grafana has dashboards"
        ),
    ] {
        say::line(&line)?;
    }
    Ok(())
}
