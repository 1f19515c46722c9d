//! What the engine counts about itself.

use std::{sync::LazyLock, time::Duration};

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram, UpDownCounter},
};

use crate::QueryError;

static QUERIES: LazyLock<Counter<u64>> = LazyLock::new(|| {
    opentelemetry::global::meter("demarc")
        .u64_counter("query_queries")
        .with_description("Queries that ended")
        .build()
});

static RUNNING: LazyLock<UpDownCounter<i64>> = LazyLock::new(|| {
    opentelemetry::global::meter("demarc")
        .i64_up_down_counter("query_running")
        .with_description("Queries that wait or run")
        .build()
});

/// Upper bounds of the histogram's buckets, in seconds.
const BOUNDS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0,
];

static SECONDS: LazyLock<Histogram<f64>> = LazyLock::new(|| {
    opentelemetry::global::meter("demarc")
        .f64_histogram("query_seconds")
        .with_description("Time from a query to its answer")
        .with_boundaries(BOUNDS.to_vec())
        .build()
});

/// One query between its question and its end.
#[derive(Debug)]
pub(crate) struct Running {
    kind: &'static str,
}

impl Running {
    pub(crate) fn start(kind: &'static str) -> Self {
        RUNNING.add(1, &[]);
        Self { kind }
    }

    /// Counts how it ended.
    pub(crate) fn end(self, fault: Option<&QueryError>, took: Duration) {
        let kind = KeyValue::new("kind", self.kind);
        SECONDS.record(took.as_secs_f64(), std::slice::from_ref(&kind));
        let outcome = fault.map_or("success", QueryError::kind);
        QUERIES.add(1, &[kind, KeyValue::new("outcome", outcome)]);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.add(-1, &[]);
    }
}
