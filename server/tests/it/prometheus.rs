//! The Prometheus HTTP API, as Grafana's data source uses it.

use serde_json::json;

use crate::harness::{Server, eventually, folder, gauge, span};

#[tokio::test]
async fn the_endpoints_that_grafana_calls_answer() {
    let (_outer, data) = folder();
    let server = Server::start(&data);
    server
        .send("default", "metrics", &gauge("queue.fill", 0.5))
        .await;
    let (status, build) = server.get("default", "/api/v1/status/buildinfo").await;
    assert_eq!((status, &build["status"]), (200, &json!("success")));
    let (_, labels) = server.get("default", "/api/v1/labels").await;
    assert!(
        labels["data"]
            .as_array()
            .unwrap()
            .contains(&json!("__name__")),
        "{labels}"
    );
    let (_, names) = server.get("default", "/api/v1/label/__name__/values").await;
    assert!(
        names["data"]
            .as_array()
            .unwrap()
            .contains(&json!("queue_fill_ratio")),
        "{names}"
    );
    let (_, series) = server
        .get("default", "/api/v1/series?match[]=queue_fill_ratio")
        .await;
    assert_eq!(series["data"][0]["service_name"], "api", "{series}");
    let (_, metadata) = server
        .get("default", "/api/v1/metadata?metric=queue_fill_ratio")
        .await;
    assert_eq!(
        metadata["data"]["queue_fill_ratio"][0]["type"], "gauge",
        "{metadata}"
    );
    let answer = reqwest::Client::new()
        .post(format!("{}/api/v1/query", server.http))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body("query=2%2B2&time=1700000000.5")
        .send()
        .await
        .unwrap();
    let answer: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(
        answer["data"],
        json!({"resultType": "scalar", "result": [1_700_000_000.5, "4"]})
    );
}

#[tokio::test]
async fn errors_name_what_is_wrong() {
    let (_outer, data) = folder();
    let server = Server::start(&data);
    for (path, part) in [
        ("/api/v1/query", "query"),
        ("/api/v1/query?query=up%7B", "unexpected"),
        ("/api/v1/query?query=up&time=soon", "time"),
        ("/api/v1/query_range?query=up&start=1&end=2&step=0", "step"),
        ("/api/v1/query_range?query=up&start=9&end=2&step=1", "end"),
        (
            "/api/v1/query_range?query=up&start=0&end=99999999&step=1",
            "max_points",
        ),
        ("/api/v1/series", "match[]"),
        ("/api/v1/traces/xyz", "hexadecimal"),
    ] {
        let (status, body) = server.get("default", path).await;
        let error = body["error"].as_str().unwrap();
        assert_eq!(
            (status, &body["errorType"]),
            (400, &json!("bad_data")),
            "{path}: {error}"
        );
        assert!(error.contains(part), "{path}: {error}");
    }
}

#[tokio::test]
async fn spans_become_red_metrics_a_trace_and_a_graph() {
    let (_outer, data) = folder();
    let server = Server::start(&data);
    server
        .send("default", "traces", &span("web", 1, 3, ""))
        .await;
    server
        .send("default", "traces", &span("api", 2, 2, "0000000000000001"))
        .await;
    let (status, trace) = server
        .get("default", "/api/v1/traces/5b8efff798038103d269b633813fc60c")
        .await;
    assert_eq!(
        (status, trace["resourceSpans"].as_array().unwrap().len()),
        (200, 2),
        "{trace}"
    );
    let server = &server;
    let calls = eventually(|| async {
        let path = "/api/v1/query?query=traces_spanmetrics_calls_total%7Bservice=%22api%22%7D";
        let (_, answer) = server.get("default", path).await;
        answer["data"]["result"].get(0).cloned()
    });
    assert_eq!(calls.await["metric"]["span_kind"], "SPAN_KIND_SERVER");
    let call = eventually(|| async {
        let (_, graph) = server.get("default", "/api/v1/topology").await;
        let relations = graph["data"]["relations"].as_array().unwrap().clone();
        relations.into_iter().find(|one| one["kind"] == "calls")
    })
    .await;
    assert_eq!(call["from"], "service:default/web");
    assert_eq!(call["to"], "service:default/api");
    assert_eq!(call["provenance"], "span-pair");
    let (_, graph) = server.get("default", "/api/v1/topology").await;
    let ids: Vec<&str> = graph["data"]["entities"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["id"].as_str())
        .collect();
    for id in [
        "host:host-a",
        "instance:default/api/api-1",
        "operation:default/api#GET /",
    ] {
        assert!(ids.contains(&id), "{id} is not among {ids:?}");
    }
    let (_, long_ago) = server
        .get("default", "/api/v1/topology?at=1000000000")
        .await;
    assert_eq!(long_ago["data"]["entities"], json!([]));
}

#[tokio::test]
async fn the_server_tells_of_itself() {
    let (_outer, data) = folder();
    let server = Server::start_with(
        &data,
        "[telemetry]\notlp_endpoint = \"self\"\nmetrics_interval_seconds = 1\n",
    );
    server
        .send("default", "metrics", &gauge("queue.fill", 0.5))
        .await;
    let text = |path: &'static str| {
        let url = format!("{}{path}", server.http);
        async move { reqwest::get(url).await.unwrap().text().await.unwrap() }
    };
    assert_eq!(text("/healthz").await, "ok\n");
    assert_eq!(text("/readyz").await, "ready\n");
    let metrics = text("/metrics").await;
    // The server's own metrics may have been counted as well by now.
    let rows = metrics.lines().find_map(|line| {
        line.strip_prefix("ingest_rows_total{signal=\"metrics\"} ")
            .and_then(|count| count.parse::<u64>().ok())
    });
    assert!(rows.is_some_and(|rows| rows >= 1), "{metrics}");
    let server = &server;
    eventually(|| async {
        let (_, names) = server.get("demarc", "/api/v1/label/__name__/values").await;
        names["data"]
            .as_array()?
            .contains(&json!("ingest_rows_total"))
            .then_some(())
    })
    .await;
    eventually(|| async {
        let rows = server
            .sql(
                "demarc",
                "SELECT count(*) AS n FROM spans WHERE service = 'demarc'",
            )
            .await;
        (rows[0]["n"] != json!(0)).then_some(())
    })
    .await;
}
