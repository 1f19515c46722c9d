//! Many people before their dashboards: each client replays the panels of its own, one after the other.

use std::time::{Duration, Instant};

use anyhow::Context;

use crate::{
    cli::DashboardArgs,
    drive,
    ingest::{STEP_MS, now_ms},
    query::{Ask, answer, fill},
    subject::Subject,
    table,
};

/// A panel's query and, of a graph, the seconds between its points over an hour. `$instance` and `$region` are the dashboard's.
const PANELS: [(&str, Option<i64>); 10] = [
    ("bench_memory_bytes{instance=\"$instance\"}", None),
    (
        "topk(5, sum by (path) (rate(bench_requests_total{instance=\"$instance\"}[5m])))",
        None,
    ),
    ("count by (datacenter) (bench_memory_bytes)", None),
    (
        "sum by (mode) (rate(bench_cpu_seconds_total{instance=\"$instance\"}[5m]))",
        Some(30),
    ),
    (
        "sum by (method) (rate(bench_requests_total{instance=\"$instance\"}[5m]))",
        Some(30),
    ),
    (
        "histogram_quantile(0.99, sum by (le) (rate(bench_latency_seconds_bucket{instance=\"$instance\"}[5m])))",
        Some(30),
    ),
    ("bench_memory_bytes{region=\"$region\"}", Some(60)),
    ("sum by (region) (bench_memory_bytes)", Some(60)),
    (
        "max(max_over_time(bench_memory_bytes{region=\"$region\"}[10m]))",
        Some(60),
    ),
    (
        "sum by (mode) (rate(bench_cpu_seconds_total{region=\"$region\"}[5m]))",
        Some(60),
    ),
];

/// Runs the comparison and prints its table.
pub(crate) async fn run(args: &DashboardArgs) -> anyhow::Result<()> {
    let end = now_ms()? / STEP_MS * STEP_MS;
    let heading = ["server", "answers/s", "p50 ms", "p99 ms", "longest ms"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows[0].extend(["MiB before", "peak MiB"].map(str::to_owned));
    for kind in &args.load.servers {
        let Some(subject) = Subject::start(*kind, args.load.demarc.as_deref()).await? else {
            table::say(&format!("{}: not installed, left out", kind.name()));
            continue;
        };
        fill(&subject, (&args.load, args.hours), end).await?;
        let before = subject.usage()?.peak_bytes;
        let instances = (args.load.series / 100).max(1);
        let length = Duration::from_secs(args.seconds);
        let clients = (0..args.clients).map(|client| {
            let panels = panels(client * instances / args.clients);
            replay(subject.http.clone(), panels, end, length)
        });
        let run = drive::lanes(clients)
            .await
            .with_context(|| format!("dashboards of {}", kind.name()))?;
        let peak = subject.usage()?.peak_bytes;
        let millis = |share| format!("{:.1}", run.quantile_ms(share));
        rows.push(vec![
            kind.name().to_owned(),
            format!("{:.0}", run.per_second()),
            millis(0.5),
            millis(0.99),
            millis(1.0),
            format!("{}", before >> 20),
            format!("{}", peak >> 20),
        ]);
        subject.stop().await?;
    }
    table::print(&rows);
    Ok(())
}

/// The panels of the dashboard of an instance of the fleet.
fn panels(instance: usize) -> Vec<(String, Option<i64>)> {
    let (name, region) = (
        format!("10.0.{}.{}:9100", instance / 250, instance % 250),
        format!("region-{}", instance % 7),
    );
    let filled = |(query, step): (&str, Option<i64>)| {
        let query = query
            .replace("$instance", &name)
            .replace("$region", &region);
        (query, step)
    };
    PANELS.map(filled).to_vec()
}

async fn replay(
    base: String,
    panels: Vec<(String, Option<i64>)>,
    end: i64,
    length: Duration,
) -> anyhow::Result<Vec<Duration>> {
    let client = reqwest::Client::new();
    let begin = Instant::now();
    let mut latencies = Vec::new();
    for (query, step) in panels.iter().cycle() {
        if begin.elapsed() >= length {
            break;
        }
        let ask = match step {
            None => Ask::Instant(query),
            Some(step) => Ask::Range {
                query,
                minutes: 60,
                step_s: *step,
            },
        };
        latencies.push(answer(&client, &base, ask, end).await?);
    }
    Ok(latencies)
}
