//! A tenant reaches nothing of another's, whatever it asks.

use serde_json::json;

use crate::harness::{Server, folder, gauge, span};

#[tokio::test]
async fn no_question_of_one_tenant_returns_a_row_of_another() {
    let (_outer, data) = folder();
    let server = Server::start(&data);
    server
        .send("tax", "traces", &span("tax-api", 1, 2, ""))
        .await;
    server.send("tax", "metrics", &gauge("tax.fill", 0.5)).await;
    for query in [
        "SELECT count(*) AS n FROM spans",
        "SELECT count(*) AS n FROM spans WHERE tenant = 'tax' OR 1 = 1",
        "SELECT count(*) AS n FROM series",
        "SELECT count(*) AS n FROM samples",
    ] {
        let answer = reqwest::Client::new()
            .post(format!("{}/api/v1/sql", server.http))
            .header("X-Scope-OrgID", "education")
            .json(&json!({"query": query}))
            .send()
            .await
            .unwrap();
        let body: serde_json::Value = answer.json().await.unwrap();
        let rows = &body["data"]["rows"];
        // A tenant column is no column of a tenant's own table: asking for it is an error, not a leak.
        assert!(
            body["status"] == "error" || rows[0]["n"] == json!(0),
            "{query}: {body}"
        );
    }
    let (status, _) = server
        .get(
            "education",
            "/api/v1/traces/5b8efff798038103d269b633813fc60c",
        )
        .await;
    assert_eq!(status, 404);
    let (_, names) = server
        .get("education", "/api/v1/label/__name__/values")
        .await;
    assert_eq!(names["data"], json!([]));
    let (_, graph) = server.get("education", "/api/v1/topology").await;
    assert_eq!(graph["data"]["entities"], json!([]));
}

#[tokio::test]
async fn a_tenant_is_deleted_by_itself_or_the_operator_and_by_nobody_else() {
    let (_outer, data) = folder();
    let server = Server::start(&data);
    for tenant in ["tax", "education"] {
        let spans = span("api", 1, 2, "");
        server.send(tenant, "traces", &spans).await;
    }
    let delete = |caller: &'static str, tenant: &'static str| {
        let request =
            reqwest::Client::new().delete(format!("{}/api/v1/tenants/{tenant}", server.http));
        async move {
            let answer = request.header("X-Scope-OrgID", caller).send().await;
            answer.unwrap().status().as_u16()
        }
    };
    let count = "SELECT count(*) AS n FROM spans";
    assert_eq!(delete("education", "tax").await, 404);
    let unsure = [
        "tenant",
        "delete",
        "--tenant",
        "tax",
        "--yes-delete",
        "education",
    ];
    assert!(!server.cli(&unsure).status.success());
    assert_eq!(server.sql("tax", count).await[0]["n"], json!(1));
    let sure = ["tenant", "delete", "--tenant", "tax", "--yes-delete", "tax"];
    let done = server.cli(&sure);
    assert!(done.status.success(), "{done:?}");
    assert_eq!(server.sql("tax", count).await[0]["n"], json!(0));
    assert_eq!(server.sql("education", count).await[0]["n"], json!(1));
    assert_eq!(delete("operator", "education").await, 200);
    assert_eq!(server.sql("education", count).await[0]["n"], json!(0));
    let (status, body) = server.get("operator", "/api/v1/status/damage").await;
    assert_eq!((status, &body["data"]), (200, &json!([])));
}
