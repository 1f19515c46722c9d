//! What the topology is told of beside telemetry, and what it says of itself.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Server, folder};

const INVENTORY: &str = "kind,name,from,to,rack
host,host-a,,,r12
vm,vm-7,,,
runs_on,,vm:vm-7,host:host-a,
runs_on,,vm:vm-7,host:host-z,
";

const OWNERS: &str = "
parties:
  operator: {kind: operator, tenant: operator, name: {zh: 运营方, en: Operator}, rota: platform}
rules:
  - {owner: operator, match: {kind: host}, contract: C-1}
";

fn written(data: &Path, name: &str, text: &str) -> String {
    let file = data.with_file_name(name);
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

fn run(server: &Server, arguments: &[&str]) -> (bool, String) {
    let output = server.cli(arguments);
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

async fn post(server: &Server, tenant: &str, path: &str, body: &Value) -> (u16, Value) {
    let answer = reqwest::Client::new()
        .post(format!("{}{path}", server.http))
        .header("X-Scope-OrgID", tenant)
        .json(body)
        .send()
        .await
        .unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn an_inventory_is_tried_dry_then_taken_and_survives_a_kill() {
    let (_outer, data) = folder();
    let server = Server::start(&data);
    let file = written(&data, "cmdb.csv", INVENTORY);
    let import = ["topology", "import", &file, "--tenant", "operator"];
    let (is_fine, out) = run(&server, &[&import[..], &["--dry-run"]].concat());
    assert!(
        !is_fine && out.contains("+ vm:vm-7 runs_on host:host-a"),
        "{out}"
    );
    assert!(out.contains("! line 5: to \"host:host-z\""), "{out}");
    assert!(out.contains("3 would be added"), "{out}");
    let path = "/api/v1/topology/neighbourhood?entity=vm:vm-7";
    assert_eq!(server.get("operator", path).await.0, 404);
    let (_, out) = run(&server, &import);
    assert!(out.contains("3 added"), "{out}");
    server.kill();
    let server = Server::start(&data);
    let (status, body) = server.get("operator", path).await;
    assert_eq!(status, 200, "{body}");
    let relation = &body["data"]["relations"][0];
    assert_eq!(relation["to"], "host:host-a", "{body}");
    assert_eq!(relation["sources"], json!(["cmdb:cmdb"]), "{body}");
    // Who is not the operator neither tells of shared machines nor sees those that carry nothing of its own.
    let (_, out) = run(&server, &["topology", "import", &file, "--tenant", "tax"]);
    assert!(
        out.contains("only the tenant \"operator\" may import it"),
        "{out}"
    );
    assert_eq!(server.get("tax", path).await.0, 404);
    let (_, out) = run(&server, &["topology", "problems", "--tenant", "operator"]);
    assert!(out.contains("unowned   host:host-a"), "{out}");
}

#[tokio::test]
async fn a_responsibility_file_is_checked_before_it_is_in_force() {
    let (_outer, data) = folder();
    let owners = written(&data, "owners.yaml", OWNERS);
    let server = Server::start_with(&data, &format!("responsibility_file = {owners:?}\n"));
    let inventory = written(&data, "cmdb.csv", INVENTORY);
    run(
        &server,
        &["topology", "import", &inventory, "--tenant", "operator"],
    );
    let (_, body) = server.get("operator", "/api/v1/responsibility").await;
    let matrix = &body["data"];
    assert_eq!(matrix["entities"][0]["contract"], "C-1", "{body}");
    assert_eq!(matrix["entities"][0]["rota"], "platform", "{body}");
    assert_eq!(matrix["unowned"], json!(["vm:vm-7"]), "{body}");
    let wanted = OWNERS.replace("kind: host}", "kind: vm}");
    let wanted = written(&data, "wanted.yaml", &wanted);
    let check = ["responsibility", "check", &wanted, "--tenant", "operator"];
    let (is_fine, out) = run(&server, &check);
    assert!(
        is_fine && out.contains("~ host:host-a: operator -> nobody"),
        "{out}"
    );
    assert!(out.contains("~ vm:vm-7: nobody -> operator"), "{out}");
    assert!(out.contains("rules are read from the top"), "{out}");
    let broken = written(&data, "broken.yaml", "rules: [{owner: nobody}]");
    let (is_fine, out) = run(
        &server,
        &["responsibility", "check", &broken, "--tenant", "operator"],
    );
    assert!(!is_fine && out.contains("rules[0].owner"), "{out}");
    let (is_fine, out) = run(
        &server,
        &["responsibility", "check", &wanted, "--tenant", "tax"],
    );
    assert!(!is_fine && out.contains("must be the operator's"), "{out}");
}

#[tokio::test]
async fn changes_are_reported_and_those_that_are_wrong_refused() {
    let (_outer, data) = folder();
    let server = Server::start(&data);
    let path = "/api/v1/changes";
    let good = json!([
        {"kind": "deployment", "service": "api", "what": "v2", "time": "2026-01-31T10:02:00+08:00", "who": "ci"},
        {"kind": "config", "entity": "service:tax/web", "what": "pool 10 -> 50", "attributes": {"pool": 50}},
    ]);
    let (status, body) = post(&server, "tax", path, &good).await;
    assert_eq!(
        (status, &body["data"]["accepted"]),
        (200, &json!(2)),
        "{body}"
    );
    let rows = server
        .sql("tax", "SELECT entity, kind, who FROM changes ORDER BY time")
        .await;
    assert_eq!(rows.as_array().unwrap().len(), 2, "{rows}");
    assert_eq!(rows[0]["entity"], "service:tax/api", "{rows}");
    for (wrong, named) in [
        (
            json!({"kind": "party", "service": "api", "what": ""}),
            "kind \"party\"",
        ),
        (json!({"kind": "config", "what": ""}), "entity"),
        (
            json!({"kind": "config", "entity": "host:host-a", "what": ""}),
            "shared infrastructure",
        ),
        (
            json!({"kind": "config", "entity": "service:ss/x", "what": ""}),
            "service:tax/<name>",
        ),
        (
            json!({"kind": "config", "service": "a", "what": "", "time": "soon"}),
            "time",
        ),
        (
            json!({"kind": "config", "service": "a", "what": "", "when": 1}),
            "when",
        ),
    ] {
        let (status, body) = post(&server, "tax", path, &wrong).await;
        let error = body["error"].as_str().unwrap_or_default();
        assert!(
            status == 400 && error.contains(named),
            "{wrong}: {status} {body}"
        );
    }
}

#[tokio::test]
async fn a_kubernetes_event_becomes_a_change() {
    let (_outer, data) = folder();
    let server = Server::start(&data);
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let body = json!({"resourceLogs": [{
        "resource": {"attributes": [text("k8s.object.kind", "Deployment"), text("k8s.object.name", "declare")]},
        "scopeLogs": [{"logRecords": [{
            "timeUnixNano": "1700000000000000000",
            "body": {"stringValue": "Scaled up replica set declare-5 from 0 to 1"},
            "attributes": [text("k8s.event.reason", "ScalingReplicaSet"), text("k8s.namespace.name", "tax-prod")],
        }]}],
    }]});
    let (status, answer) = server.send("operator", "logs", &body).await;
    assert_eq!(status, 200, "{answer}");
    let rows = server
        .sql("operator", "SELECT kind, entity FROM changes")
        .await;
    assert_eq!(rows[0]["kind"], "deployment", "{rows}");
    assert_eq!(
        rows[0]["entity"], "workload:tax-prod/deployment/declare",
        "{rows}"
    );
}
