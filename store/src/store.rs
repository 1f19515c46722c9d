//! The store itself.

mod open;

pub(crate) use open::DirLock;

use std::{borrow::Borrow, path::Path, sync::Arc, thread::JoinHandle, time::Duration};

use demarc_proto::{Clock, Nanos, TenantId};
use parking_lot::Mutex;
use tokio::{
    sync::{Mutex as AsyncMutex, Notify, mpsc, oneshot},
    task::AbortHandle,
};

use crate::{
    Columns, Damage, Kept, Rows, SeriesIndex, Snapshot, StoreConfig, StoreError, Table,
    flush::Flusher,
    head::Head,
    integrity::Integrity,
    maintenance::{self, Maintenance},
    metric,
    quarantine::Quarantine,
    rows::encode,
    wal::{Append, Command, Content, Payload},
};

/// First pause after a failed flush; it doubles up to the flush interval.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// All tables of all tenants in one directory.
#[derive(Debug)]
pub struct Store {
    config: StoreConfig,
    head: Arc<Head>,
    /// `None` once closed.
    commands: Mutex<Option<mpsc::Sender<Command>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    flusher: Arc<AsyncMutex<Flusher>>,
    full: Arc<Notify>,
    maintenance: Arc<AsyncMutex<Maintenance>>,
    quarantine: Arc<Quarantine>,
    tasks: Mutex<Vec<AbortHandle>>,
}

