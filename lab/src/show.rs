//! A verdict for a terminal.

use serde_json::Value;

use crate::say;

/// Prints layer, owner, entity, cause, confidence, runner-up, and the evidence with its queries.
pub(crate) fn verdict(verdict: &Value) -> anyhow::Result<()> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let percent = |value: &Value| format!("{:.0} %", value.as_f64().unwrap_or_default() * 100.0);
    if verdict["outcome"] == "determined" {
        let suspect = &verdict["suspect"];
        say::line(&format!("    layer       {}", text(&suspect["layer"])))?;
        say::line(&format!("    owner       {}", text(&suspect["owner"])))?;
        say::line(&format!("    entity      {}", text(&suspect["entity"])))?;
        say::line(&format!("    cause       {}", text(&suspect["cause"])))?;
        if let Some(culprit) = suspect["culprit"].as_str() {
            say::line(&format!("    points at   {culprit}"))?;
        }
        say::line(&format!(
            "    confidence  {}",
            percent(&verdict["confidence"])
        ))?;
        say::line(&format!(
            "    runner-up   {}",
            candidate(&verdict["runner_up"])
        ))?;
    } else {
        say::line(&format!(
            "    inconclusive: {}",
            text(&verdict["reason"]["en"])
        ))?;
        for one in verdict["candidates"].as_array().into_iter().flatten() {
            say::line(&format!("    candidate   {}", candidate(one)))?;
        }
    }
    for one in verdict["ranking"].as_array().into_iter().flatten().take(5) {
        say::line(&format!("    ranked      {}", candidate(one)))?;
    }
    for item in verdict["evidence"].as_array().into_iter().flatten() {
        say::line(&format!(
            "    {:<3} {:<9} {}: {} -> {} {}",
            text(&item["id"]),
            text(&item["role"]),
            text(&item["statement"]["en"]),
            item["expected"],
            item["observed"],
            text(&item["unit"]),
        ))?;
        let query = text(&item["query"]["text"]);
        say::line(&format!(
            "        [{}] {query}",
            text(&item["query"]["tenant"])
        ))?;
    }
    Ok(())
}

fn candidate(one: &Value) -> String {
    let suspect = &one["suspect"];
    let text = |name: &str| suspect[name].as_str().unwrap_or("-").to_owned();
    match one["confidence"].as_f64() {
        None => "none".to_owned(),
        Some(share) => format!(
            "{} · {} · {} ({:.0} %)",
            text("layer"),
            text("entity"),
            text("cause"),
            share * 100.0
        ),
    }
}
