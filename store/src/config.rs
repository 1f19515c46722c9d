//! Settings of the store.

use std::{collections::BTreeMap, time::Duration};

use demarc_proto::TenantId;

use crate::{Retention, TenantRetention};

/// How much the store holds in memory and when it writes files.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// Rows held in memory, over all tables and tenants, before they are written to Parquet files.
    pub flush_rows: usize,
    /// Memory that rows may take, over all tables and tenants, before they are written to Parquet files.
    pub flush_bytes: usize,
    /// Memory that samples may take, over all tenants, that stay there after they were written to Parquet files: queries of the
    /// newest samples read no file.
    pub recent_bytes: usize,
    /// Memory that row groups of samples may take, over all tenants, that queries have read from files: queries that ask for them
    /// again decode nothing.
    pub decoded_bytes: usize,
    /// Longest time that rows stay in memory only (they are in the write-ahead log all the while), in seconds.
    pub flush_interval_seconds: u64,
    /// Size at which the write-ahead log begins a new segment, in bytes.
    pub wal_segment_bytes: u64,
    /// Appends that may wait for the write-ahead log before senders have to wait themselves.
    pub wal_queue_appends: usize,
    /// Commits of one table between two checkpoints of its Delta log.
    pub checkpoint_commits: u64,
    /// Time between two rounds of maintenance, in seconds: damaged files are put aside, small ones
    /// merged, expired ones removed, removed ones deleted.
    pub maintenance_interval_seconds: u64,
    /// How long a removed data file stays on disk for those who still read it, in seconds.
    pub delete_grace_seconds: u64,
    /// Size that merged data files have at most, in bytes.
    pub compact_target_bytes: u64,
    /// Small files of a day that is not over that are merged at once, at least; those of a day that is over are merged as soon
    /// as there are two.
    pub compact_min_files: usize,
    /// Age in days from which samples are also put into windows of five minutes and of an hour, which are kept for longer and
    /// answer what asks for whole windows; at least 1, 0 for never.
    pub downsample_after_days: u32,
    /// For how long rows are kept.
    pub retention: Retention,
    /// For how long those of single tenants are kept, where that is otherwise.
    pub tenant_retention: BTreeMap<String, TenantRetention>,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            flush_rows: 1 << 20,
            flush_bytes: 256 << 20,
            recent_bytes: 384 << 20,
            decoded_bytes: 128 << 20,
            flush_interval_seconds: 120,
            wal_segment_bytes: 64 << 20,
            wal_queue_appends: 1024,
            checkpoint_commits: 50,
            maintenance_interval_seconds: 60,
            delete_grace_seconds: 3600,
            compact_target_bytes: 128 << 20,
            compact_min_files: 8,
            downsample_after_days: 2,
            retention: Retention::default(),
            tenant_retention: BTreeMap::new(),
        }
    }
}

impl StoreConfig {
    pub(crate) fn flush_interval(&self) -> Duration {
        Duration::from_secs(self.flush_interval_seconds.max(1))
    }

    /// A sentence about what is wrong, naming the setting and what would be right.
    pub fn validate(&self) -> Result<(), String> {
        for tenant in self.tenant_retention.keys() {
            TenantId::new(tenant.clone())
                .map_err(|error| format!("tenant_retention.{tenant}: {error}"))?;
        }
        Ok(())
    }

    pub(crate) fn retention_of(&self, tenant: &TenantId) -> Retention {
        let own = self.tenant_retention.get(tenant.as_str());
        let retention = self.retention.with(own.copied().unwrap_or_default());
        if self.downsample_after().is_none() {
            return retention.without_windows();
        }
        retention
    }

    /// The age in days from which samples are put into windows; `None` for never.
    pub(crate) fn downsample_after(&self) -> Option<u32> {
        (self.downsample_after_days > 0).then_some(self.downsample_after_days)
    }

    pub(crate) fn delete_grace(&self) -> Duration {
        Duration::from_secs(self.delete_grace_seconds)
    }
}
