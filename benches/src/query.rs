//! The same queries to each server over the same data.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::{
    cli::{Kind, Load, QueryArgs},
    drive,
    ingest::{STEP_MS, encoders, now_ms},
    subject::Subject,
    table,
};

/// What is asked, and over which time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ask<'a> {
    /// PromQL at the end of the data.
    Instant(&'a str),
    /// PromQL over the last `minutes`, `step_s` apart.
    Range {
        query: &'a str,
        minutes: i64,
        step_s: i64,
    },
    /// Another endpoint, with its parameters.
    Other(&'a str, &'a [(&'a str, &'a str)]),
}

const CPU: &str = "sum by (mode) (rate(bench_cpu_seconds_total[5m]))";
const REQUESTS: &str = "sum by (region) (rate(bench_requests_total[5m]))";
const QUANTILE: &str =
    "histogram_quantile(0.99, sum by (instance, le) (rate(bench_latency_seconds_bucket[5m])))";
const JOIN: &str =
    "sum by (instance) (rate(bench_cpu_seconds_total[5m])) / on (instance) bench_memory_bytes";

const fn range(query: &'static str, minutes: i64, step_s: i64) -> Ask<'static> {
    Ask::Range {
        query,
        minutes,
        step_s,
    }
}

/// Shares of the fleet: memory 1 %, processor 10 %, buckets 12 %, requests 76 % of the series.
const QUERIES: [(&str, Ask<'static>); 19] = [
    (
        "instant, one series",
        Ask::Instant("bench_memory_bytes{instance=\"10.0.0.5:9100\"}"),
    ),
    (
        "instant, 1 % of the series",
        Ask::Instant("bench_memory_bytes"),
    ),
    ("instant, sum rate of 10 %", Ask::Instant(CPU)),
    ("instant, sum rate of 76 %", Ask::Instant(REQUESTS)),
    (
        "instant, topk of 76 %",
        Ask::Instant("topk(10, bench_requests_total)"),
    ),
    (
        "instant, count of all",
        Ask::Instant("count by (region) ({job=\"bench\"})"),
    ),
    (
        "instant, regex on a value",
        Ask::Instant("count(bench_requests_total{path=~\".*/1[0-9]\"})"),
    ),
    (
        "instant, regex on names",
        Ask::Instant("count({__name__=~\"bench_.+\", instance=~\"10.0.1.*\"})"),
    ),
    (
        "range 1 h, one series",
        range(
            "rate(bench_cpu_seconds_total{instance=\"10.0.0.5:9100\", cpu=\"0\", mode=\"user\"}[5m])",
            60,
            15,
        ),
    ),
    (
        "range 1 h, sum of 1 %",
        range("sum by (region) (bench_memory_bytes)", 60, 60),
    ),
    ("range 1 h, sum rate of 10 %", range(CPU, 60, 60)),
    ("range 20 min, sum rate of 76 %", range(REQUESTS, 20, 60)),
    ("range 1 h, quantile of buckets", range(QUANTILE, 60, 60)),
    ("range 1 h, join", range(JOIN, 60, 60)),
    (
        "range 1 h, max over time",
        range("max(max_over_time(bench_memory_bytes[10m]))", 60, 60),
    ),
    (
        "range 6 h, sum of 1 %",
        range("sum by (region) (bench_memory_bytes)", 360, 120),
    ),
    (
        "label values",
        Ask::Other("/api/v1/label/instance/values", &[]),
    ),
    (
        "label values, matched",
        Ask::Other(
            "/api/v1/label/path/values",
            &[(
                "match[]",
                "bench_requests_total{instance=\"10.0.0.5:9100\"}",
            )],
        ),
    ),
    (
        "series of 1 %",
        Ask::Other("/api/v1/series", &[("match[]", "bench_memory_bytes")]),
    ),
];

/// Runs the comparison and prints its table.
pub(crate) async fn run(args: &QueryArgs) -> anyhow::Result<()> {
    let end = now_ms()? / STEP_MS * STEP_MS;
    let mut measured: Vec<(Kind, Vec<Duration>)> = Vec::new();
    for kind in &args.load.servers {
        let Some(subject) = Subject::start(*kind, args.load.demarc.as_deref()).await? else {
            table::say(&format!("{}: not installed, left out", kind.name()));
            continue;
        };
        fill(&subject, (&args.load, args.hours), end).await?;
        let mut times = Vec::new();
        for (name, ask) in QUERIES {
            let time = middle(&subject.http, ask, end, args.runs).await;
            times.push(time.with_context(|| format!("{}: {name}", kind.name()))?);
        }
        let usage = subject.usage()?;
        table::say(&format!(
            "{}: at most {} MiB",
            kind.name(),
            usage.peak_bytes >> 20
        ));
        measured.push((*kind, times));
        subject.stop().await?;
    }
    print(&measured);
    Ok(())
}

/// Sends so many hours of samples up to `end`, and waits until the server is done with them.
pub(crate) async fn fill(
    subject: &Subject,
    (load, hours): (&Load, f64),
    end: i64,
) -> anyhow::Result<()> {
    let rounds = (hours * 3_600_000.0 / STEP_MS as f64) as i64;
    let mut lanes: Vec<Vec<_>> = (0..load.connections).map(|_| Vec::new()).collect();
    for (at, encoder) in encoders(load).into_iter().enumerate() {
        lanes[at % load.connections].push(encoder);
    }
    let run = drive::lanes(lanes.into_iter().map(|mut encoders| {
        let base = subject.http.clone();
        let turns = (0..rounds).flat_map(move |round| {
            let time = end - (rounds - 1 - round) * STEP_MS;
            let bodies: Vec<_> = encoders.iter_mut().map(|one| one.next(time)).collect();
            bodies
        });
        drive::remote_write(base, turns)
    }))
    .await?;
    let settling = subject.settle().await?;
    table::say(&format!(
        "{}: {} samples sent in {:.0} s, idle {:.0} s later, at most {} MiB",
        subject.kind.name(),
        rounds * load.series as i64,
        run.wall.as_secs_f64(),
        settling.as_secs_f64(),
        subject.usage()?.peak_bytes >> 20
    ));
    Ok(())
}

/// Queries are repeated until they took so long together.
const ENOUGH: Duration = Duration::from_millis(200);
/// Most repetitions of a query.
const MOST_RUNS: usize = 200;

/// The middle of at least `runs` times, after one run that nobody counts. Of a query that takes a fraction of a millisecond, a few runs
/// would tell of the operating system's scheduler.
async fn middle(base: &str, ask: Ask<'_>, end: i64, runs: usize) -> anyhow::Result<Duration> {
    let client = reqwest::Client::new();
    answer(&client, base, ask, end).await?;
    let mut times = Vec::new();
    let mut sum = Duration::ZERO;
    while times.len() < runs.max(1) || (sum < ENOUGH && times.len() < MOST_RUNS) {
        let time = answer(&client, base, ask, end).await?;
        sum += time;
        times.push(time);
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

/// How long an answer takes; an error when it is none.
pub(crate) async fn answer(
    client: &reqwest::Client,
    base: &str,
    ask: Ask<'_>,
    end: i64,
) -> anyhow::Result<Duration> {
    let begin = Instant::now();
    let answer = request(client, base, ask, end).send().await?;
    let status = answer.status();
    let body = answer.bytes().await?;
    let time = begin.elapsed();
    ensure!(
        status.is_success() && body.len() > 80,
        "{ask:?} answers {status}: {}",
        String::from_utf8_lossy(&body[..body.len().min(300)])
    );
    Ok(time)
}

fn request(
    client: &reqwest::Client,
    base: &str,
    ask: Ask<'_>,
    end: i64,
) -> reqwest::RequestBuilder {
    let seconds = end / 1000;
    let text = |seconds: i64| seconds.to_string();
    match ask {
        Ask::Instant(query) => client.get(format!("{base}/api/v1/query")).query(&[
            ("query", query),
            ("time", &text(seconds)),
            ("nocache", "1"),
        ]),
        Ask::Range {
            query,
            minutes,
            step_s,
        } => client.get(format!("{base}/api/v1/query_range")).query(&[
            ("query", query),
            ("start", &text(seconds - minutes * 60)),
            ("end", &text(seconds)),
            ("step", &text(step_s)),
            ("nocache", "1"),
        ]),
        Ask::Other(path, parameters) => client
            .get(format!("{base}{path}"))
            .query(parameters)
            .query(&[("start", &text(seconds - 3600)), ("end", &text(seconds))]),
    }
}

/// Milliseconds of each server, and Demarc's time as a multiple of the better peer's.
fn print(measured: &[(Kind, Vec<Duration>)]) {
    let mut heading = vec!["query".to_owned()];
    heading.extend(
        measured
            .iter()
            .map(|(kind, _)| format!("{} ms", kind.name())),
    );
    heading.push("to the better peer".to_owned());
    let mut rows = vec![heading];
    let mut ratios = Vec::new();
    for (at, (name, _)) in QUERIES.iter().enumerate() {
        let mut row = vec![(*name).to_owned()];
        row.extend(
            measured
                .iter()
                .map(|(_, times)| format!("{:.2}", times[at].as_secs_f64() * 1000.0)),
        );
        let of = |kind: Kind| {
            measured
                .iter()
                .find(|(one, _)| *one == kind)
                .map(|(_, times)| times[at])
        };
        let peers = [of(Kind::VictoriaMetrics), of(Kind::Prometheus)];
        let better = peers.into_iter().flatten().min();
        if let (Some(ours), Some(better)) = (of(Kind::Demarc), better) {
            let ratio = ours.as_secs_f64() / better.as_secs_f64();
            ratios.push(ratio);
            row.push(format!("{ratio:.2}"));
        }
        rows.push(row);
    }
    table::print(&rows);
    if !ratios.is_empty() {
        let mean = ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64;
        let worst = ratios.iter().copied().fold(0.0, f64::max);
        table::say(&format!(
            "geometric mean {:.2}, worst {worst:.2}",
            mean.exp()
        ));
    }
}
