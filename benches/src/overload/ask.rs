//! Ordinary questions, as a dashboard asks them.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::{
    BYSTANDER,
    tally::{Load, Outcome},
};

/// The name of this kind.
pub(super) const ORDINARY: &str = "ordinary questions";
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(50);
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is asked, one after the other: a path below `/api/v1/`, or a statement.
const QUESTIONS: [&str; 6] = [
    "query?query=count(steady)",
    "query?query=sum%20by%20(job)%20(rate(steady%5B1m%5D))",
    "label/n/values?match%5B%5D=steady",
    "labels",
    "SELECT count(*) AS n, max(value) AS most FROM samples WHERE metric = 'steady'",
    "series?match%5B%5D=steady",
];

/// Asks until `end`.
pub(super) async fn ordinary(http: String, end: Instant) -> (&'static str, Load) {
    let mut load = Load::default();
    let client = client();
    for question in QUESTIONS.iter().cycle() {
        if Instant::now() >= end {
            break;
        }
        let request = match question.starts_with("SELECT") {
            true => statement(&client, &http, question),
            false => client.get(format!("{http}/api/v1/{question}")),
        };
        let begin = Instant::now();
        let answer = request.header("X-Scope-OrgID", BYSTANDER).send().await;
        load.note(read(answer).await, begin);
        tokio::time::sleep(PAUSE).await;
    }
    (ORDINARY, load)
}

pub(super) fn client() -> reqwest::Client {
    let builder = reqwest::Client::builder().timeout(PATIENCE);
    builder.build().expect("a client without settings is made")
}

pub(super) fn statement(
    client: &reqwest::Client,
    http: &str,
    text: &str,
) -> reqwest::RequestBuilder {
    let url = format!("{http}/api/v1/sql");
    client.post(url).json(&json!({"query": text}))
}

/// Reads an answer to its end.
pub(super) async fn read(answer: reqwest::Result<reqwest::Response>) -> Outcome {
    let Ok(mut answer) = answer else {
        return Outcome::Unanswered;
    };
    loop {
        match answer.chunk().await {
            Ok(Some(_)) => {}
            Ok(None) => return Outcome::of_status(answer.status().as_u16()),
            Err(_) => return Outcome::Unanswered,
        }
    }
}

/// How many rows of a tenant there are.
pub(super) async fn count(http: &str, tenant: &str, from: &str) -> anyhow::Result<u64> {
    let text = format!("SELECT count(*) AS n FROM {from}");
    let client = reqwest::Client::new();
    let request = statement(&client, http, &text).header("X-Scope-OrgID", tenant);
    let answer = request.send().await.context("count rows")?;
    let body: Value = answer.json().await.context(text.clone())?;
    ensure!(body["status"] == "success", "{text}: {body}");
    let count = body["data"]["rows"][0]["n"].as_u64();
    count.with_context(|| format!("{text}: {body}"))
}
