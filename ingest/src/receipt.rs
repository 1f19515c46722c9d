//! What became of a request's rows.

use std::{collections::BTreeMap, sync::LazyLock};

use opentelemetry::{KeyValue, metrics::Counter};

use crate::Signal;

static ROWS: LazyLock<Counter<u64>> = LazyLock::new(|| {
    let meter = opentelemetry::global::meter("demarc");
    meter
        .u64_counter("ingest_rows")
        .with_description("Rows accepted")
        .build()
});

static REJECTED: LazyLock<Counter<u64>> = LazyLock::new(|| {
    let meter = opentelemetry::global::meter("demarc");
    meter
        .u64_counter("ingest_rejected_rows")
        .with_description("Rows rejected, by reason")
        .build()
});

/// Rows that were refused for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// How many.
    pub count: u64,
    /// Short name of the reason, as counted in `ingest_rejected_rows_total`.
    pub reason: &'static str,
    /// The first of them: field, value, and what would be right.
    pub example: String,
}

/// What became of a request's rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Rows that are durable.
    pub accepted: u64,
    /// Rows that are not, by reason.
    pub rejected: Vec<Rejected>,
}

impl Receipt {
    /// How many rows were refused: `rejected_*` of an OTLP partial success.
    pub fn rejected_count(&self) -> i64 {
        let sum: u64 = self.rejected.iter().map(|r| r.count).sum();
        i64::try_from(sum).unwrap_or(i64::MAX)
    }

    /// Why, in words: `error_message` of an OTLP partial success; empty when nothing was refused.
    pub fn message(&self) -> String {
        let parts: Vec<String> = self
            .rejected
            .iter()
            .map(|r| format!("{} rejected: {}", r.count, r.example))
            .collect();
        parts.join("; ")
    }

    pub(crate) fn count(&self, signal: Signal) {
        let kind = KeyValue::new("signal", signal.as_str());
        ROWS.add(self.accepted, std::slice::from_ref(&kind));
        for rejected in &self.rejected {
            let attributes = [kind.clone(), KeyValue::new("reason", rejected.reason)];
            REJECTED.add(rejected.count, &attributes);
        }
    }
}

/// One row that is refused: the reason's name, and the sentence for the sender.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) reason: &'static str,
    pub(crate) example: String,
}

impl Refusal {
    pub(crate) fn new(reason: &'static str, example: String) -> Self {
        Self { reason, example }
    }
}

/// Collects refusals while a request is converted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    accepted: u64,
    rejected: BTreeMap<&'static str, (u64, String)>,
}

impl Tally {
    pub(crate) fn accept(&mut self, rows: u64) {
        self.accepted += rows;
    }

    pub(crate) fn refuse(&mut self, refusal: Refusal) {
        self.refuse_all(refusal, 1);
    }

    /// Refuses that many rows for one reason.
    pub(crate) fn refuse_all(&mut self, refusal: Refusal, rows: usize) {
        if rows == 0 {
            return;
        }
        let entry = self
            .rejected
            .entry(refusal.reason)
            .or_insert((0, refusal.example));
        entry.0 += rows as u64;
    }

    pub(crate) fn into_receipt(self) -> Receipt {
        let rejected = self
            .rejected
            .into_iter()
            .map(|(reason, (count, example))| Rejected {
                count,
                reason,
                example,
            })
            .collect();
        Receipt {
            accepted: self.accepted,
            rejected,
        }
    }
}
