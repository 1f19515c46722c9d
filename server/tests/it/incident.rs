//! From spans to an alert, an incident, a notification, a report and its verification, through the sockets alone.

use axum::{Json, Router, extract::State, routing::post};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc};

use crate::harness::{Server, eventually, folder, now};

const RULES: &str = "
groups:
  - name: test
    interval: 1s
    rules:
      - alert: ApiFails
        expr: sum by (service) (traces_spanmetrics_calls_total{status_code=\"STATUS_CODE_ERROR\"}) > 0
        labels: {kind: errors}
        annotations: {summary: '{{ $labels.service }} fails'}
";
const OWNERS: &str = "
parties:
  bureau: {kind: agency, tenant: tax, name: {zh: 税务局, en: Tax Bureau}}
rules: [{owner: bureau, match: {tenant: tax, layer: application}}]
";

/// Twenty requests, one a second up to now; those of the last five seconds fail by themselves.
fn requests() -> Value {
    let now = now();
    let spans: Vec<Value> = (0..60_u64)
        .map(|number| {
            let start = now - (60 - number) * 1_000_000_000;
            let failed = number >= 45;
            json!({
                "traceId": format!("{:032x}", number + 1), "spanId": format!("{:016x}", number + 1),
                "name": "GET /", "kind": 2,
                "startTimeUnixNano": start.to_string(), "endTimeUnixNano": (start + 9_000_000).to_string(),
                "status": {"code": if failed { 2 } else { 0 }},
            })
        })
        .collect();
    let resource =
        json!({"attributes": [{"key": "service.name", "value": {"stringValue": "tax-api"}}]});
    json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]})
}

fn deployment() -> Value {
    json!({"resourceLogs": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "tax-api"}}]},
        "scopeLogs": [{"logRecords": [{
            "timeUnixNano": (now() - 17_000_000_000).to_string(), "eventName": "deployment",
            "body": {"stringValue": "tax-api 1.0 -> 1.1"},
        }]}],
    }]})
}

async fn webhook() -> (String, mpsc::UnboundedReceiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (sender, receiver) = mpsc::unbounded_channel();
    let take = |State(sender): State<mpsc::UnboundedSender<Value>>, Json(body): Json<Value>| async move {
        let _ = sender.send(body);
    };
    let router = Router::new().route("/", post(take)).with_state(sender);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, receiver)
}

/// A configuration with an owner, a rule and a receiver.
fn configuration(folder: &std::path::Path, url: &str) -> String {
    let (rules, owners) = (folder.join("rules.yaml"), folder.join("owners.yaml"));
    std::fs::write(&rules, RULES).unwrap();
    std::fs::write(&owners, OWNERS).unwrap();
    format!(
        "responsibility_file = {owners:?}\nshipped_rules = false\n\
         rule_files = [{{path = {rules:?}, tenant = \"tax\"}}]\n\
         [ingest]\nspan_metrics_interval_seconds = 1\n\
         [notify]\nreceivers = [{{name = \"duty\", url = \"{url}\"}}]\n\
         routes = [{{receiver = \"duty\", tenant = \"tax\"}}]\n"
    )
}

/// The first verdict that is told, and why each message up to it was sent.
async fn first_verdict(notifications: &mut mpsc::UnboundedReceiver<Value>) -> (Vec<String>, Value) {
    let mut occasions = Vec::new();
    loop {
        let body = notifications.recv().await.unwrap();
        assert_eq!(
            (&body["version"], &body["status"]),
            (&json!("4"), &json!("firing"))
        );
        assert_eq!(body["alerts"][0]["labels"]["alertname"], "ApiFails");
        occasions.push(body["incident"]["occasion"].as_str().unwrap().to_owned());
        if !body["incident"]["verdict"].is_null() {
            return (occasions, body["incident"]["verdict"].clone());
        }
    }
}

fn check_commands(server: &Server, id: &str) {
    for (language, words) in [
        ("zh", ["税务局", "定界结论"]),
        ("en", ["Tax Bureau", "Verdict"]),
    ] {
        let output = server.cli(&["report", "--tenant", "tax", "--lang", language]);
        let html = String::from_utf8(output.stdout).unwrap();
        assert!(words.iter().all(|word| html.contains(word)), "{html}");
    }
    let output = server.cli(&["verify", "--tenant", "tax", id]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && text.contains("the same verdict"),
        "{text}"
    );
    let question = [
        "demarcate",
        "--tenant",
        "tax",
        "--service",
        "tax-api",
        "--since",
        "16s",
    ];
    let text = String::from_utf8(server.cli(&question).stdout).unwrap();
    assert!(text.contains("cause       deployment"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_becomes_an_incident_with_a_verdict_a_report_and_a_check() {
    let (outer, data) = folder();
    let (url, mut notifications) = webhook().await;
    let config = configuration(outer.path(), &url);
    let server = Server::start_with(&data, &config);
    server.send("tax", "logs", &deployment()).await;
    server.send("tax", "traces", &requests()).await;
    let (occasions, verdict) = first_verdict(&mut notifications).await;
    assert_eq!(occasions, ["opened", "verdict"]);
    assert_eq!(verdict["outcome"], "determined", "{verdict:#}");
    let suspect = &verdict["suspect"];
    assert_eq!(suspect["entity"], "service:tax/tax-api");
    assert_eq!(
        (&suspect["cause"], &suspect["owner"]),
        (&json!("deployment"), &json!("bureau"))
    );

    let (_, incidents) = server.get("tax", "/api/v1/incidents").await;
    let id = incidents["data"][0]["id"].as_str().unwrap().to_owned();
    let (_, others) = server.get("education", "/api/v1/incidents").await;
    assert_eq!(others["data"], json!([]));
    assert_eq!(
        server
            .get("education", &format!("/api/v1/incidents/{id}"))
            .await
            .0,
        404
    );
    check_commands(&server, &id);
    assert!(server.stop());

    // What was decided outlives the process.
    let server = Server::start_with(&data, &config);
    let server = &server;
    let kept = eventually(|| async {
        let (_, incident) = server.get("tax", &format!("/api/v1/incidents/{id}")).await;
        incident["data"]["verdicts"].get(0).cloned()
    });
    assert_eq!(kept.await["suspect"]["cause"], "deployment");
}
