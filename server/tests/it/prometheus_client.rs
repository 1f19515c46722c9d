//! Debian's Prometheus as a client: it scrapes a real node exporter and writes what it finds to us.

use std::{
    io::Write,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::harness::{Server, eventually, folder};

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
}
