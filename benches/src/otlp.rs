//! OTLP over gRPC into Demarc: metric points, spans, log records.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use demarc_benches::{Traffic, gauges};
use demarc_proto::otlp::collector::{
    logs::v1::logs_service_client::LogsServiceClient,
    metrics::v1::metrics_service_client::MetricsServiceClient,
    trace::v1::trace_service_client::TraceServiceClient,
};
use tonic::transport::Channel;

use crate::{
    cli::{Kind, OtlpArgs, Signal},
    drive,
    ingest::now_ms,
    subject::Subject,
    table,
};

/// Measures each signal against an engine of its own and prints the table.
pub(crate) async fn run(args: &OtlpArgs) -> anyhow::Result<()> {
    table::say(&format!(
        "{} requests of {} items each, {} connections",
        args.requests, args.batch, args.connections
    ));
    let mut rows = vec![
        [
            "signal",
            "items/s",
            "items per CPU-s",
            "peak MiB",
            "bytes/item",
            "ack p50 ms",
            "ack p99 ms",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    for signal in &args.signals {
        let subject = Subject::start(Kind::Demarc, args.demarc.as_deref())
            .await?
            .context("demarc is not beside this binary: cargo build --release -p demarc")?;
        rows.push(measure(subject, *signal, args).await?);
    }
    table::print(&rows);
    Ok(())
}

async fn measure(subject: Subject, signal: Signal, args: &OtlpArgs) -> anyhow::Result<Vec<String>> {
    let before = subject.usage()?;
    let each = args.requests / args.connections;
    let start_ns = (now_ms()? - 600_000).unsigned_abs() * 1_000_000;
    let mut lanes = Vec::new();
    let sent = Arc::new(AtomicUsize::new(0));
    for lane in 0..args.connections {
        let channel = Channel::from_shared(subject.otlp_grpc.clone())?
            .connect()
            .await?;
        let lane = Lane {
            channel,
            number: lane as u64,
            start_ns,
            sent: Arc::clone(&sent),
        };
        lanes.push(send(lane, signal, each, args.batch));
    }
    let run = drive::lanes(lanes).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let after = subject.usage()?;
    let bytes = subject.stop().await?;
    let items = sent.load(Ordering::Relaxed) as f64;
    let cpu = (after.cpu - before.cpu).as_secs_f64();
    Ok(vec![
        format!("{signal:?}").to_lowercase(),
        format!("{:.0}", items / run.wall.as_secs_f64()),
        format!("{:.0}", items / cpu),
        format!("{}", after.peak_bytes >> 20),
        format!("{:.1}", bytes as f64 / items),
        format!("{:.1}", run.quantile_ms(0.5)),
        format!("{:.1}", run.quantile_ms(0.99)),
    ])
}

/// One connection.
struct Lane {
    channel: Channel,
    number: u64,
    start_ns: u64,
    /// Items of all lanes.
    sent: Arc<AtomicUsize>,
}

/// Between two points of a series. Lanes have the same series, one half of a step behind the other.
const GAUGE_STEP_NS: u64 = 1_000_000_000;

async fn send(
    lane: Lane,
    signal: Signal,
    requests: usize,
    batch: usize,
) -> anyhow::Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    let mut traffic = Traffic::new(lane.number + 1, lane.start_ns);
    for n in 0..requests as u64 {
        let channel = lane.channel.clone();
        let (sent, took) = match signal {
            Signal::Metrics => {
                let half = lane.number * GAUGE_STEP_NS / 2;
                let request = gauges(batch as u64, lane.start_ns + n * GAUGE_STEP_NS + half);
                let begin = Instant::now();
                MetricsServiceClient::new(channel).export(request).await?;
                (batch, begin.elapsed())
            }
            Signal::Traces => {
                let request = traffic.spans(batch);
                let groups = request.resource_spans.iter();
                let scopes = groups.flat_map(|group| &group.scope_spans);
                let spans = scopes.map(|scope| scope.spans.len()).sum();
                let begin = Instant::now();
                TraceServiceClient::new(channel).export(request).await?;
                (spans, begin.elapsed())
            }
            Signal::Logs => {
                let request = traffic.logs(batch);
                let begin = Instant::now();
                LogsServiceClient::new(channel).export(request).await?;
                (batch, begin.elapsed())
            }
        };
        lane.sent.fetch_add(sent, Ordering::Relaxed);
        latencies.push(took);
    }
    Ok(latencies)
}
