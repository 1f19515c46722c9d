//! Queries that try to take the server down, while somebody else is served: `server/tests/hostile/queries.txt`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures::StreamExt;
use serde_json::{Value, json};

use crate::harness::{Server, folder};

/// Little of everything, so that a debug build gets to its limits soon.
const CONFIG: &str = "
[query]
timeout_seconds = 3
max_samples = 2000000
max_bytes = 67108864
memory_bytes = 67108864
total_memory_bytes = 268435456
spill_bytes = 268435456
max_concurrent = 8
max_concurrent_per_tenant = 4
";

/// Most memory that the server may ever have held.
const MAX_RESIDENT_BYTES: u64 = 2 << 30;
/// Longest that the other client may have to wait for a small answer.
const PATIENCE: Duration = Duration::from_secs(10);

fn queries() -> Vec<String> {
    let text = std::fs::read_to_string("tests/hostile/queries.txt").unwrap();
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(expanded).collect()
}

/// Writes out `«N*TEXT»`.
fn expanded(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('«') {
        let (inner, after) = after.split_once('»').unwrap();
        let (count, text) = inner.split_once('*').unwrap();
        out.push_str(before);
        out.push_str(&text.repeat(count.parse().unwrap()));
        rest = after;
    }
    out + rest
}

/// 300 series with 40 samples each.
fn corpus() -> Value {
    let points = |series: u64| -> Vec<Value> {
        (0..40)
            .map(|at| {
                let nanos = (1_699_999_000 + at * 15) * 1_000_000_000_u64;
                json!({"timeUnixNano": nanos.to_string(), "asInt": (at * series).to_string(),
                       "attributes": [{"key": "n", "value": {"stringValue": format!("series-{series}")}}]})
            })
            .collect()
    };
    let points: Vec<Value> = (0..300).flat_map(points).collect();
    json!({"resourceMetrics": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "x"}}]},
        "scopeMetrics": [{"metrics": [{"name": "x", "gauge": {"dataPoints": points}}]}],
    }]})
}

/// The status and the body of the answer.
async fn ask(server: &str, client: &reqwest::Client, line: &str) -> (u16, Value) {
    let (kind, rest) = line.split_once(' ').unwrap();
    let url = |path: &str| format!("{server}/api/v1/{path}");
    let form = |pairs: &[(&str, &str)]| {
        let encoded: Vec<String> = pairs
            .iter()
            .map(|(name, value)| format!("{name}={}", percent(value)))
            .collect();
        encoded.join("&")
    };
    let post = |path: &str, body: String| {
        let request = client.post(url(path)).body(body);
        request.header("Content-Type", "application/x-www-form-urlencoded")
    };
    let request = match kind {
        "instant" => post("query", form(&[("query", rest), ("time", "1700000000")])),
        "range" => {
            let parts: Vec<&str> = rest.splitn(4, ' ').collect();
            let [start, end, step, query] = parts[..] else {
                panic!("{line}")
            };
            let pairs = [
                ("start", start),
                ("end", end),
                ("step", step),
                ("query", query),
            ];
            post("query_range", form(&pairs))
        }
        "get" => client.get(format!("{server}{rest}")),
        "sql" => client.post(url("sql")).json(&json!({"query": rest})),
        other => panic!("{other}"),
    };
    let answer = request.header("X-Scope-OrgID", "hostile").send().await;
    let answer = answer.unwrap_or_else(|error| panic!("{}: {error}", shortened(line)));
    let status = answer.status().as_u16();
    // Rows that were sent before a limit was reached are cut off: an end that no client takes for the end.
    let Ok(body) = answer.bytes().await else {
        return (status, json!({"status": "success", "cut": true}));
    };
    let body = serde_json::from_slice(&body);
    (
        status,
        body.unwrap_or_else(|error| panic!("{}: {error}", shortened(line))),
    )
}

fn percent(text: &str) -> String {
    let escaped = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(escaped).collect()
}

fn shortened(line: &str) -> String {
    line.chars().take(120).collect()
}

/// Asks for something small, again and again; how long the longest answer took, and how many there were.
async fn bystander(server: String, stop: Arc<AtomicBool>) -> (Duration, u64) {
    let client = reqwest::Client::new();
    let (mut longest, mut count) = (Duration::ZERO, 0);
    while !stop.load(Ordering::Relaxed) {
        let asked = Instant::now();
        let url = format!("{server}/api/v1/query?query=sum(x)&time=1699999060");
        let request = client.get(url).header("X-Scope-OrgID", "bystander");
        let body: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(body["data"]["result"][0]["value"][1], "179400", "{body}");
        longest = longest.max(asked.elapsed());
        count += 1;
    }
    (longest, count)
}

pub(crate) fn most_resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib: u64 = line
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    kib << 10
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_queries_leave_the_server_alive_and_others_served() {
    let (_outer, data) = folder();
    let server = Server::start_with(&data, CONFIG);
    for tenant in ["hostile", "bystander"] {
        let (status, _) = server.send(tenant, "metrics", &corpus()).await;
        assert_eq!(status, 200);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let bystander = tokio::spawn(bystander(server.http.clone(), Arc::clone(&stop)));
    let client = reqwest::Client::new();
    let queries = queries();
    assert!(queries.len() >= 100, "only {}", queries.len());
    let faults: Vec<String> = futures::stream::iter(&queries)
        .map(|line| async {
            let asked = Instant::now();
            let (status, body) = ask(&server.http, &client, line).await;
            let is_clean = match status {
                200 => body["status"] == "success",
                400 | 414 | 422 | 503 => body["status"] == "error" && body["error"] != "",
                _ => false,
            };
            let took = asked.elapsed();
            let is_soon = took < PATIENCE * 3;
            let shown = || {
                format!(
                    "{status} after {took:?}: {}: {}",
                    shortened(line),
                    body["error"]
                )
            };
            (!is_clean || !is_soon).then(shown)
        })
        .buffer_unordered(12)
        .filter_map(|fault| async { fault })
        .collect()
        .await;
    stop.store(true, Ordering::Relaxed);
    let (longest, served) = bystander.await.unwrap();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(longest < PATIENCE, "the bystander waited for {longest:?}");
    assert!(served > 20, "the bystander was served {served} times");
    let resident = most_resident_bytes(server.pid());
    assert!(resident < MAX_RESIDENT_BYTES, "{resident} bytes");
}

#[tokio::test]
async fn a_client_that_goes_away_takes_its_query_along() {
    let (_outer, data) = folder();
    let server = Server::start(&data);
    let endless = "SELECT count(*) FROM range(0, 100000000000) a, range(0, 100000000000) b";
    let url = format!("{}/api/v1/sql", server.http);
    let client = tokio::spawn(reqwest::Client::new().post(url).body(endless).send());
    crate::harness::eventually(|| async { (server.running().await == 1).then_some(()) }).await;
    client.abort();
    crate::harness::eventually(|| async { (server.running().await == 0).then_some(()) }).await;
}
