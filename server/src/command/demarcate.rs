//! `demarc demarcate`

use demarc_incident::{Candidate, EvidenceItem, Outcome, Role, Suspect, Verdict};
use reqwest::Method;
use serde_json::json;

use super::{client, print};
use crate::cli::{DemarcateArgs, Format};

pub(crate) async fn run(args: DemarcateArgs) -> anyhow::Result<()> {
    let mut body = json!({
        "service": args.service, "since": args.since, "symptom": args.symptom.as_str(),
    });
    if let Some(until) = &args.until {
        body["until"] = json!(until);
    }
    let request = client::request(&args.target, Method::POST, "/api/v1/demarcate").json(&body);
    let data = client::data(&args.target, request).await?;
    match args.format {
        Format::Json => print(&format!("{}\n", serde_json::to_string_pretty(&data)?)),
        Format::Table => print(&text(&serde_json::from_value(data)?)),
    }
}

/// A verdict for a terminal.
fn text(verdict: &Verdict) -> String {
    let mut lines = vec![
        format!("service     {}", verdict.service),
        format!("began       {}", time(verdict.onset)),
    ];
    match &verdict.outcome {
        Outcome::Determined {
            suspect,
            confidence,
            runner_up,
        } => {
            lines.extend(suspect_lines(suspect));
            lines.push(format!("confidence  {:.0} %", confidence * 100.0));
            let runner_up = runner_up
                .as_deref()
                .map_or_else(|| "none".to_owned(), candidate);
            lines.push(format!("runner-up   {runner_up}"));
        }
        Outcome::Inconclusive { reason, candidates } => {
            lines.push(format!("verdict     inconclusive: {}", reason.en));
            lines.extend(
                candidates
                    .iter()
                    .map(|one| format!("candidate   {}", candidate(one))),
            );
        }
    }
    lines.push(String::new());
    for item in &verdict.evidence {
        lines.extend(evidence(item));
    }
    for missing in &verdict.missing {
        lines.push(format!(
            "missing: {} of {} ({})",
            missing.signal, missing.entity, missing.why_en
        ));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn suspect_lines(suspect: &Suspect) -> Vec<String> {
    let owner = suspect
        .owner
        .as_ref()
        .map_or("nobody (no rule matches)", |owner| owner.as_str());
    let mut lines = vec![
        format!("layer       {}", suspect.layer),
        format!("owner       {owner}"),
        format!("entity      {}", suspect.entity),
        format!("cause       {}", suspect.cause),
    ];
    let duty = [("contract", &suspect.contract), ("rota", &suspect.rota)];
    let told = duty
        .iter()
        .filter_map(|(name, told)| Some((name, told.as_ref()?)));
    lines.extend(told.map(|(name, told)| format!("{name:<12}{told}")));
    if let Some(culprit) = &suspect.culprit {
        lines.push(format!("points at   {culprit}"));
    }
    lines
}

fn candidate(one: &Candidate) -> String {
    let Candidate {
        suspect,
        confidence,
    } = one;
    format!(
        "{} · {} · {} ({:.0} %)",
        suspect.layer,
        suspect.entity,
        suspect.cause,
        confidence * 100.0
    )
}

fn evidence(item: &EvidenceItem) -> Vec<String> {
    let role = match item.role {
        Role::Symptom => "symptom",
        Role::Supports => "supports",
        Role::Contradicts => "contradicts",
        Role::RulesOut => "rules out",
    };
    vec![
        format!(
            "{:<3} {role:<11} {}: {} -> {} {}",
            item.id, item.statement.en, item.expected, item.observed, item.unit
        ),
        format!(
            "                [{}] {}",
            item.query.tenant, item.query.text
        ),
    ]
}

fn time(nanoseconds: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(nanoseconds))
        .map(|at| at.to_string())
        .unwrap_or_default()
}
