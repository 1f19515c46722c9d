//! `demarc responsibility`

use anyhow::Context;
use reqwest::Method;
use serde_json::Value;

use super::{client, print};
use crate::cli::{CheckArgs, ResponsibilityCommand};

pub(crate) async fn run(command: ResponsibilityCommand) -> anyhow::Result<()> {
    match command {
        ResponsibilityCommand::Check(args) => check(args).await,
    }
}

async fn check(args: CheckArgs) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(&args.file)
        .with_context(|| format!("read {}", args.file.display()))?;
    let request = client::request(&args.target, Method::POST, "/api/v1/responsibility/check");
    let review = client::data(&args.target, request.body(text)).await?;
    print(&words(&review))
}

fn list<'a>(review: &'a Value, name: &str) -> &'a [Value] {
    review[name].as_array().map_or(&[], Vec::as_slice)
}

fn words(review: &Value) -> String {
    let mut lines = vec!["precedence:".to_owned()];
    for sentence in list(review, "precedence") {
        lines.push(format!("  {}", text(sentence)));
    }
    for name in ["rules", "edges"] {
        for rule in list(review, name) {
            lines.push(format!(
                "{name}[{}] {} {}: decides {}",
                rule["rule"],
                text(&rule["owner"]),
                rule["match"],
                rule["decides"]
            ));
        }
    }
    for change in list(review, "changes") {
        let (from, to) = (owner(&change["from"]), owner(&change["to"]));
        lines.push(format!("~ {}: {from} -> {to}", text(&change["what"])));
    }
    for entity in list(review, "unowned") {
        lines.push(format!("? {}: nobody answers for it", text(entity)));
    }
    let idle = list(review, "rules").iter().chain(list(review, "edges"));
    let idle = idle.filter(|rule| rule["decides"] == 0).count();
    lines.push(format!(
        "{} change owner, {} have none, {idle} rules decide nothing",
        list(review, "changes").len(),
        list(review, "unowned").len(),
    ));
    lines.push(String::new());
    lines.join("\n")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn owner(value: &Value) -> &str {
    value.as_str().unwrap_or("nobody")
}
