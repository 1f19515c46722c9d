//! `demarc topology`

use std::path::Path;

use anyhow::{Context, bail};
use reqwest::{Method, header};
use serde_json::Value;

use super::{client, print};
use crate::cli::{ImportArgs, ProblemsArgs, TopologyCommand};

pub(crate) async fn run(command: TopologyCommand) -> anyhow::Result<()> {
    match command {
        TopologyCommand::Import(args) => import(args).await,
        TopologyCommand::Problems(args) => problems(args).await,
    }
}

async fn import(args: ImportArgs) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(&args.file)
        .with_context(|| format!("read {}", args.file.display()))?;
    let query = [
        ("dry_run", args.dry_run.to_string()),
        ("source", args.source.clone()),
        (
            "mode",
            if args.replace { "replace" } else { "merge" }.to_owned(),
        ),
        ("format", format(&args.file)?.to_owned()),
    ];
    let path = format!("/api/v1/topology/import?{}", encoded(&query));
    let request = client::request(&args.target, Method::POST, &path)
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .body(text);
    let report = client::data(&args.target, request).await?;
    print(&words(&report))?;
    match list(&report, "refused").len() {
        0 => Ok(()),
        refused => bail!("{refused} lines were refused"),
    }
}

async fn problems(args: ProblemsArgs) -> anyhow::Result<()> {
    let at = args.at.map(|at| format!("?{}", encoded(&[("at", at)])));
    let path = format!("/api/v1/topology/problems{}", at.unwrap_or_default());
    let request = client::request(&args.target, Method::GET, &path);
    let found = client::data(&args.target, request).await?;
    let mut lines = Vec::new();
    for one in list(&found, "unmappedMetrics") {
        let (tenant, metric) = (text(&one["tenant"]), text(&one["metric"]));
        lines.push(format!(
            "unmapped  {metric} of {tenant}: {} series, jobs {}",
            one["series"], one["jobs"]
        ));
    }
    for (name, word) in [("unowned", "unowned "), ("orphans", "orphan  ")] {
        for id in list(&found, name) {
            lines.push(format!("{word}  {}", text(id)));
        }
    }
    for one in list(&found, "conflicts") {
        let (kind, entity, about) = (
            text(&one["kind"]),
            text(&one["entity"]),
            text(&one["about"]),
        );
        lines.push(format!(
            "conflict  {kind} {entity}, {about}: {}",
            one["claims"]
        ));
        lines.push(format!("          {}", text(&one["resolution"])));
    }
    lines.push(String::new());
    print(&lines.join("\n"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The file's format by its ending.
fn format(file: &Path) -> anyhow::Result<&'static str> {
    match file.extension().and_then(|ending| ending.to_str()) {
        Some("csv") => Ok("csv"),
        Some("yaml" | "yml") => Ok("yaml"),
        Some("json") => Ok("json"),
        _ => bail!(
            "{}: the file's name must end with .csv, .yaml, .yml or .json",
            file.display()
        ),
    }
}

fn encoded(pairs: &[(&str, String)]) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let text = |value: &str| -> String {
        let escaped = value.bytes().map(|byte| match char::from(byte) {
            c if safe(c) => c.to_string(),
            _ => format!("%{byte:02X}"),
        });
        escaped.collect()
    };
    let pairs = pairs.iter();
    let pairs: Vec<String> = pairs
        .map(|(name, value)| format!("{name}={}", text(value)))
        .collect();
    pairs.join("&")
}

fn list<'a>(report: &'a Value, name: &str) -> &'a [Value] {
    report[name].as_array().map_or(&[], Vec::as_slice)
}

fn words(report: &Value) -> String {
    let mut lines = Vec::new();
    for (name, sign) in [("added", "+"), ("changed", "~"), ("ended", "-")] {
        for one in list(report, name) {
            lines.push(format!("{sign} {}", one.as_str().unwrap_or_default()));
        }
    }
    for one in list(report, "refused") {
        lines.push(format!(
            "! line {}: {}",
            one["line"],
            one["reason"].as_str().unwrap_or_default()
        ));
    }
    let verb = match report["dryRun"].as_bool() {
        Some(true) => "would be ",
        _ => "",
    };
    lines.push(format!(
        "{} {verb}added, {} changed, {} ended, {} unchanged, {} refused",
        list(report, "added").len(),
        list(report, "changed").len(),
        list(report, "ended").len(),
        report["unchanged"],
        list(report, "refused").len(),
    ));
    lines.push(String::new());
    lines.join("\n")
}
