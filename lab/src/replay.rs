//! Recordings of other systems' faults, sent as OTLP with their times moved to now.

use anyhow::Context;
use serde_json::json;

use crate::{
    cli::ReplayArgs,
    engine,
    otlp::{self, Client},
    recording::{Cut, Set, Telemetry, Unix},
    say, show,
};

/// The end of the recording is put this long before now: the engine takes what is younger as not yet settled.
const LAG_NS: i64 = 10_000_000_000;
/// What is sent of the fault-free time: this much of it, right before the case.
const HISTORY_NS: i64 = 3_600_000_000_000;

/// Sends a recording, and asks for a verdict where that is wanted.
pub(crate) async fn run(args: ReplayArgs) -> anyhow::Result<()> {
    let (set, label) = Set::of_case(&args.case)?;
    let mut case = set.recording(&label, &Cut::default())?;
    let normal = set.system(Set::system_of(&label), &Cut::default())?;
    let (begins, ends) = case.telemetry.range().context("the case holds nothing")?;
    let history = before(normal.telemetry, &case.telemetry, begins);
    let by = otlp::now().cast_signed() - LAG_NS - ends;
    case.telemetry.extend(history);
    case.telemetry.shift(by);
    let client = Client::connect(&args.otlp)
        .await
        .with_context(|| format!("no engine takes OTLP at {}", args.otlp))?;
    send(&client, &args.tenant, &case.telemetry).await?;
    say::line(&format!(
        "sent {} spans, {} points and {} log records",
        case.telemetry.spans.len(),
        case.telemetry.points(),
        case.telemetry.logs.len(),
    ))?;
    if !args.ask {
        return Ok(());
    }
    // Metrics go on when the recorded spans have ended; silence after that is the recording's, not the system's.
    let spans_end = case.telemetry.span_starts().max().map(|at| at + 1);
    let seconds = |at: Unix| format!("{:.3}", at as f64 / 1e9);
    let mut question = json!({
        "service": case.entry,
        "since": seconds(case.since + by),
        "until": seconds(spans_end.unwrap_or(case.until + by)),
    });
    if let Some(symptom) = case.symptom {
        question["symptom"] = json!(symptom);
    }
    let verdict = engine::post(&args.server, &args.tenant, "/api/v1/demarcate", &question).await?;
    show::verdict(&verdict)
}

async fn send(client: &Client, tenant: &str, telemetry: &Telemetry) -> anyhow::Result<()> {
    for metrics in telemetry.metric_requests() {
        client.metrics(tenant, metrics).await?;
    }
    for spans in telemetry.span_requests() {
        client.spans(tenant, spans).await?;
    }
    for logs in telemetry.log_requests() {
        client.logs(tenant, logs).await?;
    }
    Ok(())
}

/// The end of a fault-free time, moved so that it ends as the case begins: each signal before its own in the case.
fn before(mut normal: Telemetry, case: &Telemetry, begins: Unix) -> Telemetry {
    let gap = |last: Option<Unix>, first: Option<Unix>| {
        first.unwrap_or(begins) - last.unwrap_or(begins) - 1_000_000_000
    };
    let spans = gap(normal.span_starts().max(), case.span_starts().min());
    let mut parts = Telemetry::default();
    let mut moved = Telemetry {
        spans: std::mem::take(&mut normal.spans),
        logs: std::mem::take(&mut normal.logs),
        ..Telemetry::default()
    };
    moved.shift(spans);
    parts.extend(moved);
    let last = normal.range().map(|(_, last)| last);
    normal.shift(gap(last, Some(begins)));
    normal.keep_since(begins - HISTORY_NS);
    parts.extend(normal);
    parts
}
