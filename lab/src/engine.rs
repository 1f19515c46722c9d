//! The engine as a child process, reached through its sockets alone.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::cli::DemoArgs;

/// Longest start.
const START: Duration = Duration::from_secs(30);

/// A running engine; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Engine {
    child: Child,
    pub(crate) http: SocketAddr,
    pub(crate) otlp_grpc: SocketAddr,
}

impl Engine {
    /// Starts the engine with a configuration file, and waits until it listens.
    pub(crate) async fn start(args: &DemoArgs, dir: &Path, config: &Path) -> anyhow::Result<Self> {
        let binary = match &args.engine {
            Some(path) => path.clone(),
            None => beside()?,
        };
        let log = std::fs::File::create(dir.join("engine.log"))?;
        let mut child = Command::new(&binary)
            .arg("server")
            .args(["--http", &args.http.to_string()])
            .args(["--otlp-grpc", &args.otlp_grpc.to_string()])
            .args(["--otlp-http", &args.otlp_http.to_string()])
            .args(["--flight", "127.0.0.1:0", "--postgres", "127.0.0.1:0"])
            .arg("--data-dir")
            .arg(dir.join("data"))
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start the engine {}", binary.display()))?;
        let out = child
            .stdout
            .take()
            .context("the engine's standard output")?;
        let mut lines = BufReader::new(out).lines();
        let (mut http, mut grpc, mut otlp_http) = (None, None, None);
        let read = async {
            while http.is_none() || grpc.is_none() || otlp_http.is_none() {
                let Some(line) = lines.next_line().await? else {
                    bail!("the engine ended; see {}", dir.join("engine.log").display());
                };
                let Some((name, address)) = line.split_once(" listening on ") else {
                    continue;
                };
                let address: SocketAddr = address.trim().parse()?;
                match name {
                    "http" => http = Some(address),
                    "otlp-grpc" => grpc = Some(address),
                    _ => otlp_http = Some(address),
                }
            }
            Ok(())
        };
        tokio::time::timeout(START, read)
            .await
            .context("the engine does not start")??;
        let (http, otlp_grpc) = (http.context("http address")?, grpc.context("gRPC address")?);
        Ok(Self {
            child,
            http,
            otlp_grpc,
        })
    }

    /// Asks it to stop, and waits until it has flushed.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(pid),
                nix::sys::signal::Signal::SIGTERM,
            )?;
        }
        let status = tokio::time::timeout(START, self.child.wait())
            .await
            .context("the engine does not stop")??;
        if !status.success() {
            bail!("the engine ended with {status}");
        }
        Ok(())
    }
}

/// The `data` of an answer of an engine's API.
pub(crate) async fn get(server: &str, tenant: &str, path: &str) -> anyhow::Result<Value> {
    let answer = reqwest::Client::new()
        .get(format!("{server}{path}"))
        .header("X-Scope-OrgID", tenant)
        .send()
        .await?;
    data(answer).await
}

/// The `data` of the answer to a JSON body.
pub(crate) async fn post(
    server: &str,
    tenant: &str,
    path: &str,
    body: &Value,
) -> anyhow::Result<Value> {
    let answer = reqwest::Client::new()
        .post(format!("{server}{path}"))
        .header("X-Scope-OrgID", tenant)
        .json(body)
        .send()
        .await?;
    data(answer).await
}

async fn data(answer: reqwest::Response) -> anyhow::Result<Value> {
    let status = answer.status();
    let mut body: Value = answer.json().await?;
    if !status.is_success() {
        bail!(
            "the engine answered {status}: {}",
            body["error"].as_str().unwrap_or_default()
        );
    }
    Ok(body["data"].take())
}

/// The page at a path.
pub(crate) async fn page(server: &str, tenant: &str, path: &str) -> anyhow::Result<String> {
    let request = reqwest::Client::new()
        .get(format!("{server}{path}"))
        .header("X-Scope-OrgID", tenant);
    Ok(request.send().await?.error_for_status()?.text().await?)
}

fn beside() -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("demarc");
    if !path.is_file() {
        bail!(
            "{} is not there: build it with `cargo build -p demarc`, or name it with --engine",
            path.display()
        );
    }
    Ok(path)
}
