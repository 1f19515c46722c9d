//! Recordings of other systems' faults, sent as OTLP with their times moved to now.

mod nezha;
mod table;

use std::path::Path;

use anyhow::{Context, bail};
use serde_json::json;

use crate::{cli::ReplayArgs, engine, otlp::Client, say, show};

/// What was sent, and what may be asked of it.
struct Recording {
    /// The service that users see.
    entry: String,
    /// When the fault began, after the move, in Unix nanoseconds.
    began: u64,
    /// When the recording ends, after the move.
    ends: u64,
    spans: usize,
    points: usize,
}

/// Sends a recording, and asks for a verdict where that is wanted.
pub(crate) async fn run(args: ReplayArgs) -> anyhow::Result<()> {
    let client = Client::connect(&args.otlp)
        .await
        .with_context(|| format!("no engine takes OTLP at {}", args.otlp))?;
    let recording = match data_set(&args.case)?.as_str() {
        "nezha" => nezha::send(&client, &args.tenant, &args.case).await?,
        other => bail!("recordings of the set {other:?} cannot be replayed; nezha can"),
    };
    say::line(&format!(
        "sent {} spans and {} points",
        recording.spans, recording.points
    ))?;
    if !args.ask {
        return Ok(());
    }
    let seconds = |nanoseconds: u64| format!("{:.3}", nanoseconds as f64 / 1e9);
    let question = json!({
        "service": recording.entry,
        "since": seconds(recording.began),
        "until": seconds(recording.ends),
    });
    let verdict = engine::post(&args.server, &args.tenant, "/api/v1/demarcate", &question).await?;
    show::verdict(&verdict)
}

/// The name of the set that a case is of: the folder that holds `cases`.
fn data_set(case: &Path) -> anyhow::Result<String> {
    let case = std::fs::canonicalize(case).with_context(|| case.display().to_string())?;
    let set = case
        .parent()
        .and_then(Path::parent)
        .and_then(Path::file_name);
    set.map(|name| name.to_string_lossy().into_owned())
        .with_context(|| format!("{}: is no case of a set of recordings", case.display()))
}
