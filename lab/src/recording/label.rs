//! What `labels.jsonl` says of a case: the inputs of a localisation, and apart from them the truth.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, bail};
use serde::Deserialize;

/// What may be read before a verdict is given.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Label {
    pub(crate) case: String,
    pub(crate) system: String,
    /// The day whose fault-free telemetry the case is to be compared with.
    pub(crate) day: Option<String>,
    pub(crate) inject_time_unix: Option<i64>,
    pub(crate) alarm: Option<Alarm>,
}

/// The violation of a service level that somebody was told of.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Alarm {
    pub(crate) entity: String,
    pub(crate) metric: String,
    pub(crate) timestamp: f64,
}

/// What a verdict is scored with; a set may keep it back.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Truth {
    pub(crate) case: String,
    pub(crate) fault_type: String,
    pub(crate) layer: String,
    pub(crate) root_entity: String,
    pub(crate) root_pod: Option<String>,
}

/// The inputs of every case, in the order of the file, and what is wrong with lines that tell none.
pub(crate) fn labels(set: &Path) -> anyhow::Result<(Vec<Label>, Vec<String>)> {
    let path = set.join("labels.jsonl");
    let name = || path.display().to_string();
    let text = std::fs::read_to_string(&path).with_context(name)?;
    let (mut labels, mut odd) = (Vec::new(), Vec::new());
    for (at, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        match label(line) {
            Ok(label) => labels.push(label),
            Err(error) => odd.push(format!("{}:{}: {error:#}", name(), at + 1)),
        }
    }
    Ok((labels, odd))
}

fn label(line: &str) -> anyhow::Result<Label> {
    let label: Label = serde_json::from_str(line)?;
    if label.inject_time_unix.is_none() && label.alarm.is_none() {
        bail!(
            "case {} has neither inject_time_unix nor alarm; one of them says when it began",
            label.case
        );
    }
    Ok(label)
}

/// The truth of each case that has one.
pub(crate) fn truths(set: &Path) -> anyhow::Result<BTreeMap<String, Truth>> {
    let text = std::fs::read_to_string(set.join("labels.jsonl"))?;
    let known = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Truth>(line).ok());
    Ok(known.map(|truth| (truth.case.clone(), truth)).collect())
}
