//! Dropping what is older than a tenant wants to keep, and all that a tenant has.

use std::collections::BTreeMap;

use demarc_proto::{Nanos, TenantId};

use super::{Maintenance, downsample::by_day};
use crate::{
    Resolution, StoreError, Table,
    day::Day,
    delta::{Edit, Files},
    flush::Flusher,
    metric,
};

/// For how many days rows are kept, by signal; 0 for ever. The day of a row is that of its own time.
///
/// By default nothing is deleted that nobody said may be: laws ask for different times (network logs for six months at least by
/// article 21 of the Cybersecurity Law of the People's Republic of China).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Samples, histograms and exemplars.
    pub metrics_days: u32,
    /// Samples in windows of five minutes; at least as long as the samples themselves.
    pub metrics_5m_days: u32,
    /// Samples in windows of an hour; at least as long as the samples themselves.
    pub metrics_1h_days: u32,
    /// Spans.
    pub traces_days: u32,
    /// Logs.
    pub logs_days: u32,
    /// Entities, relations and changes, by the beginning of their validity.
    pub topology_days: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self::FOREVER
    }
}

/// What a tenant wants otherwise than the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TenantRetention {
    /// As [`Retention::metrics_days`].
    pub metrics_days: Option<u32>,
    /// As [`Retention::metrics_5m_days`].
    pub metrics_5m_days: Option<u32>,
    /// As [`Retention::metrics_1h_days`].
    pub metrics_1h_days: Option<u32>,
    /// As [`Retention::traces_days`].
    pub traces_days: Option<u32>,
    /// As [`Retention::logs_days`].
    pub logs_days: Option<u32>,
    /// As [`Retention::topology_days`].
    pub topology_days: Option<u32>,
}

/// From when on rows are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// What is older is deleted.
    pub from: Nanos,
    /// The setting that says so.
    pub by: &'static str,
}

impl Retention {
    /// Everything is kept for ever.
    pub const FOREVER: Self = Self {
        metrics_days: 0,
        metrics_5m_days: 0,
        metrics_1h_days: 0,
        traces_days: 0,
        logs_days: 0,
        topology_days: 0,
    };

    /// From when on rows of a table are kept at the time `now`; `None` when all are.
    pub(crate) fn kept(self, table: Table, now: Nanos) -> Option<Kept> {
        let first = self.first_day(table, Day::of_millis(now.to_millis()))?;
        Some(Kept {
            from: first.start().to_nanos(),
            by: match table {
                Table::Spans => "store.retention.traces_days",
                Table::Logs => "store.retention.logs_days",
                Table::Entities | Table::Relations | Table::Changes => {
                    "store.retention.topology_days"
                }
                _ => "store.retention.metrics_days",
            },
        })
    }

    /// The same with what a tenant wants otherwise.
    pub(crate) fn with(self, tenant: TenantRetention) -> Self {
        Self {
            metrics_days: tenant.metrics_days.unwrap_or(self.metrics_days),
            metrics_5m_days: tenant.metrics_5m_days.unwrap_or(self.metrics_5m_days),
            metrics_1h_days: tenant.metrics_1h_days.unwrap_or(self.metrics_1h_days),
            traces_days: tenant.traces_days.unwrap_or(self.traces_days),
            logs_days: tenant.logs_days.unwrap_or(self.logs_days),
            topology_days: tenant.topology_days.unwrap_or(self.topology_days),
        }
    }

    /// The same where samples are not put into windows: what there is of those goes with the samples.
    pub(crate) fn without_windows(self) -> Self {
        Self {
            metrics_5m_days: self.metrics_days,
            metrics_1h_days: self.metrics_days,
            ..self
        }
    }

