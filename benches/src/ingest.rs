//! Remote-write into each server.

use std::{sync::Arc, time::Duration};

use anyhow::Context;

use crate::{
    cli::{IngestArgs, Load},
    drive, fleet,
    remote_write::Encoder,
    subject::Subject,
    table,
};

/// The distance between two samples of a series.
pub(crate) const STEP_MS: i64 = 15_000;

/// Runs the comparison and prints its table.
pub(crate) async fn run(args: &IngestArgs) -> anyhow::Result<()> {
    let samples = args.load.series * args.rounds;
    let end = now_ms()?;
    let lanes = prepare(&args.load, args.rounds, end)?;
    table::say(&format!(
        "{samples} samples of {} series, {} a request, {} connections",
        args.load.series, args.load.batch, args.load.connections
    ));
    let mut rows = vec![
        [
            "server",
            "samples/s",
            "samples per CPU-s",
            "peak MiB",
            "bytes/sample",
            "ack p50 ms",
            "ack p99 ms",
            "series seen",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    for kind in &args.load.servers {
        let Some(subject) = Subject::start(*kind, args.load.demarc.as_deref()).await? else {
            table::say(&format!("{}: not installed, left out", kind.name()));
            continue;
        };
        rows.push(measure(subject, &lanes, samples, end).await?);
    }
    table::print(&rows);
    Ok(())
}

async fn measure(
    subject: Subject,
    lanes: &[Arc<Vec<Vec<u8>>>],
    samples: usize,
    end: i64,
) -> anyhow::Result<Vec<String>> {
    let before = subject.usage()?;
    let run = drive::lanes(lanes.iter().map(|bodies| {
        let bodies = Arc::clone(bodies);
        let each = (0..bodies.len()).map(move |at| Ok(bodies[at].clone()));
        drive::remote_write(subject.http.clone(), each)
    }))
    .await?;
    // Work that the server put off until after its answers belongs to the load.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let after = subject.usage()?;
    let seen = series_seen(&subject.http, end).await?;
    let name = subject.kind.name();
    let bytes = subject.stop().await?;
    let cpu = (after.cpu - before.cpu).as_secs_f64();
    let millis = |share| format!("{:.1}", run.quantile_ms(share));
    Ok(vec![
        name.to_owned(),
        format!("{:.0}", samples as f64 / run.wall.as_secs_f64()),
        format!("{:.0}", samples as f64 / cpu),
        format!("{}", after.peak_bytes >> 20),
        format!("{:.2}", bytes as f64 / samples as f64),
        millis(0.5),
        millis(0.99),
        seen,
    ])
}

/// The requests of each connection: series are dealt out in batches, and each batch keeps to its connection.
fn prepare(load: &Load, rounds: usize, end: i64) -> anyhow::Result<Vec<Arc<Vec<Vec<u8>>>>> {
    let mut encoders = encoders(load);
    let mut lanes = vec![Vec::new(); load.connections];
    for round in 0..rounds {
        let time = end - (rounds - 1 - round) as i64 * STEP_MS;
        for (at, encoder) in encoders.iter_mut().enumerate() {
            lanes[at % load.connections].push(encoder.next(time)?);
        }
    }
    Ok(lanes.into_iter().map(Arc::new).collect())
}

/// One encoder per request of a round.
pub(crate) fn encoders(load: &Load) -> Vec<Encoder> {
    let mut series = fleet::series(load.series);
    let mut encoders = Vec::new();
    while !series.is_empty() {
        let rest = series.split_off(load.batch.min(series.len()));
        encoders.push(Encoder::new(series));
        series = rest;
    }
    encoders
}

pub(crate) fn now_ms() -> anyhow::Result<i64> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(i64::try_from(since.as_millis())?)
}

/// What the server says of how many series it holds: a load that vanished was not taken.
async fn series_seen(base: &str, end: i64) -> anyhow::Result<String> {
    let time = format!("{:.3}", end as f64 / 1000.0);
    let answer: serde_json::Value = reqwest::Client::new()
        .get(format!("{base}/api/v1/query"))
        .query(&[("query", "count({job=\"bench\"})"), ("time", &time)])
        .send()
        .await?
        .json()
        .await
        .context("count the series")?;
    let count = &answer["data"]["result"][0]["value"][1];
    Ok(count.as_str().unwrap_or("none").to_owned())
}
