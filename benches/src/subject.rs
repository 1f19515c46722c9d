//! A server under measurement: a process of its own, started in a fresh folder, watched through /proc, stopped.

use std::{
    fs::File,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use tempfile::TempDir;

use crate::cli::Kind;

/// Seconds for which a server is idle before its work is taken to be done.
const QUIET_SECONDS: u32 = 5;
/// Processor time in a second that an idle server may take.
const IDLE_PER_SECOND: Duration = Duration::from_millis(60);
/// Longest that a server may go on working.
const LONGEST_SETTLING: Duration = Duration::from_secs(300);

/// A running server.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) kind: Kind,
    /// `http://host:port` of the API.
    pub(crate) http: String,
    /// `http://host:port` for OTLP over gRPC; Demarc only.
    pub(crate) otlp_grpc: String,
    child: Child,
    folder: TempDir,
}

/// What the process used up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Processor time since its start.
    pub(crate) cpu: Duration,
    /// The most memory that it held at one time.
    pub(crate) peak_bytes: u64,
    /// The memory that it holds now.
    pub(crate) resident_bytes: u64,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Demarc => "demarc",
            Self::VictoriaMetrics => "victoria-metrics",
            Self::Prometheus => "prometheus",
        }
    }

    fn ready_path(self) -> &'static str {
        match self {
            Self::Demarc => "/readyz",
            Self::VictoriaMetrics => "/health",
            Self::Prometheus => "/-/ready",
        }
    }
}

impl Subject {
    /// Starts a server; `None` when its program is not there.
    pub(crate) async fn start(kind: Kind, demarc: Option<&Path>) -> anyhow::Result<Option<Self>> {
        Self::start_with(kind, demarc, &[]).await
    }

    /// As [`Self::start`], with variables in its environment.
    pub(crate) async fn start_with(
        kind: Kind,
        demarc: Option<&Path>,
        variables: &[(String, String)],
    ) -> anyhow::Result<Option<Self>> {
        let Some(program) = program(kind, demarc) else {
            return Ok(None);
        };
        let folder = tempfile::tempdir().context("make a folder for the server's data")?;
        let [http, grpc, otlp] = free_ports()?;
        let mut command = Command::new(&program);
        command.args(arguments(kind, folder.path(), [http, grpc, otlp])?);
        let log = File::create(folder.path().join("log"))?;
        command
            .envs(variables.iter().cloned())
            .stdout(log.try_clone()?)
            .stderr(log)
            .stdin(Stdio::null());
        let child = command
            .spawn()
            .with_context(|| format!("start {}", program.display()))?;
        let mut subject = Self {
            kind,
            http: format!("http://127.0.0.1:{http}"),
            otlp_grpc: format!("http://127.0.0.1:{grpc}"),
            child,
            folder,
        };
        subject.wait_until_ready().await?;
        Ok(Some(subject))
    }

    async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let url = format!("{}{}", self.http, self.kind.ready_path());
        let client = reqwest::Client::new();
        for _ in 0..300 {
            let answer = client.get(&url).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            self.check()?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!(
            "{} is not ready after 30 s:\n{}",
            self.kind.name(),
            self.log()
        );
    }

