//! Settings of the store.

use std::time::Duration;

/// How much the store holds in memory and when it writes files.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// Rows held in memory, over all tables and tenants, before they are written to Parquet files.
    pub flush_rows: usize,
    /// Memory that rows may take, over all tables and tenants, before they are written to Parquet files.
    pub flush_bytes: usize,
    /// Longest time that rows stay in memory only (they are in the write-ahead log all the while), in seconds.
    pub flush_interval_seconds: u64,
    /// Size at which the write-ahead log begins a new segment, in bytes.
    pub wal_segment_bytes: u64,
    /// Appends that may wait for the write-ahead log before senders have to wait themselves.
    pub wal_queue_appends: usize,
    /// Commits of one table between two checkpoints of its Delta log.
    pub checkpoint_commits: u64,
    /// Time between two rounds of maintenance, in seconds: damaged files are put aside, removed ones deleted.
    pub maintenance_interval_seconds: u64,
    /// How long a removed data file stays on disk for those who still read it, in seconds.
    pub delete_grace_seconds: u64,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            flush_rows: 1 << 20,
            flush_bytes: 256 << 20,
            flush_interval_seconds: 120,
            wal_segment_bytes: 64 << 20,
            wal_queue_appends: 1024,
            checkpoint_commits: 50,
            maintenance_interval_seconds: 60,
            delete_grace_seconds: 3600,
        }
    }
}

impl StoreConfig {
    pub(crate) fn flush_interval(&self) -> Duration {
        Duration::from_secs(self.flush_interval_seconds.max(1))
    }

    pub(crate) fn delete_grace(&self) -> Duration {
        Duration::from_secs(self.delete_grace_seconds)
    }
}
