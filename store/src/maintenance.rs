//! What has to be done to files from time to time, beside writing them: damaged ones are put aside, old samples put into windows,
//! small files merged, expired ones removed, removed ones deleted.

mod compact;
mod downsample;
mod merge;
mod plan;
mod retention;

use std::{sync::Arc, time::Duration};

use demarc_proto::Clock;
use tokio::sync::Mutex as AsyncMutex;

use crate::{
    StoreConfig, StoreError, Table,
    delta::{Edit, Files},
    flush::Flusher,
    head::Head,
    integrity::{Integrity, Suspect},
    quarantine::{Damage, DamageKind, Quarantine},
};

pub(crate) use self::downsample::covers;
pub use self::retention::{Kept, Retention, TenantRetention};

/// What maintenance needs; one round at a time.
#[derive(Debug)]
pub(crate) struct Maintenance {
    /// Settings.
    pub(crate) config: StoreConfig,
    /// Tells which day is today.
    pub(crate) clock: Arc<dyn Clock>,
    /// Holds the series.
    pub(crate) head: Arc<Head>,
    /// Holds the tables' logs.
    pub(crate) flusher: Arc<AsyncMutex<Flusher>>,
    /// Finds damaged files.
    pub(crate) integrity: Arc<Integrity>,
    /// Takes damaged files.
    pub(crate) quarantine: Arc<Quarantine>,
}

impl Maintenance {
    /// One round. What fails does not keep the rest from being done; the first error is returned.
    pub(crate) async fn run(&self) -> Result<(), StoreError> {
        let quarantined = self.put_suspects_aside().await;
        // Before what they are made of expires.
        let downsampled = self.downsample().await;
        let expired = self.expire().await;
        let compacted = self.compact().await;
        let vacuumed = self.vacuum().await;
        quarantined
            .and(downsampled)
            .and(expired)
            .and(compacted)
            .and(vacuumed)
    }

    /// Takes damaged files out of their tables.
    pub(crate) async fn put_suspects_aside(&self) -> Result<(), StoreError> {
        let mut outcome = Ok(());
        for suspect in self.integrity.take_suspects() {
            let done = self.put_aside(&suspect).await;
            if done.is_err() {
                self.integrity.report(suspect);
            }
            outcome = outcome.and(done);
        }
        outcome
    }

    async fn put_aside(&self, suspect: &Suspect) -> Result<(), StoreError> {
        let Suspect {
            table,
            tenant,
            file,
            reason,
        } = suspect;
        let removed: Files = vec![(tenant.clone(), file.clone())];
        let mut flusher = self.flusher.lock().await;
        if !flusher.log(*table).has_all(&removed) {
            return Ok(());
        }
        flusher.edit(*table, Edit::Remove(&removed)).await?;
        let damage = Damage {
            tenant: Some(tenant.to_string()),
            date: Some(file.date.clone()),
            rows_lost: Some(file.rows),
            ..Damage::new(DamageKind::DataFile, &file.path, reason.as_str())
        };
        self.quarantine.put(damage.of_table(*table))
    }

    async fn vacuum(&self) -> Result<(), StoreError> {
        let grace = self.config.delete_grace();
        let mut flusher = self.flusher.lock().await;
        let mut outcome = Ok(());
        for table in Table::ALL {
            let vacuumed = flusher.log_mut(table).vacuum(grace).map(drop);
            outcome = outcome.and(vacuumed);
        }
        self.integrity.forget_all_but(|path| path.exists());
        outcome
    }
}

/// How long to wait before the next round when nothing calls for one earlier.
pub(crate) fn interval(config: &StoreConfig) -> Duration {
    Duration::from_secs(config.maintenance_interval_seconds.max(1))
}
