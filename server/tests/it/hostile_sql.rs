//! Hostile SQL on every way that there is: `tests/hostile/sql.txt`.

use std::{path::Path, process::Command};

use arrow_flight::sql::client::FlightSqlServiceClient;
use futures::TryStreamExt;
use serde_json::json;
use tonic::transport::Channel;

use crate::harness::{Server, folder, gauge, span};

/// Who asks, and who must not be heard of.
const ASKER: &str = "education";
const OTHER: &str = "tax";
/// Stands in every row of the other tenant.
const MARK: &str = "confidential";

async fn over_http(server: &Server, statement: &str) -> String {
    let answer = reqwest::Client::new()
        .post(format!("{}/api/v1/sql", server.http))
        .header("X-Scope-OrgID", ASKER)
        .json(&json!({"query": statement}))
        .send()
        .await
        .unwrap();
    answer.text().await.unwrap()
}

pub(crate) async fn flight(server: &Server) -> FlightSqlServiceClient<Channel> {
    let channel = Channel::from_shared(server.flight.clone()).unwrap();
    let mut client = FlightSqlServiceClient::new(channel.connect().await.unwrap());
    client.set_header("x-scope-orgid", ASKER);
    client
}

async fn over_flight(server: &Server, statement: &str) -> String {
    let mut client = flight(server).await;
    let ask = async {
        let info = client.execute(statement.to_owned(), None).await?;
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        let rows = client.do_get(ticket).await?;
        rows.try_collect::<Vec<_>>().await
    };
    let rows: Result<Vec<_>, arrow_flight::error::FlightError> = ask.await;
    // A driver may prepare what it asks.
    let prepared = client.prepare(statement.to_owned(), None).await;
    format!("{rows:?} {prepared:?}")
}

fn over_postgres(server: &Server, statement: &str) -> String {
    let url = server
        .postgres
        .replace("http://", &format!("postgresql://{OTHER}@"));
    let output = Command::new("psql")
        .args([&format!("{url}/{ASKER}"), "-X", "-c", statement])
        .output()
        .unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

fn statements(data: &Path, out: &Path) -> Vec<String> {
    let text = std::fs::read_to_string("tests/hostile/sql.txt").unwrap();
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let filled = lines.map(|line| {
        line.replace("{other}", OTHER)
            .replace("{data}", &data.display().to_string())
            .replace("{out}", &out.display().to_string())
    });
    filled.collect()
}

async fn rows(server: &Server, tenant: &str) -> serde_json::Value {
    let count = "SELECT (SELECT count(*) FROM spans) AS spans, (SELECT count(*) FROM samples WHERE metric LIKE '%fill%') AS samples";
    server.sql(tenant, count).await
}

#[tokio::test]
async fn no_statement_reads_anothers_rows_or_changes_any() {
    let (outer, data) = folder();
    let server = Server::start(&data);
    for (tenant, name) in [(OTHER, MARK), (ASKER, "own")] {
        let spans = span(&format!("{name}-api"), 1, 2, "");
        server.send(tenant, "traces", &spans).await;
        let metrics = gauge(&format!("{name}.fill"), 0.5);
        server.send(tenant, "metrics", &metrics).await;
    }
    let before = [rows(&server, OTHER).await, rows(&server, ASKER).await];
    assert_eq!(before[0], json!([{"spans": 1, "samples": 1}]));
    let has_psql = Command::new("psql").arg("--version").output().is_ok();
    let out = outer.path().join("written");
    let statements = statements(&data, &out);
    assert!(statements.len() > 100, "only {}", statements.len());
    for statement in &statements {
        let mut answers = vec![
            over_http(&server, statement).await,
            over_flight(&server, statement).await,
        ];
        if has_psql {
            answers.push(over_postgres(&server, statement));
        }
        for answer in answers {
            assert!(!answer.contains(MARK), "{statement}: {answer}");
            assert!(!answer.contains("root:"), "{statement}: {answer}");
        }
    }
    assert!(!out.exists(), "something was written");
    let after = [rows(&server, OTHER).await, rows(&server, ASKER).await];
    assert_eq!(before, after);
    // The mark is found where it may be.
    let own = server.sql(OTHER, "SELECT service FROM spans").await;
    assert_eq!(own, json!([{"service": format!("{MARK}-api")}]));
    assert!(
        over_flight(&server, "SELECT service FROM spans")
            .await
            .contains("own-api")
    );
}
