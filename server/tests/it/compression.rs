//! Long and short answers, compressed as the client asks.

use std::io::Read;

use serde_json::Value;

use crate::harness::{Server, folder, gauge};

async fn ask(server: &Server, path: &str, accepted: &str) -> (Option<String>, Vec<u8>) {
    let answer = reqwest::Client::new()
        .get(format!("{}{path}", server.http))
        .header("Accept-Encoding", accepted)
        .send()
        .await
        .unwrap();
    let encoding = answer.headers().get("Content-Encoding");
    let encoding = encoding.map(|value| value.to_str().unwrap().to_owned());
    (encoding, answer.bytes().await.unwrap().to_vec())
}

fn read(encoding: Option<&str>, body: &[u8]) -> Value {
    let mut plain = Vec::new();
    match encoding {
        Some("gzip") => drop(
            flate2::read::GzDecoder::new(body)
                .read_to_end(&mut plain)
                .unwrap(),
        ),
        Some("zstd") => plain = zstd::decode_all(body).unwrap(),
        None => plain = body.to_vec(),
        other => panic!("{other:?}"),
    }
    serde_json::from_slice(&plain).unwrap()
}

#[tokio::test]
async fn answers_are_compressed_as_they_are_wanted() {
    let (_outer, data) = folder();
    let server = Server::start(&data);
    let sent = gauge("queue.fill", 0.5);
    server.send("default", "metrics", &sent).await;
    // The second is longer than one piece of a streamed answer.
    let long = "/api/v1/query_range?query=vector(time())&start=0&end=10000&step=1";
    for path in ["/api/v1/label/__name__/values", long] {
        let (encoding, plain) = ask(&server, path, "identity").await;
        assert_eq!(encoding, None, "{path}");
        for (accepted, wanted) in [
            ("gzip", "gzip"),
            ("zstd", "zstd"),
            ("gzip, deflate, br, zstd", "zstd"),
            ("gzip;q=1.0, zstd;q=0.5", "gzip"),
        ] {
            let (encoding, body) = ask(&server, path, accepted).await;
            assert_eq!(encoding.as_deref(), Some(wanted), "{path} {accepted}");
            assert_eq!(read(encoding.as_deref(), &body), read(None, &plain));
            assert!(body.len() < plain.len() || plain.len() < 200, "{path}");
        }
    }
    // Too short to be worth it.
    let (encoding, body) = ask(&server, "/healthz", "gzip, zstd").await;
    assert_eq!((encoding, body.as_slice()), (None, b"ok\n".as_slice()));
}