    /// The first day that is kept of a table; `None` when all are.
    pub(super) fn first_day(self, table: Table, today: Day) -> Option<Day> {
        let samples = self.metrics_days;
        let five_minutes = longer(samples, self.metrics_5m_days);
        let hours = longer(samples, self.metrics_1h_days);
        let days = match table {
            Table::Spans => self.traces_days,
            Table::Logs => self.logs_days,
            Table::Entities | Table::Relations | Table::Changes => self.topology_days,
            Table::Samples | Table::Histograms | Table::Exemplars => samples,
            Table::Samples5m => five_minutes,
            Table::Samples1h => hours,
            Table::Series => longer(five_minutes, hours),
        };
        (days > 0).then(|| today.minus(days))
    }
}

/// The longer of two retentions, of which 0 is for ever.
fn longer(a: u32, b: u32) -> u32 {
    if a == 0 || b == 0 { 0 } else { a.max(b) }
}

impl Maintenance {
    /// Takes expired files out of their tables.
    pub(super) async fn expire(&self) -> Result<(), StoreError> {
        let today = Day::of_millis(self.clock.now().to_millis());
        let mut outcome = Ok(());
        for table in Table::ALL {
            outcome = outcome.and(self.expire_table(table, today).await);
        }
        outcome
    }

    async fn expire_table(&self, table: Table, today: Day) -> Result<(), StoreError> {
        let mut flusher = self.flusher.lock().await;
        let mut first_days: BTreeMap<TenantId, Option<Day>> = BTreeMap::new();
        let mut expired = flusher.log(table).files();
        expired.retain(|(tenant, file)| {
            let first = first_days.entry(tenant.clone()).or_insert_with(|| {
                let retention = self.config.retention_of(tenant);
                let first = retention.first_day(table, today);
                // What was taken in the last moments of its time has to be in a file before its day is put into windows.
                let waits = table == Table::Samples && self.config.downsample_after().is_some();
                first.map(|first| first.minus(u32::from(waits)))
            });
            // Dates of one form compare as text.
            first.is_some_and(|first| file.date < first.date())
        });
        if table == Table::Samples && self.config.downsample_after().is_some() {
            expired = self.downsampled(&flusher, expired);
        }
        if expired.is_empty() {
            return Ok(());
        }
        flusher.edit(table, Edit::Remove(&expired)).await?;
        if table == Table::Series {
            for (tenant, first) in first_days {
                if let Some(first) = first {
                    self.head.index(&tenant).forget_days(|day| day < first);
                }
            }
        }
        metric::EXPIRED_FILES.add(expired.len() as u64, &[]);
        Ok(())
    }

    /// Those of `samples`, whole days, whose windows are written.
    fn downsampled(&self, flusher: &Flusher, samples: Files) -> Files {
        let windows = Resolution::ALL.map(|one| (one, by_day(flusher.log(one.table()).files())));
        let windows = BTreeMap::from(windows);
        let mut kept = Files::new();
        for ((tenant, date), files) in by_day(samples) {
            if self.is_downsampled((&tenant, &date), &files, &windows) {
                kept.extend(files.into_iter().map(|file| (tenant.clone(), file)));
            }
        }
        kept
    }

    /// Removes all files of a tenant, which has no other rows, from all tables and from the disk; those that a reader still lists
    /// go once it is done.
    pub(crate) async fn delete_tenant(&self, tenant: &TenantId) -> Result<u64, StoreError> {
        let mut rows = 0;
        for table in Table::ALL {
            let mut flusher = self.flusher.lock().await;
            let mut files: Files = flusher.log(table).files();
            files.retain(|(owner, _)| owner == tenant);
            if !files.is_empty() {
                flusher.edit(table, Edit::Remove(&files)).await?;
            }
            rows += files.iter().map(|(_, file)| file.rows).sum::<u64>();
            // Each entry of the list would keep its file.
            drop(files);
            // Also those that were merged into others a moment ago: they hold the same rows.
            flusher.log_mut(table).vacuum_tenant(tenant).await?;
        }
        self.head.forget_series(tenant);
        self.quarantine.forget(tenant)?;
        self.integrity.forget_losses(tenant);
        Ok(rows)
    }
}