impl Store {
    /// Opens the store in `dir`, which is created when absent: recovers what a crash left, then starts the tasks that
    /// write. Must be called within a Tokio runtime that has its timer enabled.
    #[tracing::instrument(skip_all, err)]
    pub async fn open(
        dir: &Path,
        config: StoreConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, StoreError> {
        let store = Arc::new(open::open(dir, config, clock).await?);
        let integrity = store.maintenance.lock().await.integrity.clone();
        let (weak, full) = (Arc::downgrade(&store), store.full.clone());
        let flushing = tokio::spawn(flush_regularly(weak, full, integrity.clone()));
        let maintaining = tokio::spawn(maintain_regularly(Arc::downgrade(&store), integrity));
        *store.tasks.lock() = vec![flushing.abort_handle(), maintaining.abort_handle()];
        Ok(store)
    }

    /// Appends `rows`, all or nothing. Returns once they are on disk and every later snapshot shows them.
    #[tracing::instrument(skip_all, err(level = "debug"), fields(%tenant, rows = rows.borrow().len()))]
    pub async fn append(
        &self,
        tenant: &TenantId,
        rows: impl Borrow<Rows>,
    ) -> Result<(), StoreError> {
        self.append_columns(tenant, Columns::default(), rows).await
    }

    /// As [`Store::append`], with rows that are columns already.
    pub async fn append_columns(
        &self,
        tenant: &TenantId,
        columns: impl Into<Columns>,
        rows: impl Borrow<Rows>,
    ) -> Result<(), StoreError> {
        let (columns, rows) = (columns.into(), rows.borrow());
        let commands = self.commands.lock().clone().ok_or(StoreError::Closed)?;
        if rows.is_empty() && columns.is_empty() {
            return Ok(());
        }
        if self.head.is_overfull() {
            self.full.notify_one();
            return Err(StoreError::Overfull);
        }
        let _open = self.head.gate(tenant).read_owned().await;
        let index = self.head.index(tenant);
        let rows = encode(&index, tenant, columns, rows)?;
        let batches = rows.batches.iter();
        let payloads: Result<Vec<_>, _> = batches
            .map(|(table, batch)| Payload::new(*table, batch))
            .collect();
        let mut payloads = payloads?;
        if !rows.samples.is_empty() {
            payloads.push(Payload::of_samples(&rows.samples, &index));
        }
        let (done, outcome) = oneshot::channel();
        let content = Content {
            tenant: tenant.clone(),
            index,
            rows,
            payloads,
        };
        let append = Append { content, done };
        let sent = commands.send(Command::Append(Box::new(append))).await;
        sent.map_err(|_| self.ended())?;
        outcome.await.map_err(|_| self.ended())?
    }

    /// From when on rows of `table` are kept at the time `now`, by what is set for `tenant`; `None` when all are. What is older
    /// is not to be appended: it would be deleted the next moment.
    pub fn kept(&self, tenant: &TenantId, table: Table, now: Nanos) -> Option<Kept> {
        self.config.retention_of(tenant).kept(table, now)
    }

    /// The series of `tenant`, to which new ones may be added.
    pub fn series(&self, tenant: &TenantId) -> Arc<SeriesIndex> {
        self.head.index(tenant)
    }

    /// What there is of `tenant` now. An unknown tenant has empty tables.
    pub fn snapshot(&self, tenant: &TenantId) -> Snapshot {
        self.head.snapshot(tenant)
    }

    /// Whether rows can be appended, as far as is known: an error says why not.
    pub fn check(&self) -> Result<(), StoreError> {
        let is_writing = self.writer.lock().as_ref().is_some_and(is_running);
        if is_writing {
            Ok(())
        } else {
            Err(self.ended())
        }
    }

    /// Why nobody takes commands any more.
    fn ended(&self) -> StoreError {
        if self.commands.lock().is_some() {
            StoreError::WriterDied
        } else {
            StoreError::Closed
        }
    }

    /// The tenants that have rows, sorted.
    pub fn tenants(&self) -> Vec<TenantId> {
        self.head.tenants()
    }

    /// Writes the head into files and commits them. On failure the rows stay where they are and the next flush tries again.
    #[tracing::instrument(skip_all, err)]
    pub async fn flush(&self) -> Result<(), StoreError> {
        let commands = self.commands.lock().clone().ok_or(StoreError::Closed)?;
        self.flush_by(&commands).await
    }

    /// Deletes all rows and series that `tenant` has, in memory and on disk. Returns how many rows. What is appended meanwhile waits
    /// until it is over. When it fails it has to be called again.
    #[tracing::instrument(skip_all, err, fields(%tenant))]
    pub async fn delete_tenant(&self, tenant: &TenantId) -> Result<u64, StoreError> {
        let closed = self.head.gate(tenant).write_owned().await;
        // Rows in memory and in the write-ahead log become files first, and the log's segments go.
        self.flush().await?;
        let maintenance = self.maintenance.clone().lock_owned().await;
        let tenant = tenant.clone();
        let task = tokio::spawn(async move {
            let _closed = closed;
            maintenance.delete_tenant(&tenant).await
        });
        task.await.map_err(StoreError::task).flatten()
    }

    /// One round of what is done from time to time anyway: damaged files are put aside, small ones merged, expired ones
    /// removed, removed ones deleted.
    #[tracing::instrument(skip_all, err)]
    pub async fn maintain(&self) -> Result<(), StoreError> {
        let maintenance = self.maintenance.clone().lock_owned().await;
        // In a task of its own, for the same reason as a flush.
        let task = tokio::spawn(async move { maintenance.run().await });
        task.await.map_err(StoreError::task).flatten()
    }

    /// What was found damaged or missing since the directory was made, oldest first.
    pub fn damage(&self) -> Vec<Damage> {
        self.quarantine.found()
    }

    /// Refuses new appends, finishes those under way, flushes and stops the tasks. Closing again does nothing. Rows that
    /// could not be flushed are in the write-ahead log and come back at the next start.
    #[tracing::instrument(skip_all, err)]
    pub async fn close(&self) -> Result<(), StoreError> {
        let Some(commands) = self.commands.lock().take() else {
            return Ok(());
        };
        // Waits for a flush under way, so that aborting its task interrupts nothing.
        let flushed = self.flush_by(&commands).await;
        // The same of a round of maintenance.
        let _maintenance = self.maintenance.lock().await;
        for task in self.tasks.lock().drain(..) {
            task.abort();
        }
        drop(commands);
        let writer = self.writer.lock().take();
        if let Some(writer) = writer {
            let joined = tokio::task::spawn_blocking(move || writer.join()).await;
            joined
                .map_err(StoreError::task)?
                .map_err(|_| StoreError::Task {
                    reason: "the writer of the write-ahead log panicked".to_owned(),
                })?;
        }
        flushed
    }

    /// Flushes in a task of its own: a caller that gives up must not leave a commit half noted.
    async fn flush_by(&self, commands: &mpsc::Sender<Command>) -> Result<(), StoreError> {
        let (flusher, commands) = (self.flusher.clone(), commands.clone());
        let task = tokio::spawn(async move { flusher.lock().await.flush(&commands).await });
        let flushed = task.await.map_err(StoreError::task).flatten();
        if flushed.is_err() {
            metric::FLUSH_ERRORS.add(1, &[]);
        }
        flushed.map_err(|error| match error {
            StoreError::Closed => self.ended(),
            other => other,
        })
    }
}

fn is_running(writer: &JoinHandle<()>) -> bool {
    !writer.is_finished()
}

impl Drop for Store {
    /// Ends the tasks of a store that was not closed, before the directory is given free.
    fn drop(&mut self) {
        for task in self.tasks.get_mut().drain(..) {
            task.abort();
        }
        // Told explicitly: a flush whose caller gave up may still hold a sender. The queue has room, for appends hold a
        // reference to the store.
        let stopped = match self.commands.get_mut().take() {
            Some(commands) => commands.try_send(Command::Stop).is_ok(),
            None => true,
        };
        if let (true, Some(writer)) = (stopped, self.writer.get_mut().take()) {
            // It has said why when it panicked, and there is nobody to tell.
            writer.join().ok();
        }
    }
}

/// Flushes when the head is full or the interval is over, until the store is gone. Calls for maintenance once there are as many new
/// files as are merged at once.
async fn flush_regularly(
    store: std::sync::Weak<Store>,
    full: Arc<Notify>,
    integrity: Arc<Integrity>,
) {
    let Some(interval) = store.upgrade().map(|store| store.config.flush_interval()) else {
        return;
    };
    let mut failed_pause: Option<Duration> = None;
    let mut flushes = 0;
    loop {
        match failed_pause {
            // A full head does not shorten the pause: it is full because flushing fails.
            Some(pause) => tokio::time::sleep(pause).await,
            None => {
                // Either way it is time to flush.
                tokio::time::timeout(interval, full.notified()).await.ok();
            }
        }
        let Some(store) = store.upgrade() else { return };
        if !store.head.has_rows() {
            continue;
        }
        match store.flush().await {
            Ok(()) => {
                failed_pause = None;
                flushes += 1;
                if flushes >= store.config.compact_min_files {
                    flushes = 0;
                    integrity.due.notify_one();
                }
            }
            Err(StoreError::Closed | StoreError::WriterDied) => return,
            Err(_) => {
                let pause = failed_pause.map_or(FIRST_RETRY, |pause| pause * 2);
                failed_pause = Some(pause.min(interval));
            }
        }
    }
}

/// Maintains the store when something calls for it or the interval is over, until the store is gone.
async fn maintain_regularly(store: std::sync::Weak<Store>, integrity: Arc<Integrity>) {
    let Some(interval) = store
        .upgrade()
        .map(|store| maintenance::interval(&store.config))
    else {
        return;
    };
    loop {
        // Either way it is time to look.
        tokio::time::timeout(interval, integrity.due.notified())
            .await
            .ok();
        let Some(store) = store.upgrade() else { return };
        if store.maintain().await.is_err() {
            metric::MAINTENANCE_ERRORS.add(1, &[]);
            // A disk that is full or failing is not to be asked all the time.
            drop(store);
            tokio::time::sleep(FIRST_RETRY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use demarc_proto::{ManualClock, Millis};

    use super::*;
    use crate::{MetricRows, Sample};

    #[tokio::test]
    async fn when_the_writer_of_the_log_has_died_rows_are_refused_and_nobody_waits() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(Nanos(0)));
        let store = Store::open(dir.path(), StoreConfig::default(), clock)
            .await
            .unwrap();
        assert!(store.check().is_ok());
        let (commands, receiver) = mpsc::channel::<Command>(1);
        let died = std::thread::spawn(move || {
            drop(receiver);
            std::panic::resume_unwind(Box::new("as if a batch could not be built"));
        });
        while !died.is_finished() {
            std::thread::yield_now();
        }
        // The one that lives ends with its commands.
        *store.commands.lock() = Some(commands);
        *store.writer.lock() = Some(died);
        let series = MetricRows {
            samples: vec![Sample::new(Millis(0), 1.0)],
            ..MetricRows::default()
        };
        let rows = Rows {
            metrics: vec![series],
            ..Rows::default()
        };
        let refused = store.append(&TenantId::default(), rows).await.unwrap_err();
        assert!(matches!(refused, StoreError::WriterDied), "{refused}");
        assert!(refused.is_retryable());
        assert!(matches!(store.check(), Err(StoreError::WriterDied)));
        assert!(matches!(store.flush().await, Err(StoreError::WriterDied)));
        assert!(store.close().await.is_err());
        assert!(matches!(store.check(), Err(StoreError::Closed)));
    }
}
