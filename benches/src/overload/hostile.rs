//! The hostile queries of the server's tests, about the data that is being written.

use std::time::Instant;

use super::{
    BUSY,
    ask::{client, read, statement},
    tally::Load,
};

/// One a line: `instant QUERY`, `range START END STEP QUERY`, `get PATH` or `sql QUERY`; `«N*TEXT»` stands for TEXT written N times.
const QUERIES: &str = include_str!("../../../server/tests/hostile/queries.txt");
/// The name of this kind.
const HOSTILE: &str = "hostile queries";

/// A query as it is sent.
#[derive(Clone, Debug)]
pub(super) enum Query {
    /// A path and a form.
    Form(&'static str, String),
    /// A path with parameters.
    Get(String),
    /// A statement.
    Sql(String),
}

/// All of them, with what is now in the place of the time that they name, in seconds.
pub(super) fn queries(now: i64) -> Vec<Query> {
    let lines = QUERIES
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let moved = |line: &str| {
        line.replace("1700000000", &now.to_string())
            .replace("1699990000", &(now - 10_000).to_string())
    };
    lines
        .filter_map(|line| query(&written_out(&moved(line)), now))
        .collect()
}

fn query(line: &str, now: i64) -> Option<Query> {
    let (kind, rest) = line.split_once(' ')?;
    Some(match kind {
        "instant" => Query::Form(
            "query",
            form(&[("query", rest), ("time", &now.to_string())]),
        ),
        "range" => {
            let mut parts = rest.splitn(4, ' ');
            let mut next = || parts.next().unwrap_or_default();
            let (start, end, step) = (next(), next(), next());
            let pairs = [
                ("start", start),
                ("end", end),
                ("step", step),
                ("query", next()),
            ];
            Query::Form("query_range", form(&pairs))
        }
        "get" => Query::Get(rest.to_owned()),
        _ => Query::Sql(rest.to_owned()),
    })
}

fn written_out(line: &str) -> String {
    let (mut out, mut rest) = (String::new(), line);
    while let Some((before, after)) = rest.split_once('«') {
        let Some((inner, after)) = after.split_once('»') else {
            break;
        };
        out.push_str(before);
        if let Some((count, text)) = inner.split_once('*') {
            out.push_str(&text.repeat(count.parse().unwrap_or(0)));
        }
        rest = after;
    }
    out + rest
}

fn form(pairs: &[(&str, &str)]) -> String {
    let encoded = |(name, value): &(&str, &str)| format!("{name}={}", percent(value));
    pairs.iter().map(encoded).collect::<Vec<_>>().join("&")
}

fn percent(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => out.push(char::from(byte)),
            other => out += &format!("%{other:02X}"),
        }
    }
    out
}

/// Asks one after the other until `end`.
pub(super) async fn ask(http: String, queries: Vec<Query>, end: Instant) -> (&'static str, Load) {
    let mut load = Load::default();
    let client = client();
    for query in queries.iter().cycle() {
        let begin = Instant::now();
        if begin >= end {
            break;
        }
        let request = match query {
            Query::Form(path, form) => client
                .post(format!("{http}/api/v1/{path}"))
                .header("Content-Type", "application/x-www-form-urlencoded")
                .body(form.clone()),
            Query::Get(path) => client.get(format!("{http}{path}")),
            Query::Sql(text) => statement(&client, &http, text),
        };
        let left = end.saturating_duration_since(begin);
        let answer = request.header("X-Scope-OrgID", BUSY).send();
        // Nobody waits for answers beyond the end.
        match tokio::time::timeout(left, async { read(answer.await).await }).await {
            Ok(outcome) => load.note(outcome, begin),
            Err(_) => break,
        }
    }
    (HOSTILE, load)
}
