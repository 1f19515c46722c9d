//! What the store counts about itself.

use std::sync::LazyLock;

use opentelemetry::metrics::{Counter, Histogram};

/// Rows appended, by table.
pub(crate) static ROWS: LazyLock<Counter<u64>> =
    LazyLock::new(|| counter("store_rows", "Rows appended"));

/// Groups of appends that the write-ahead log refused.
pub(crate) static WAL_ERRORS: LazyLock<Counter<u64>> = LazyLock::new(|| {
    counter(
        "store_wal_errors",
        "Writes of the write-ahead log that failed",
    )
});

/// Records of the write-ahead log that were found damaged and put aside.
pub(crate) static WAL_DAMAGED_RECORDS: LazyLock<Counter<u64>> = LazyLock::new(|| {
    counter(
        "store_wal_damaged_records",
        "Records of the write-ahead log put aside as damaged",
    )
});

/// Files of the store that were found damaged or missing, by kind and table.
pub(crate) static QUARANTINED: LazyLock<Counter<u64>> = LazyLock::new(|| {
    counter(
        "store_quarantined_files",
        "Files found damaged or missing and put aside",
    )
});

/// Flushes that failed and will be tried again.
pub(crate) static FLUSH_ERRORS: LazyLock<Counter<u64>> =
    LazyLock::new(|| counter("store_flush_errors", "Flushes that failed"));

/// Rounds of maintenance that failed and will be tried again.
pub(crate) static MAINTENANCE_ERRORS: LazyLock<Counter<u64>> = LazyLock::new(|| {
    counter(
        "store_maintenance_errors",
        "Rounds of maintenance that failed",
    )
});

/// Data files that were merged into larger ones.
pub(crate) static COMPACTED_FILES: LazyLock<Counter<u64>> = LazyLock::new(|| {
    counter(
        "store_compacted_files",
        "Data files merged into larger ones",
    )
});

/// Data files that were removed because their rows are older than is to be kept.
pub(crate) static EXPIRED_FILES: LazyLock<Counter<u64>> = LazyLock::new(|| {
    counter(
        "store_expired_files",
        "Data files removed at the end of their retention",
    )
});

/// How long a flush takes.
pub(crate) static FLUSH_SECONDS: LazyLock<Histogram<f64>> = LazyLock::new(|| {
    opentelemetry::global::meter("demarc")
        .f64_histogram("store_flush_seconds")
        .with_description("Time that a flush of the head takes")
        .build()
});

fn counter(name: &'static str, description: &'static str) -> Counter<u64> {
    opentelemetry::global::meter("demarc")
        .u64_counter(name)
        .with_description(description)
        .build()
}
