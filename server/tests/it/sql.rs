//! SQL over the API: JSON and Arrow, and nothing that writes.

use std::io::Cursor;

use arrow::ipc::reader::StreamReader;
use serde_json::json;

use crate::harness::{Server, folder, span};

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
        let body: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(
            (status, &body["status"]),
            (400, &json!("error")),
            "{query}: {body}"
        );
    }
}
