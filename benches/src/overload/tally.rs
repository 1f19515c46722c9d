//! What became of requests, by kind.

use std::time::{Duration, Instant};

use super::Loads;
use crate::table;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// As it was meant.
    Accepted,
    /// Not now: 429, 503 and their like of gRPC.
    Refused,
    /// The request itself is at fault: 4xx.
    Faulty,
    /// The server is at fault: the other 5xx.
    Failed,
    /// There was no answer.
    Unanswered,
}

impl Outcome {
    pub(super) fn of_status(status: u16) -> Self {
        match status {
            200..300 => Self::Accepted,
            429 | 503 => Self::Refused,
            500.. => Self::Failed,
            _ => Self::Faulty,
        }
    }

    pub(super) fn of_code(status: &tonic::Status) -> Self {
        use tonic::Code;
        match status.code() {
            // The transport says so itself, without having heard of the server in time.
            _ if std::error::Error::source(status).is_some() => Self::Unanswered,
            Code::Cancelled => Self::Unanswered,
            Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded => Self::Refused,
            Code::Internal | Code::Unknown | Code::DataLoss => Self::Failed,
            _ => Self::Faulty,
        }
    }
}

/// Requests of one kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Load {
    /// By [`Outcome`].
    counts: [u64; 5],
    /// Of those that were accepted.
    latencies: Vec<Duration>,
    /// Rows that were acknowledged.
    pub(super) rows: u64,
    /// Rows of requests without an answer.
    pub(super) rows_in_doubt: u64,
}

impl Load {
    /// Notes a request that was sent at `begin` and has ended now.
    pub(super) fn note(&mut self, outcome: Outcome, begin: Instant) {
        self.counts[outcome as usize] += 1;
        if outcome == Outcome::Accepted {
            self.latencies.push(begin.elapsed());
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.latencies.extend(other.latencies);
        self.rows += other.rows;
        self.rows_in_doubt += other.rows_in_doubt;
    }

    /// How many requests were accepted.
    pub(super) fn answered(&self) -> u64 {
        self.counts[Outcome::Accepted as usize]
    }

    fn cells(&self, kind: &str) -> Vec<String> {
        let all: u64 = self.counts.iter().sum();
        let failed = self.counts[Outcome::Failed as usize];
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let mut cells = vec![kind.to_owned(), all.to_string()];
        cells.extend(self.counts.iter().map(u64::to_string));
        cells.push(format!("{:.3}", 100.0 * failed as f64 / all.max(1) as f64));
        cells.push(quantile_ms(&sorted, 0.5));
        cells.push(quantile_ms(&sorted, 0.99));
        cells.push(self.rows.to_string());
        cells
    }
}

fn quantile_ms(sorted: &[Duration], share: f64) -> String {
    let last = sorted.len().saturating_sub(1);
    match sorted.get((last as f64 * share).round() as usize) {
        Some(latency) => format!("{:.1}", latency.as_secs_f64() * 1000.0),
        None => "-".to_owned(),
    }
}

/// Prints a row for each kind.
pub(super) fn print(loads: &Loads) {
    let heading = [
        "what",
        "requests",
        "accepted",
        "refused (429, 503)",
        "faulty (4xx)",
        "failed (other 5xx)",
        "no answer",
        "failed %",
        "p50 ms",
        "p99 ms",
        "rows",
    ];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(loads.iter().map(|(kind, load)| load.cells(kind)));
    table::print(&rows);
}
