//! Every expression of the dashboards, ours and those of others, is answered, and finds data that it selects.
//!
//! What finds nothing is listed in `query/tests/dashboards/empty.txt` with its reason; what finds something is not.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use demarc_proto::{Millis, TenantId};
use demarc_query::{QueryError, Value, promql};
use demarc_store::Rows;
use regex::Regex;
use serde_json::Value as Json;

use crate::{
    corpus::{Values, rows},
    fixture::{Bed, tenant},
};

/// When the expressions are evaluated, in milliseconds.
const AT: i64 = 1_700_000_000_000;

/// Values that are tried one after the other until there is an answer: a comparison wants this one or that.
const TRIED: [Values; 12] = [
    Values::Rising,
    Values::Constant(1),
    Values::Waves,
    Values::Constant(0),
    Values::Constant(-1),
    Values::Histograms,
    Values::Stairs,
    Values::Compared,
    Values::Switched(1),
    Values::Switched(-1),
    Values::SwitchedHistograms(1),
    Values::SwitchedHistograms(-1),
];

/// An expression and where it stands.
struct Question {
    name: String,
    text: String,
    /// Whether it is PromQL; if not, it must be refused.
    is_valid: bool,
}

/// How an expression was answered.
#[derive(Debug)]
enum Outcome {
    Found,
    Empty,
    Refused(String),
}

fn expressions(value: &Json, found: &mut Vec<String>) {
    match value {
        Json::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Json::String(text) if name == "expr" => found.push(text.clone()),
                    _ => expressions(field, found),
                }
            }
        }
        Json::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

/// The expressions of our dashboards, with Grafana's variables replaced.
fn ours() -> Vec<Question> {
    let variables = [
        (r"\$__rate_interval", "5m"),
        (r"\$__interval", "1m"),
        (r"\$__range", "1h"),
        (r"\$\w+", ".*"),
    ];
    let mut questions = Vec::new();
    for entry in std::fs::read_dir("../dashboards/grafana/dashboards").unwrap() {
        let path = entry.unwrap().path();
        let dashboard: Json = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let mut found = Vec::new();
        expressions(&dashboard, &mut found);
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        for (at, mut text) in found.into_iter().enumerate() {
            for (variable, value) in variables {
                let variable = Regex::new(variable).unwrap();
                text = variable.replace_all(&text, value).into_owned();
            }
            let name = format!("demarc-{stem}#{at}");
            let is_valid = true;
            questions.push(Question {
                name,
                text,
                is_valid,
            });
        }
    }
    questions
}

/// The expressions of others' dashboards; `None` where the material is not there.
fn others() -> Option<Vec<Question>> {
    let path = Path::new("../../shared/compat/dashboards/exprs.jsonl");
    let text = std::fs::read_to_string(path).ok()?;
    let mut questions = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line: Json = serde_json::from_str(line).unwrap();
        if line["lang"] == "promql" {
            questions.push(Question {
                name: format!("{}#{at}", line["dashboard"].as_str().unwrap()),
                text: line["substituted"].as_str().unwrap().to_owned(),
                is_valid: line["parses_promtool_2_42"] == true,
            });
        }
    }
    Some(questions)
}

async fn ask(bed: &Bed, number: usize, question: &Question) -> Outcome {
    let expr = match promql::parse(&question.text) {
        Ok(expr) => expr,
        Err(fault) => return Outcome::Refused(fault.to_string()),
    };
    for (at, values) in TRIED.into_iter().enumerate() {
        let tenant = tenant(&format!("e{number}-{at}"));
        let metrics = rows(&expr, AT, values);
        let rows = Rows {
            metrics,
            ..Rows::default()
        };
        bed.append(&tenant, rows).await;
        match evaluate(bed, &tenant, &question.text).await {
            Ok(true) => return Outcome::Found,
            Ok(false) => {}
            // Two series may become one under some values and not under others.
            Err(QueryError::Evaluation(_)) => {}
            // What the engine does not have yet finds nothing.
            Err(QueryError::Unsupported { .. }) => {}
            Err(fault) => return Outcome::Refused(fault.to_string()),
        }
    }
    Outcome::Empty
}

/// Whether there is an answer that is not empty.
async fn evaluate(bed: &Bed, tenant: &TenantId, text: &str) -> Result<bool, QueryError> {
    let answer = bed.engine.instant(tenant, text, Millis(AT)).await?;
    Ok(match answer.value {
        Value::Vector(rows) => !rows.is_empty(),
        Value::Matrix(rows) => !rows.is_empty(),
        _ => true,
    })
}

/// Names of the expressions that find nothing, with the reasons.
fn known_empty() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string("tests/dashboards/empty.txt").unwrap();
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("# "));
    lines
        .map(|line| {
            let (name, reason) = line.split_once(": ").unwrap();
            (name.to_owned(), reason.to_owned())
        })
        .collect()
}

#[tokio::test]
async fn every_expression_of_every_dashboard_finds_what_it_selects() {
    let mut questions = ours();
    assert!(questions.len() > 80, "only {} of ours", questions.len());
    let others = others();
    let is_whole = others.is_some();
    match others {
        Some(others) => questions.extend(others),
        None => println!("skipped: others' dashboards are not there"),
    }
    let bed = Bed::new().await;
    let (mut empty, mut faults, mut found) = (BTreeSet::new(), Vec::new(), 0);
    for (number, question) in questions.iter().enumerate() {
        let outcome = ask(&bed, number, question).await;
        match (question.is_valid, outcome) {
            (true, Outcome::Found) => found += 1,
            (true, Outcome::Empty) => {
                println!("nothing: {}: {}", question.name, question.text);
                empty.insert(question.name.clone());
            }
            (true, Outcome::Refused(fault)) => {
                faults.push(format!("{}: {fault}: {}", question.name, question.text));
            }
            (false, Outcome::Refused(fault)) if !fault.contains("MetricsQL") => {
                faults.push(format!("{}: {fault}: {}", question.name, question.text));
            }
            // An old parser refuses what a newer one takes; another dialect is named with what to write instead.
            (false, _) => {}
        }
    }
    let known = known_empty();
    let of_shown = |name: &&String| is_whole || name.starts_with("demarc-");
    let known: BTreeSet<String> = known.keys().filter(of_shown).cloned().collect();
    println!(
        "{found} of {} find data, {} nothing",
        questions.len(),
        empty.len()
    );
    assert!(
        faults.is_empty(),
        "{} refused:\n{}",
        faults.len(),
        faults.join("\n")
    );
    let fresh: Vec<_> = empty.difference(&known).collect();
    let closed: Vec<_> = known.difference(&empty).collect();
    assert!(fresh.is_empty(), "find nothing: {fresh:#?}");
    assert!(
        closed.is_empty(),
        "find something and are listed: {closed:#?}"
    );
}
