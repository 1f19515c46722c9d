//! The official Python SDK as a client: traces, metrics and logs over gRPC and HTTP.

use std::process::Command;

use serde_json::json;

use crate::harness::{Server, folder};

const SCRIPT: &str = include_str!("client.py");

const SDK: &str = "opentelemetry.sdk, opentelemetry.exporter.otlp.proto.grpc, opentelemetry.exporter.otlp.proto.http";

/// A Python that has the modules: the one that `DEMARC_PYTHON` names, else `python3`.
pub(crate) fn python_with(modules: &str) -> Option<String> {
    let python = std::env::var("DEMARC_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let import = format!("import {modules}");
    let found = Command::new(&python).args(["-c", &import]).output();
    found
        .is_ok_and(|output| output.status.success())
        .then_some(python)
}

#[tokio::test]
async fn the_python_sdk_is_understood() {
    use std::io::Write;
    let Some(python) = python_with(SDK) else {
        let sentence = "skipped: python3 without opentelemetry-sdk and opentelemetry-exporter-otlp; set DEMARC_PYTHON";
        writeln!(std::io::stderr(), "{sentence}").unwrap();
        return;
    };
    let (_outer, data) = folder();
    let server = Server::start(&data);
    for (protocol, endpoint) in [("grpc", &server.grpc), ("http", &server.otlp)] {
        let output = Command::new(&python)
            .args(["-c", SCRIPT, protocol, endpoint])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let tenant = format!("python-{protocol}");
        let spans = server
            .sql(
                &tenant,
                "SELECT name, kind, status_code FROM spans ORDER BY name",
            )
            .await;
        assert_eq!(
            spans,
            json!([
                {"name": "child", "kind": "CLIENT", "status_code": "ERROR"},
                {"name": "parent", "kind": "SERVER", "status_code": "UNSET"},
            ])
        );
        let logs = server
            .sql(
                &tenant,
                "SELECT body, trace_id IS NOT NULL AS in_trace FROM logs",
            )
            .await;
        assert_eq!(
            logs,
            json!([{"body": "hello from python", "in_trace": true}])
        );
        let (_, sum) = server.get(&tenant, "/api/v1/query?query=jobs_total").await;
        assert_eq!(sum["data"]["result"][0]["value"][1], "3", "{sum}");
        let (_, count) = server
            .get(&tenant, "/api/v1/query?query=job_duration_seconds_count")
            .await;
        assert_eq!(count["data"]["result"][0]["value"][1], "2", "{count}");
        let (_, gauge) = server
            .get(&tenant, "/api/v1/query?query=queue_fill_ratio")
            .await;
        assert_eq!(gauge["data"]["result"][0]["value"][1], "0.25", "{gauge}");
    }
}
