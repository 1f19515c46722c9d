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

static REPAIRED: LazyLock<Counter<u64>> = LazyLock::new(|| {
    let meter = opentelemetry::global::meter("demarc");
    meter
        .u64_counter("ingest_repaired_texts")
        .with_description("Texts of which bytes were replaced because they were not UTF-8")
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
    /// Texts of which bytes were replaced because they were not UTF-8.
    pub repaired: u64,
}

impl Receipt {
    /// How many rows were refused: `rejected_*` of an OTLP partial success.
    pub fn rejected_count(&self) -> i64 {
        let sum: u64 = self.rejected.iter().map(|r| r.count).sum();
        i64::try_from(sum).unwrap_or(i64::MAX)
    }

    /// Why, in words: `error_message` of an OTLP partial success; empty when nothing was refused.
    pub fn message(&self) -> String {
        let mut text = message(&self.rejected);
        if self.repaired > 0 {
            let separator = if text.is_empty() { "" } else { "; " };
            let what = "texts were not UTF-8: each bad byte is stored as \"?\"";
            text.push_str(&format!("{separator}{} {what}", self.repaired));
        }
        text
    }

    /// Whether the sender must be told of anything.
    pub fn is_partial(&self) -> bool {
        !self.rejected.is_empty() || self.repaired > 0
    }

    pub(crate) fn count(&self, signal: Signal) {
        count(signal, self.accepted, &self.rejected);
        if self.repaired > 0 {
            REPAIRED.add(self.repaired, &[KeyValue::new("signal", signal.as_str())]);
        }
    }
}

/// Adds to the counters of rows.
pub(crate) fn count(signal: Signal, accepted: u64, rejected: &[Rejected]) {
    let kind = KeyValue::new("signal", signal.as_str());
    ROWS.add(accepted, std::slice::from_ref(&kind));
    for rejected in rejected {
        let attributes = [kind.clone(), KeyValue::new("reason", rejected.reason)];
        REJECTED.add(rejected.count, &attributes);
    }
}

/// Why rows were refused, in words.
pub(crate) fn message(rejected: &[Rejected]) -> String {
    let parts: Vec<String> = rejected
        .iter()
        .map(|r| format!("{} rejected: {}", r.count, r.example))
        .collect();
    parts.join("; ")
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
            repaired: 0,
        }
    }
}
