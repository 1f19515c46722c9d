//! What stands in the server's log is about the server.

use crate::harness::{Server, folder};

#[tokio::test]
async fn what_others_do_wrong_is_no_error_of_the_server() {
    let (_outer, data) = folder();
    let log = data.with_extension("log");
    let file = std::fs::File::create(&log).unwrap();
    let server = Server::start_logging(&data, "", file.into());
    let client = reqwest::Client::new();
    let wrong: [(&str, String, &[u8]); 6] = [
        (
            "protobuf",
            format!("{}/v1/traces", server.otlp),
            b"\xff\xff",
        ),
        ("json", format!("{}/v1/logs", server.otlp), b"{"),
        (
            "protobuf",
            format!("{}/api/v1/write", server.http),
            b"\xff\xff\xff\xff\xff",
        ),
        (
            "json",
            format!("{}/api/v1/sql", server.http),
            b"{\"query\": \"SELECT nothing FROM nowhere\"}",
        ),
        (
            "x-www-form-urlencoded",
            format!("{}/api/v1/query", server.http),
            b"query=sum(",
        ),
        (
            "yaml",
            format!("{}/api/v1/topology/import", server.http),
            b"][",
        ),
    ];
    for (kind, url, body) in wrong {
        let kind = match kind {
            "protobuf" => "application/x-protobuf".to_owned(),
            other => format!("application/{other}"),
        };
        let request = client.post(&url).header("Content-Type", kind);
        let answer = request.body(body).send().await.unwrap();
        assert!(
            answer.status().is_client_error(),
            "{url}: {}",
            answer.status()
        );
    }
    assert!(server.stop());
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(!text.contains("ERROR"), "{text}");
}
