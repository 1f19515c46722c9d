//! Writers that send the next request as soon as the last is answered, whatever the answer says.

use std::time::{Duration, Instant};

use demarc_benches::{Traffic, gauges};
use demarc_proto::otlp::collector::{
    logs::v1::logs_service_client::LogsServiceClient,
    metrics::v1::metrics_service_client::MetricsServiceClient,
    trace::v1::trace_service_client::TraceServiceClient,
};
use tonic::transport::{Channel, Endpoint};

use super::{
    BUSY, BYSTANDER,
    ask::client,
    tally::{Load, Outcome},
};
use crate::{cli::Signal, fleet, ingest::now_ms, remote_write::Encoder};

/// The names of these kinds.
pub(super) const SAMPLES: &str = "remote-write";
pub(super) const STEADY: &str = "remote-write of the bystander";
pub(super) const POINTS: &str = "OTLP metric points";
pub(super) const SPANS: &str = "OTLP spans";
pub(super) const LOGS: &str = "OTLP log records";
/// The signals of OTLP.
pub(super) const SIGNALS: [Signal; 3] = [Signal::Metrics, Signal::Traces, Signal::Logs];

/// Items a request.
const BATCH: usize = 2_000;
/// Series of the bystander.
const STEADY_SERIES: usize = 100;
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends samples until `end`: in turn those of series that are there and those of series that never were.
pub(super) async fn remote_write(http: String, lane: usize, end: Instant) -> (&'static str, Load) {
    let mut load = Load::default();
    let mut poster = Poster::new(http, BUSY);
    let mut known = Encoder::new(fleet::fresh("x", lane, 0..BATCH));
    let mut next = BATCH;
    while Instant::now() < end {
        poster.post(&mut known, BATCH, &mut load).await;
        let mut fresh = Encoder::new(fleet::fresh("x", lane, next..next + BATCH));
        next += BATCH;
        poster.post(&mut fresh, BATCH, &mut load).await;
    }
    (SAMPLES, load)
}

/// Sends a few samples a second until `end`.
pub(super) async fn steady(http: String, end: Instant) -> (&'static str, Load) {
    let mut load = Load::default();
    let mut poster = Poster::new(http, BYSTANDER);
    let mut known = Encoder::new(fleet::fresh("steady", 0, 0..STEADY_SERIES));
    while Instant::now() < end {
        poster.post(&mut known, STEADY_SERIES, &mut load).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    (STEADY, load)
}

/// A connection for remote-write.
struct Poster {
    client: reqwest::Client,
    url: String,
    tenant: &'static str,
    /// The time of the last request, which no other may have.
    last_ms: i64,
}

impl Poster {
    fn new(http: String, tenant: &'static str) -> Self {
        Self {
            client: client(),
            url: format!("{http}/api/v1/write"),
            tenant,
            last_ms: 0,
        }
    }

    /// Sends the next sample of each series.
    async fn post(&mut self, series: &mut Encoder, count: usize, load: &mut Load) {
        self.last_ms = now_ms().unwrap_or(0).max(self.last_ms + 1);
        let Ok(body) = series.next(self.last_ms) else {
            return;
        };
        let request = self
            .client
            .post(&self.url)
            .header("Content-Encoding", "snappy")
            .header("Content-Type", "application/x-protobuf")
            .header("X-Scope-OrgID", self.tenant)
            .body(body);
        let begin = Instant::now();
        match request.send().await {
            Ok(answer) => {
                let written = answer
                    .headers()
                    .get("x-prometheus-remote-write-samples-written");
                let written = written.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
                load.rows += written.unwrap_or(0);
                load.note(Outcome::of_status(answer.status().as_u16()), begin);
                // Read to its end, so that the connection serves the next one.
                let _ = answer.bytes().await;
            }
            Err(_) => {
                load.rows_in_doubt += count as u64;
                load.note(Outcome::Unanswered, begin);
            }
        }
    }
}

/// One connection for OTLP.
pub(super) struct Sender {
    pub(super) address: String,
    pub(super) lane: u64,
    pub(super) start_ns: u64,
}

/// What a request was acknowledged with: how many rows were refused of it.
type Answer = Result<i64, tonic::Status>;

/// Sends one signal until `end`.
pub(super) async fn otlp(sender: Sender, signal: Signal, end: Instant) -> (&'static str, Load) {
    let kind = match signal {
        Signal::Metrics => POINTS,
        Signal::Traces => SPANS,
        Signal::Logs => LOGS,
    };
    let mut load = Load::default();
    let Ok(endpoint) = Endpoint::from_shared(sender.address.clone()) else {
        return (kind, load);
    };
    let channel = endpoint.timeout(PATIENCE).connect_lazy();
    let mut traffic = Traffic::new(sender.lane + 1, sender.start_ns);
    let mut number = 0;
    while Instant::now() < end {
        // Lanes have the same series, at times of their own.
        let time_ns = sender.start_ns + (number * 16 + sender.lane) * 1_000_000;
        number += 1;
        let begin;
        let (rows, answer) = match signal {
            Signal::Metrics => {
                let request = gauges(BATCH as u64, time_ns);
                begin = Instant::now();
                (BATCH, metrics(channel.clone(), request).await)
            }
            Signal::Traces => {
                let request = traffic.spans(BATCH);
                let groups = request.resource_spans.iter();
                let scopes = groups.flat_map(|group| &group.scope_spans);
                let rows = scopes.map(|scope| scope.spans.len()).sum();
                begin = Instant::now();
                (rows, traces(channel.clone(), request).await)
            }
            Signal::Logs => {
                let request = traffic.logs(BATCH);
                begin = Instant::now();
                (BATCH, logs(channel.clone(), request).await)
            }
        };
        note(&mut load, rows as u64, answer, begin);
    }
    (kind, load)
}

fn note(load: &mut Load, rows: u64, answer: Answer, begin: Instant) {
    let outcome = match answer {
        Ok(rejected) => {
            load.rows += rows.saturating_sub(rejected.unsigned_abs());
            Outcome::Accepted
        }
        Err(status) => Outcome::of_code(&status),
    };
    if outcome == Outcome::Unanswered {
        load.rows_in_doubt += rows;
    }
    load.note(outcome, begin);
}

async fn metrics(
    channel: Channel,
    request: demarc_proto::otlp::collector::metrics::v1::ExportMetricsServiceRequest,
) -> Answer {
    let request = of_busy(request);
    let answer = MetricsServiceClient::new(channel).export(request).await?;
    let partial = answer.into_inner().partial_success;
    Ok(partial.map_or(0, |partial| partial.rejected_data_points))
}

async fn traces(
    channel: Channel,
    request: demarc_proto::otlp::collector::trace::v1::ExportTraceServiceRequest,
) -> Answer {
    let request = of_busy(request);
    let answer = TraceServiceClient::new(channel).export(request).await?;
    let partial = answer.into_inner().partial_success;
    Ok(partial.map_or(0, |partial| partial.rejected_spans))
}

async fn logs(
    channel: Channel,
    request: demarc_proto::otlp::collector::logs::v1::ExportLogsServiceRequest,
) -> Answer {
    let request = of_busy(request);
    let answer = LogsServiceClient::new(channel).export(request).await?;
    let partial = answer.into_inner().partial_success;
    Ok(partial.map_or(0, |partial| partial.rejected_log_records))
}

fn of_busy<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    let tenant = tonic::metadata::MetadataValue::from_static(BUSY);
    request.metadata_mut().insert("x-scope-orgid", tenant);
    request
}
