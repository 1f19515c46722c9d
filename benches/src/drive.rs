//! Sends requests over a few connections and takes the time of each.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use anyhow::ensure;

/// How a run went.
#[derive(Debug)]
pub(crate) struct Run {
    /// From the first request to the last answer.
    pub(crate) wall: Duration,
    /// Of each request, sorted.
    latencies: Vec<Duration>,
}

impl Run {
    /// Answers a second.
    pub(crate) fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.wall.as_secs_f64()
    }

    /// The latency that `share` (0 to 1) of the requests stay below, in milliseconds.
    pub(crate) fn quantile_ms(&self, share: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let at = (last as f64 * share).round() as usize;
        let latency = self.latencies.get(at).copied().unwrap_or_default();
        latency.as_secs_f64() * 1000.0
    }
}

/// Runs all lanes at once; each returns the latencies of its own requests.
pub(crate) async fn lanes<F>(lanes: impl IntoIterator<Item = F>) -> anyhow::Result<Run>
where
    F: Future<Output = anyhow::Result<Vec<Duration>>> + Send + 'static,
{
    let begin = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for lane in lanes {
        tasks.spawn(lane);
    }
    let mut latencies = Vec::new();
    while let Some(done) = tasks.join_next().await {
        latencies.extend(done??);
    }
    let wall = begin.elapsed();
    latencies.sort_unstable();
    Ok(Run { wall, latencies })
}

/// Posts remote-write bodies in their order over one connection.
pub(crate) async fn remote_write(
    base: String,
    bodies: impl Iterator<Item = anyhow::Result<Vec<u8>>> + Send,
) -> anyhow::Result<Vec<Duration>> {
    let url = format!("{base}/api/v1/write");
    let client = reqwest::Client::new();
    let mut latencies = Vec::new();
    for body in bodies {
        let body = body?;
        let begin = Instant::now();
        let answer = client
            .post(&url)
            .header("Content-Encoding", "snappy")
            .header("Content-Type", "application/x-protobuf")
            .header("X-Prometheus-Remote-Write-Version", "0.1.0")
            .body(body)
            .send()
            .await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{url} answers {status}: {text}");
        latencies.push(begin.elapsed());
    }
    Ok(latencies)
}
