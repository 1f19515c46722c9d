//! Debian's Prometheus as a client: it scrapes a real node exporter and writes what it finds to us.

use std::{
    io::Write,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use crate::harness::{Server, eventually, folder, gauge, now};

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(program: &str, arguments: &[String]) -> Process {
    let child = Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Process(child.unwrap())
}

/// The program, unless this machine does not have it.
fn program(name: &str) -> Option<String> {
    let found = Command::new(name).arg("--version").output();
    if found.is_ok_and(|output| output.status.success()) {
        return Some(name.to_owned());
    }
    let sentence = format!("skipped: {name} is not installed (apt-get install {name})");
    let line = format!("{sentence}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    None
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn config(folder: &Path, server: &Server, exporter: u16) -> String {
    let text = format!(
        "global: {{scrape_interval: 1s}}\n\
         scrape_configs: [{{job_name: node, static_configs: [{{targets: ['127.0.0.1:{exporter}']}}]}}]\n\
         remote_write: [{{url: '{}/api/v1/write', \
         metadata_config: {{send_interval: 1s}}}}]\n",
        server.http
    );
    let file = folder.join("prometheus.yml");
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

async fn number(server: &Server, query: &str) -> Option<f64> {
    let (_, answer) = server
        .get("default", &format!("/api/v1/query?query={query}"))
        .await;
    let value: &Value = &answer["data"]["result"][0]["value"][1];
    value.as_str()?.parse().ok()
}

#[tokio::test]
async fn what_prometheus_scrapes_arrives_whole() {
    let (Some(prometheus), Some(exporter)) =
        (program("prometheus"), program("prometheus-node-exporter"))
    else {
        return;
    };
    let (outer, data) = folder();
    let server = Server::start(&data);
    let port = free_port();
    let _exporter = start(
        &exporter,
        &[format!("--web.listen-address=127.0.0.1:{port}")],
    );
    eventually(|| async { TcpStream::connect(("127.0.0.1", port)).ok() }).await;
    let own = free_port();
    let arguments = [
        format!("--config.file={}", config(outer.path(), &server, port)),
        format!(
            "--storage.tsdb.path={}",
            outer.path().join("tsdb").display()
        ),
        format!("--web.listen-address=127.0.0.1:{own}"),
    ];
    let _prometheus = start(&prometheus, &arguments);
    let scraped = eventually(|| number(&server, "scrape_samples_scraped")).await;
    assert!(scraped > 100.0, "{scraped}");
    // All of one scrape has one time, so that what is there at that time is what was scraped, and five of Prometheus' own.
    let count = "count({job=\"node\"})";
    let count = count
        .replace('{', "%7B")
        .replace('}', "%7D")
        .replace('"', "%22");
    eventually(|| async {
        let (count, scraped) = (
            number(&server, &count).await?,
            number(&server, "scrape_samples_scraped").await?,
        );
        (count >= scraped + 5.0).then_some(())
    })
    .await;
    assert_eq!(number(&server, "up").await, Some(1.0));
    let kind = eventually(|| async {
        let (_, answer) = server
            .get("default", "/api/v1/metadata?metric=node_cpu_seconds_total")
            .await;
        answer["data"]["node_cpu_seconds_total"][0]["type"]
            .as_str()
            .map(str::to_owned)
    })
    .await;
    assert_eq!(kind, "counter");
    host_is_in_the_graph(&server).await;
}

/// The scraped host, its interfaces and disks are entities, and none of its metrics is left over.
async fn host_is_in_the_graph(server: &Server) {
    // The operator sees every tenant's machines.
    let name = name_of_host(server).await;
    let id = format!("host:{name}");
    let topology = eventually(|| async {
        let (_, answer) = server.get("operator", "/api/v1/topology").await;
        let entities = answer["data"]["entities"].as_array()?;
        let is_there = entities.iter().any(|one| one["id"] == json!(id));
        is_there.then_some(answer)
    })
    .await;
    // Its interfaces and disks are its own, and nothing hangs loose.
    for one in topology["data"]["entities"].as_array().unwrap() {
        let relations = topology["data"]["relations"].as_array().unwrap();
        let is_tied =
            |relation: &Value| relation["from"] == one["id"] && relation["to"] == json!(id);
        assert!(
            one["id"] == json!(id) || relations.iter().any(is_tied),
            "{one}"
        );
    }
    let (_, problems) = server.get("operator", "/api/v1/topology/problems").await;
    let unmapped = &problems["data"]["unmappedMetrics"];
    assert_eq!(unmapped, &json!([]), "{unmapped}");
    assert_eq!(problems["data"]["conflicts"], json!([]));
}

/// The name that the scraped host gives itself.
async fn name_of_host(server: &Server) -> String {
    let (_, answer) = server
        .get("default", "/api/v1/query?query=node_uname_info")
        .await;
    let name = &answer["data"]["result"][0]["metric"]["nodename"];
    name.as_str().unwrap().to_owned()
}

/// A native histogram of body sizes, as of now.
fn sizes() -> Value {
    let now = now().to_string();
    json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [
        {"name": "body.size", "unit": "By", "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": [
            {"startTimeUnixNano": now, "timeUnixNano": now, "count": "6", "sum": 21, "scale": 0, "zeroCount": "1",
             "zeroThreshold": 0.001, "positive": {"offset": 0, "bucketCounts": ["2", "0", "1"]},
             "negative": {"offset": 0, "bucketCounts": ["2"]}}]}}]}]}]})
}

#[tokio::test]
async fn prometheus_federates_numbers_and_native_histograms() {
    let Some(prometheus) = program("prometheus") else {
        return;
    };
    let (outer, data) = folder();
    let server = Server::start(&data);
    for body in [sizes(), gauge("queue.fill", 0.5)] {
        server.send("default", "metrics", &body).await;
    }
    let address = server.http.strip_prefix("http://").unwrap();
    let text = format!(
        "global: {{scrape_interval: 1s}}\n\
         scrape_configs: [{{job_name: demarc, metrics_path: /federate, honor_labels: true, \
         params: {{'match[]': ['{{__name__=~\".+\"}}']}}, static_configs: [{{targets: ['{address}']}}]}}]\n"
    );
    let file = outer.path().join("prometheus.yml");
    std::fs::write(&file, text).unwrap();
    let own = free_port();
    let arguments = [
        format!("--config.file={}", file.display()),
        format!(
            "--storage.tsdb.path={}",
            outer.path().join("tsdb").display()
        ),
        format!("--web.listen-address=127.0.0.1:{own}"),
        "--enable-feature=native-histograms".to_owned(),
    ];
    let _prometheus = start(&prometheus, &arguments);
    for (query, wanted) in [
        ("queue_fill_ratio", "0.5"),
        ("histogram_count(body_size_bytes)", "6"),
        ("histogram_sum(body_size_bytes)", "21"),
        // The last of three buckets of a doubling width ends there.
        ("histogram_quantile(1,body_size_bytes)", "8"),
    ] {
        let value = eventually(|| async {
            let url = format!("http://127.0.0.1:{own}/api/v1/query?query={query}");
            let answer: Value = reqwest::get(url).await.ok()?.json().await.ok()?;
            let value = answer["data"]["result"][0]["value"][1].as_str()?;
            Some(value.to_owned())
        })
        .await;
        assert_eq!(value, wanted, "{query}");
    }
}
