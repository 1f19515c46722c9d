//! SQL over the API: JSON and Arrow, and nothing that writes.

use std::io::Cursor;

use arrow::ipc::reader::StreamReader;
use futures::TryStreamExt;
use serde_json::{Value, json};

use crate::{
    harness::{Server, eventually, folder, span},
    hostile::most_resident_bytes,
    hostile_sql::flight,
};

#[tokio::test]
async fn rows_come_as_json_or_as_an_arrow_stream() {
    let (_outer, data) = folder();
    let server = Server::start(&data);
    server
        .send("default", "traces", &span("api", 1, 2, ""))
        .await;
    let query = "SELECT service, attributes['http.route'] AS route, duration FROM spans";
    let rows = server.sql("default", query).await;
    assert_eq!(
        rows,
        json!([{"service": "api", "route": "/", "duration": 5_000_000}])
    );
    let answer = reqwest::Client::new()
        .post(format!("{}/api/v1/sql", server.http))
        .header("Accept", "application/vnd.apache.arrow.stream")
        .header("Content-Type", "text/plain")
        .body(query)
        .send()
        .await
        .unwrap();
    let bytes = answer.bytes().await.unwrap();
    let batches: Vec<_> = StreamReader::try_new(Cursor::new(bytes), None)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(
        batches.iter().map(|batch| batch.num_rows()).sum::<usize>(),
        1
    );
}

#[tokio::test]
async fn nothing_is_written_or_read_from_elsewhere() {
    let (_outer, data) = folder();
    let server = Server::start(&data);
    for query in [
        "CREATE TABLE t AS SELECT 1",
        "INSERT INTO spans SELECT * FROM spans",
        "DROP TABLE spans",
        "COPY spans TO 'out.parquet'",
        "CREATE EXTERNAL TABLE p STORED AS CSV LOCATION '/etc/passwd'",
        "SELECT * FROM '/etc/passwd'",
        "SET datafusion.execution.batch_size = 1",
        "SELECT nonsense FROM spans",
        "SELEC 1",
    ] {
        let answer = reqwest::Client::new()
            .post(format!("{}/api/v1/sql", server.http))
            .json(&json!({"query": query}))
            .send()
            .await
            .unwrap();
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap();
        assert_eq!(
            (status, &body["status"]),
            (400, &json!("error")),
            "{query}: {body}"
        );
    }
}

async fn ask(server: &Server, accept: &str, query: &str) -> reqwest::Response {
    let request = reqwest::Client::new()
        .post(format!("{}/api/v1/sql", server.http))
        .header("Accept", accept)
        .header("Content-Type", "text/plain");
    request.body(query.to_owned()).send().await.unwrap()
}

const FORMS: [&str; 2] = ["application/json", "application/vnd.apache.arrow.stream"];

#[tokio::test]
async fn an_answer_without_end_comes_in_pieces_and_ends_with_its_reader() {
    let (_outer, data) = folder();
    let server = Server::start_with(&data, "[query]\nmax_rows = 1000000000000000\n");
    let endless = "SELECT value, value * 2 AS twice FROM range(0, 1000000000000)";
    for form in FORMS {
        let mut answer = ask(&server, form, endless).await;
        let mut read = 0;
        while read < 20_000_000 {
            read += answer.chunk().await.unwrap().unwrap().len();
        }
        assert_eq!(server.running().await, 1, "{form}");
        drop(answer);
        eventually(|| async { (server.running().await == 0).then_some(()) }).await;
    }
    let resident = most_resident_bytes(server.pid());
    assert!(resident < 1 << 30, "{resident} bytes");
}

#[tokio::test]
async fn an_answer_that_cannot_be_finished_does_not_look_finished() {
    let (_outer, data) = folder();
    let server = Server::start_with(&data, "[query]\nmax_rows = 10000\n");
    let long = "SELECT value FROM range(0, 100000)";
    for form in FORMS {
        let mut answer = ask(&server, form, long).await;
        assert_eq!(answer.status(), 200, "{form}");
        let mut bytes = Vec::new();
        let fault = loop {
            match answer.chunk().await {
                Ok(piece) => bytes.extend_from_slice(&piece.expect("an end to the answer")),
                Err(fault) => break fault,
            }
        };
        assert!(!bytes.is_empty(), "{form}: {fault}");
        assert!(serde_json::from_slice::<Value>(&bytes).is_err());
    }
    let mut client = flight(&server).await;
    let info = client.execute(long.to_owned(), None).await.unwrap();
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let rows = client.do_get(ticket).await.unwrap();
    let fault = rows.try_collect::<Vec<_>>().await.unwrap_err().to_string();
    assert!(fault.contains("more than 10000 rows"), "{fault}");
    // What fails before there are any rows has a status of its own.
    let answer = ask(
        &server,
        FORMS[0],
        "SELECT 1 / (value - value) FROM range(0, 9)",
    )
    .await;
    assert_eq!(answer.status(), 422);
}