    /// An error when the server has ended by itself.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} ended with {status}:\n{}", self.kind.name(), self.log());
        }
        Ok(())
    }

    fn log(&self) -> String {
        let text = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// What the process used so far.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        let proc = PathBuf::from(format!("/proc/{}", self.child.id()));
        let stat = std::fs::read_to_string(proc.join("stat"))?;
        // Fields are counted after the program's name, which may hold anything: utime is the 12th, stime the 13th of them.
        let after = stat.rsplit_once(')').context("a stat line has a name")?.1;
        let mut times = after.split_whitespace().skip(11);
        let mut ticks = || times.next().and_then(|word| word.parse::<u64>().ok());
        let (user, system) = (ticks().context("utime")?, ticks().context("stime")?);
        let status = std::fs::read_to_string(proc.join("status"))?;
        let of = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
            kib.with_context(|| format!("{name} of /proc/<pid>/status"))
        };
        Ok(Usage {
            // Linux counts these in hundredths of a second whatever its own tick is.
            cpu: Duration::from_millis((user + system) * 10),
            peak_bytes: of("VmHWM:")? * 1024,
            resident_bytes: of("VmRSS:")? * 1024,
        })
    }

    /// Waits until the server has done what it put off until after its answers: until it is idle for some seconds. Returns how
    /// long that took; an error after five minutes.
    pub(crate) async fn settle(&self) -> anyhow::Result<Duration> {
        let begin = Instant::now();
        let mut quiet = 0;
        while quiet < QUIET_SECONDS {
            let before = self.usage()?.cpu;
            tokio::time::sleep(Duration::from_secs(1)).await;
            let busy = self.usage()?.cpu - before;
            quiet = if busy < IDLE_PER_SECOND { quiet + 1 } else { 0 };
            if begin.elapsed() > LONGEST_SETTLING {
                bail!("{} is still busy after five minutes", self.kind.name());
            }
        }
        Ok(begin.elapsed())
    }

    /// Ends the server as an operator would and returns the bytes that its data takes.
    pub(crate) async fn stop(mut self) -> anyhow::Result<u64> {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id())?);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM)?;
        for _ in 0..1200 {
            if self.child.try_wait()?.is_some() {
                return bytes_of(&self.folder.path().join("data"));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("{} does not end within 120 s of SIGTERM", self.kind.name())
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        // It may have ended already, and then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program(kind: Kind, demarc: Option<&Path>) -> Option<PathBuf> {
    if kind == Kind::Demarc {
        let beside = std::env::current_exe().ok()?.with_file_name("demarc");
        return Some(demarc.map_or(beside, Path::to_path_buf));
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(kind.name()))
        .find(|file| file.is_file())
}

fn arguments(kind: Kind, folder: &Path, ports: [u16; 3]) -> anyhow::Result<Vec<String>> {
    let data = folder.join("data").display().to_string();
    let [http, grpc, otlp] = ports.map(|port| format!("127.0.0.1:{port}"));
    Ok(match kind {
        Kind::Demarc => [
            "server",
            "--data-dir",
            &data,
            "--http",
            &http,
            "--otlp-grpc",
            &grpc,
            "--otlp-http",
            &otlp,
            "--flight",
            "127.0.0.1:0",
            "--postgres",
            "127.0.0.1:0",
        ]
        .map(str::to_owned)
        .to_vec(),
        Kind::VictoriaMetrics => vec![
            format!("-httpListenAddr={http}"),
            format!("-storageDataPath={data}"),
            "-retentionPeriod=100y".to_owned(),
            "-search.disableCache".to_owned(),
            "-search.maxUniqueTimeseries=10000000".to_owned(),
        ],
        Kind::Prometheus => {
            let config = folder.join("prometheus.yml");
            std::fs::write(&config, "global: {}\n")?;
            vec![
                format!("--config.file={}", config.display()),
                format!("--web.listen-address={http}"),
                format!("--storage.tsdb.path={data}"),
                "--storage.tsdb.retention.time=100y".to_owned(),
                "--web.enable-remote-write-receiver".to_owned(),
                "--query.max-samples=500000000".to_owned(),
            ]
        }
    })
}

fn free_ports() -> anyhow::Result<[u16; 3]> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port");
    let held = [bind()?, bind()?, bind()?];
    let mut ports = [0; 3];
    for (port, listener) in ports.iter_mut().zip(&held) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}

fn bytes_of(folder: &Path) -> anyhow::Result<u64> {
    let mut total = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        total += if meta.is_dir() {
            bytes_of(&entry.path())?
        } else {
            meta.len()
        };
    }
    Ok(total)
}
