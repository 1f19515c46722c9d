//! A server as a child process on free ports, in a folder that goes away with it.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A running server.
pub(crate) struct Server {
    child: Child,
    // The server's standard output must stay open for as long as it runs.
    _out: BufReader<ChildStdout>,
    pub(crate) http: String,
    pub(crate) grpc: String,
    pub(crate) otlp: String,
    pub(crate) flight: String,
    pub(crate) postgres: String,
}

impl Server {
    pub(crate) fn start(data: &Path) -> Self {
        Self::start_with(data, "")
    }

    /// Starts a server with a configuration file of that text.
    pub(crate) fn start_with(data: &Path, config: &str) -> Self {
        Self::start_logging(data, config, Stdio::inherit())
    }

    /// As [`Self::start_with`], with its log going to `log`.
    pub(crate) fn start_logging(data: &Path, config: &str, log: Stdio) -> Self {
        let file = data.with_extension("toml");
        std::fs::write(&file, config).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_demarc"))
            .arg("server")
            .args([
                "--http",
                "127.0.0.1:0",
                "--otlp-grpc",
                "127.0.0.1:0",
                "--otlp-http",
                "127.0.0.1:0",
                "--flight",
                "127.0.0.1:0",
                "--postgres",
                "127.0.0.1:0",
            ])
            .arg("--data-dir")
            .arg(data)
            .arg("--config")
            .arg(&file)
            .env("RUST_LOG", "warn")
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut address = |name: &str| {
            let mut line = String::new();
            out.read_line(&mut line).unwrap();
            let (found, address) = line
                .trim()
                .split_once(" listening on ")
                .unwrap_or_else(|| panic!("{line:?}"));
            assert_eq!(found, name);
            format!("http://{address}")
        };
        let (http, grpc, otlp) = (address("http"), address("otlp-grpc"), address("otlp-http"));
        let (flight, postgres) = (address("flight"), address("postgres"));
        Self {
            child,
            _out: out,
            http,
            grpc,
            otlp,
            flight,
            postgres,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// kill -9
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; returns whether it ended well.
    pub(crate) fn stop(mut self) -> bool {
        let killed = Command::new("kill")
            .arg(self.pid().to_string())
            .status()
            .unwrap();
        assert!(killed.success());
        self.child.wait().unwrap().success()
    }

    /// Runs the binary's client commands against this server.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_demarc"))
            .args(arguments)
            .env("DEMARC_SERVER", &self.http)
            .output()
            .unwrap()
    }

    pub(crate) async fn get(&self, tenant: &str, path: &str) -> (u16, Value) {
        let answer = reqwest::Client::new()
            .get(format!("{}{path}", self.http))
            .header("X-Scope-OrgID", tenant)
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    pub(crate) async fn sql(&self, tenant: &str, query: &str) -> Value {
        let answer = reqwest::Client::new()
            .post(format!("{}/api/v1/sql", self.http))
            .header("X-Scope-OrgID", tenant)
            .json(&json!({"query": query}))
            .send()
            .await
            .unwrap();
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["status"], "success", "{query}: {body}");
        body["data"]["rows"].clone()
    }

    /// How many queries run.
    pub(crate) async fn running(&self) -> i64 {
        let text = reqwest::get(format!("{}/metrics", self.http))
            .await
            .unwrap();
        let text = text.text().await.unwrap();
        let line = text.lines().find(|line| line.starts_with("query_running"));
        line.and_then(|line| line.rsplit_once(' '))
            .map_or(0, |(_, count)| count.parse().unwrap())
    }

    /// Sends OTLP/JSON.
    pub(crate) async fn send(&self, tenant: &str, signal: &str, body: &Value) -> (u16, Value) {
        let answer = reqwest::Client::new()
            .post(format!("{}/v1/{signal}", self.otlp))
            .header("X-Scope-OrgID", tenant)
            .json(body)
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder for one server's data, inside one that goes away.
pub(crate) fn folder() -> (TempDir, std::path::PathBuf) {
    let outer = tempfile::tempdir().unwrap();
    let data = outer.path().join("data");
    (outer, data)
}

/// Unix nanoseconds.
pub(crate) fn now() -> u64 {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    u64::try_from(since.as_nanos()).unwrap()
}

/// Tries until `probe` yields something, for at most 20 seconds: what comes is not a matter of when.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    mut probe: impl FnMut() -> F,
) -> T {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(Instant::now() < end, "what was waited for did not come");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A request of one span in OTLP/JSON.
pub(crate) fn span(service: &str, number: u64, kind: u32, parent: &str) -> Value {
    let start = now();
    json!({"resourceSpans": [{
        "resource": {"attributes": [
            {"key": "service.name", "value": {"stringValue": service}},
            {"key": "service.instance.id", "value": {"stringValue": format!("{service}-1")}},
            {"key": "host.name", "value": {"stringValue": "host-a"}},
        ]},
        "scopeSpans": [{"scope": {"name": "test"}, "spans": [{
            "traceId": "5b8efff798038103d269b633813fc60c",
            "spanId": format!("{number:016x}"),
            "parentSpanId": parent,
            "name": "GET /",
            "kind": kind,
            "startTimeUnixNano": start.to_string(),
            "endTimeUnixNano": (start + 5_000_000).to_string(),
            "attributes": [{"key": "http.route", "value": {"stringValue": "/"}}],
        }]}],
    }]})
}

/// A request of one gauge point in OTLP/JSON.
pub(crate) fn gauge(name: &str, value: f64) -> Value {
    json!({"resourceMetrics": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "api"}}]},
        "scopeMetrics": [{"metrics": [{"name": name, "unit": "1", "gauge": {"dataPoints": [
            {"timeUnixNano": now().to_string(), "asDouble": value},
        ]}}]}],
    }]})
}
