//! OTLP over gRPC into Demarc: metric points, spans, log records.

use std::time::{Duration, Instant};

use anyhow::Context;
use demarc_benches::{gauges, logs, spans};
use demarc_proto::otlp::collector::{
    logs::v1::logs_service_client::LogsServiceClient,
    metrics::v1::metrics_service_client::MetricsServiceClient,
    trace::v1::trace_service_client::TraceServiceClient,
};
use tonic::transport::Channel;

use crate::{
    cli::{Kind, OtlpArgs},
    drive,
    ingest::now_ms,
    subject::Subject,
    table,
};

#[derive(Clone, Copy, Debug)]
enum Signal {
    Metrics,
    Traces,
    Logs,
}

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
    for signal in [Signal::Metrics, Signal::Traces, Signal::Logs] {
        let subject = Subject::start(Kind::Demarc, args.demarc.as_deref())
            .await?
            .context("demarc is not beside this binary: cargo build --release -p demarc")?;
        rows.push(measure(subject, signal, args).await?);
    }
    table::print(&rows);
    Ok(())
}

async fn measure(subject: Subject, signal: Signal, args: &OtlpArgs) -> anyhow::Result<Vec<String>> {
    let before = subject.usage()?;
    let each = args.requests / args.connections;
    let start_ns = (now_ms()? - 600_000).unsigned_abs() * 1_000_000;
    let mut lanes = Vec::new();
    for lane in 0..args.connections {
        let channel = Channel::from_shared(subject.otlp_grpc.clone())?
            .connect()
            .await?;
        // Lanes are apart by more than all their items, so that no id and no time is sent twice.
        let start_ns = start_ns + (lane * each * args.batch) as u64 * 1_000;
        lanes.push(send(channel, signal, each, args.batch as u64, start_ns));
    }
    let run = drive::lanes(lanes).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let after = subject.usage()?;
    let bytes = subject.stop().await?;
    let items = (each * args.connections * args.batch) as f64;
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

async fn send(
    channel: Channel,
    signal: Signal,
    requests: usize,
    batch: u64,
    start_ns: u64,
) -> anyhow::Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    for n in 0..requests as u64 {
        let time = start_ns + n * batch * 1_000;
        let took = match signal {
            Signal::Metrics => {
                let request = gauges(batch, time);
                let begin = Instant::now();
                MetricsServiceClient::new(channel.clone())
                    .export(request)
                    .await?;
                begin.elapsed()
            }
            Signal::Traces => {
                let request = spans(batch, time);
                let begin = Instant::now();
                TraceServiceClient::new(channel.clone())
                    .export(request)
                    .await?;
                begin.elapsed()
            }
            Signal::Logs => {
                let request = logs(batch, time);
                let begin = Instant::now();
                LogsServiceClient::new(channel.clone())
                    .export(request)
                    .await?;
                begin.elapsed()
            }
        };
        latencies.push(took);
    }
    Ok(latencies)
}
