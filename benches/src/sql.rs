//! Statements of SQL over HTTP: what each takes, from the request to the last byte of the answer.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use demarc_benches::Traffic;
use demarc_proto::otlp::collector::{
    logs::v1::logs_service_client::LogsServiceClient,
    trace::v1::trace_service_client::TraceServiceClient,
};
use tonic::transport::Channel;

use crate::{
    cli::{Kind, SqlArgs},
    fleet,
    ingest::now_ms,
    remote_write::Encoder,
    subject::Subject,
    table,
};

/// Items a request.
const BATCH: usize = 2_000;
/// Between two samples of a series.
const STEP_MS: i64 = 15_000;

/// What is asked; `{trace}` stands for the id of a trace.
const STATEMENTS: [(&str, &str); 11] = [
    ("nothing", "SELECT 1"),
    ("tables", "SHOW TABLES"),
    ("count of spans", "SELECT count(*) FROM spans"),
    (
        "calls by service",
        "SELECT service, count(*) FROM spans GROUP BY service",
    ),
    (
        "slowest operations",
        "SELECT operation, approx_percentile_cont(duration_ms, 0.99) AS p99 FROM traces GROUP BY operation ORDER BY p99 DESC LIMIT 10",
    ),
    (
        "calls by minute",
        "SELECT date_bin(INTERVAL '1 minute', time) AS minute, count(*) FROM traces GROUP BY minute ORDER BY minute",
    ),
    (
        "a trace, by its bytes",
        "SELECT name, duration FROM spans WHERE trace_id = X'{trace}'",
    ),
    (
        "a trace, of the view",
        "SELECT operation, duration_ms FROM traces WHERE trace_id = '{trace}'",
    ),
    (
        "newest errors",
        "SELECT time, service, line FROM log_lines WHERE severity = 'ERROR' ORDER BY time DESC LIMIT 100",
    ),
    (
        "lines with a word",
        "SELECT count(*) FROM log_lines WHERE line LIKE '%SocketTimeoutException%'",
    ),
    (
        "a metric",
        "SELECT labels['instance'] AS instance, max(value) FROM metrics WHERE metric = 'bench_memory_bytes' GROUP BY instance",
    ),
];

/// Fills an engine and prints the table.
pub(crate) async fn run(args: &SqlArgs) -> anyhow::Result<()> {
    let subject = Subject::start(Kind::Demarc, args.demarc.as_deref())
        .await?
        .context("demarc is not beside this binary: cargo build --release -p demarc")?;
    table::say(&format!(
        "{} spans, {} log lines, {} samples of {} series; {} runs of each",
        args.items,
        args.items,
        args.series * args.rounds,
        args.series,
        args.runs
    ));
    let trace = rows(&subject, args).await?;
    samples(&subject, args).await?;
    let heading = ["statement", "p50 ms", "p95 ms", "bytes"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    let client = reqwest::Client::new();
    for (name, text) in STATEMENTS {
        let text = text.replace("{trace}", &trace);
        let (took, bytes) = ask(&client, &subject.http, &text, args.runs).await?;
        let at = |share: f64| took[((took.len() - 1) as f64 * share).round() as usize];
        let ms = |took: Duration| format!("{:.1}", took.as_secs_f64() * 1000.0);
        rows.push(vec![
            name.to_owned(),
            ms(at(0.5)),
            ms(at(0.95)),
            bytes.to_string(),
        ]);
    }
    table::print(&rows);
    subject.stop().await?;
    Ok(())
}

/// What each run took, sorted, and the bytes of the answer.
async fn ask(
    client: &reqwest::Client,
    http: &str,
    text: &str,
    runs: usize,
) -> anyhow::Result<(Vec<Duration>, usize)> {
    let (mut took, mut bytes) = (Vec::new(), 0);
    for _ in 0..runs.max(1) {
        let begin = Instant::now();
        let request = client.post(format!("{http}/api/v1/sql"));
        let request = request.header("Content-Type", "text/plain");
        let answer = request.body(text.to_owned()).send().await?;
        let status = answer.status();
        let body = answer.bytes().await.with_context(|| text.to_owned())?;
        let shown = || String::from_utf8_lossy(&body).into_owned();
        ensure!(status.is_success(), "{text}: {status} {}", shown());
        took.push(begin.elapsed());
        bytes = body.len();
    }
    took.sort_unstable();
    Ok((took, bytes))
}

/// Sends spans and log lines; returns the id of a trace among them.
async fn rows(subject: &Subject, args: &SqlArgs) -> anyhow::Result<String> {
    let channel = Channel::from_shared(subject.otlp_grpc.clone())?;
    let channel = channel.connect().await?;
    let start_ns = (now_ms()? - 600_000).unsigned_abs() * 1_000_000;
    let mut traffic = Traffic::new(1, start_ns);
    let mut trace = String::new();
    for _ in 0..args.items.div_ceil(BATCH) {
        let spans = traffic.spans(BATCH);
        let groups = spans.resource_spans.iter();
        let mut all = groups
            .flat_map(|group| &group.scope_spans)
            .flat_map(|scope| &scope.spans);
        if let Some(span) = all.next() {
            trace = span
                .trace_id
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
        }
        TraceServiceClient::new(channel.clone())
            .export(spans)
            .await?;
        let lines = traffic.logs(BATCH);
        LogsServiceClient::new(channel.clone())
            .export(lines)
            .await?;
    }
    Ok(trace)
}

async fn samples(subject: &Subject, args: &SqlArgs) -> anyhow::Result<()> {
    let client = reqwest::Client::new();
    let mut encoder = Encoder::new(fleet::series(args.series));
    let start = now_ms()? - args.rounds as i64 * STEP_MS;
    for round in 0..args.rounds as i64 {
        let request = client
            .post(format!("{}/api/v1/write", subject.http))
            .header("Content-Encoding", "snappy")
            .header("Content-Type", "application/x-protobuf")
            .body(encoder.next(start + round * STEP_MS)?);
        let status = request.send().await?.status();
        ensure!(status.is_success(), "remote-write answers {status}");
    }
    Ok(())
}
