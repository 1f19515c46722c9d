//! The Delta log of one table.
//!
//! The store writes the entries itself, whole and synced, and keeps the list of files in memory, so that a commit costs two
//! small writes and no reload; `deltalake` reads the log back and writes checkpoints. Commits of flushes carry the application
//! transaction `demarc-wal`, whose version is the sequence number up to which the write-ahead log is contained in the table:
//! that is what makes recovery exact. Beside the log lies a journal with the same content, from which a damaged log is made
//! again. One process writes to a table; where another one has committed all the same, its entries are taken over.

mod action;
mod definition;
mod disk;
mod entry;
mod journal;
mod recover;
mod state;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use deltalake::{
    DeltaTable, DeltaTableBuilder, DeltaTableError, ensure_table_uri,
    kernel::{Action, Transaction},
    logstore::LogStoreRef,
    protocol::checkpoints,
};
use demarc_proto::{Clock, Millis, TenantId};
use futures::TryStreamExt;
use serde_json::json;

use self::{
    action::Effect,
    disk::OnDisk,
    state::{Change, State},
};
use crate::{
    DataFile, StoreError, Table,
    data_file::{self, Order},
    quarantine::Quarantine,
    wal::create_dir,
};

/// The partition columns of every table.
const PARTITIONS: [&str; 2] = ["tenant", "date"];
/// The application id of the transaction that holds the log's position.
const APP_ID: &str = "demarc-wal";

/// The log of one table, open for commits.
#[derive(Debug)]
pub(crate) struct TableLog {
    disk: OnDisk,
    log_store: LogStoreRef,
    state: State,
    journal: JournalState,
    checkpoint_commits: u64,
}

/// Whether the journal can be appended to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum JournalState {
    Current,
    /// A write failed; the next one has to be of the whole state.
    Stale,
}

/// Files by tenant, oldest first.
pub(crate) type Files = Vec<(TenantId, DataFile)>;

/// What a commit is to change.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Edit<'a> {
    /// Add rows from the write-ahead log up to the position `seq`.
    Flush {
        /// The files that hold them.
        add: &'a Files,
        /// The position.
        seq: u64,
    },
    /// Put the rows of some files into others.
    Compact {
        /// The new files.
        add: &'a Files,
        /// The old files.
        remove: &'a Files,
    },
    /// Put other rows in the place of some.
    Replace {
        /// The new files.
        add: &'a Files,
        /// The old files.
        remove: &'a Files,
    },
    /// Take files out together with their rows.
    Remove(&'a Files),
}

/// What a table's log is opened with.
#[derive(Clone, Debug)]
pub(crate) struct LogSettings {
    /// Commits between two checkpoints.
    pub(crate) checkpoint_commits: u64,
    /// Tells the time of commits.
    pub(crate) clock: Arc<dyn Clock>,
    /// Where a damaged log goes.
    pub(crate) quarantine: Arc<Quarantine>,
}

impl TableLog {
    /// Opens the log below `dir`, or creates it; a damaged one is put aside and made again.
    pub(crate) async fn open(
        table: Table,
        dir: PathBuf,
        settings: LogSettings,
    ) -> Result<Self, StoreError> {
        let text = dir.to_string_lossy();
        let builder = ensure_table_uri(text.as_ref()).and_then(DeltaTableBuilder::from_url);
        let log_store = builder
            .and_then(|builder| builder.build_storage())
            .map_err(StoreError::delta(table))?;
        create_dir(&dir.join("_delta_log"))?;
        let mut log = Self {
            disk: OnDisk {
                table,
                dir,
                clock: settings.clock,
                quarantine: settings.quarantine,
            },
            log_store,
            state: State::default(),
            journal: JournalState::Stale,
            checkpoint_commits: settings.checkpoint_commits.max(1),
        };
        log.reload().await?;
        log.add_missing_columns().await?;
        Ok(log)
    }

    /// The sequence number up to which the write-ahead log is contained in the table.
    pub(crate) fn seq(&self) -> u64 {
        self.state.seq
    }

    /// The table's directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.disk.dir
    }

    /// The table's files.
    pub(crate) fn files(&self) -> Files {
        let mut files: Files = self.state.files.values().cloned().collect();
        files.sort_by_cached_key(|(_, file)| Order::of_file(&file.path));
        files
    }

    /// Whether all of `files` are still part of the table.
    pub(crate) fn has_all(&self, files: &Files) -> bool {
        files.iter().all(|(_, file)| self.has(file))
    }

    fn has(&self, file: &DataFile) -> bool {
        self.disk
            .relative(file)
            .is_ok_and(|path| self.state.files.contains_key(&path))
    }

    /// Whether the table is as `edit` leaves it.
    pub(crate) fn shows(&self, edit: Edit<'_>) -> bool {
        match edit {
            Edit::Flush { seq, .. } => self.seq() >= seq,
            Edit::Compact { add, .. } | Edit::Replace { add, .. } => self.has_all(add),
            Edit::Remove(files) => files.iter().all(|(_, file)| !self.has(file)),
        }
    }

    /// Commits an edit. An error leaves open whether it happened: [`TableLog::reload`] and then [`TableLog::shows`] tell.
    pub(crate) async fn commit(&mut self, edit: Edit<'_>) -> Result<(), StoreError> {
        let version = self.state.version + 1;
        let now = self.disk.clock.now().to_millis();
        let (lines, change) = self.prepare(edit, now)?;
        let dir = self.disk.log_dir();
        blocking(move || entry::write(&dir, version, &entry::seal(&lines))).await?;
        self.note(version, change).await;
        if version.is_multiple_of(self.checkpoint_commits)
            && let Err(error) = self.checkpoint().await
        {
            // The log is complete without it, only longer to read.
            tracing::warn!(table = %self.disk.table, %error, "checkpoint of the delta log failed");
        }
        Ok(())
    }

    /// Deletes files that were removed at least `grace` ago and are listed by no snapshot. Returns how many.
    pub(crate) fn vacuum(&mut self, grace: Duration) -> Result<usize, StoreError> {
        let now = self.disk.clock.now().to_millis();
        let grace_ms = i64::try_from(grace.as_millis()).unwrap_or(i64::MAX);
        let is_due = |at: Millis| now.0.saturating_sub(at.0) >= grace_ms;
        let removed = self.state.removed.iter();
        let due: Vec<String> = removed
            .filter(|(_, removed)| is_due(removed.at) && !removed.is_in_use())
            .map(|(path, _)| path.clone())
            .collect();
        for relative in &due {
            self.delete_removed(relative)?;
        }
        Ok(due.len())
    }

    /// Deletes the removed files of a tenant, however short ago they were removed; those that a snapshot lists go with the next
    /// vacuum after it is gone.
    pub(crate) async fn vacuum_tenant(&mut self, tenant: &TenantId) -> Result<(), StoreError> {
        let dir = data_file::tenant_dir(&self.disk.dir, tenant);
        let paths: Vec<String> = self.state.removed.keys().cloned().collect();
        let mut is_waiting = false;
        for path in paths {
            if !self.disk.dir.join(&path).starts_with(&dir) {
                continue;
            }
            let Some(removed) = self.state.removed.get_mut(&path) else {
                continue;
            };
            if removed.is_in_use() {
                removed.at = Millis(i64::MIN);
                is_waiting = true;
            } else {
                self.delete_removed(&path)?;
            }
        }
        if is_waiting {
            // After a restart there is no snapshot that lists them.
            self.rewrite_journal().await;
        }
        Ok(())
    }

    fn delete_removed(&mut self, relative: &str) -> Result<(), StoreError> {
        let path = self.disk.dir.join(relative);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::io("delete", path)(error));
            }
            _ => drop(self.state.removed.remove(relative)),
        }
        remove_empty_dirs(&self.disk.dir, &path);
        Ok(())
    }

    /// Deletes data files that are no part of the table: those of a flush or a compaction that did not get as far as its
    /// commit. Removed files that may still be read stay.
    pub(crate) fn remove_orphans(&self) -> Result<(), StoreError> {
        let known: BTreeSet<PathBuf> = self
            .state
            .files
            .keys()
            .chain(self.state.removed.keys())
            .map(|path| self.disk.dir.join(path))
            .collect();
        for path in self.disk.data_files()? {
            if !known.contains(&path) {
                fs::remove_file(&path).map_err(StoreError::io("delete", &path))?;
                tracing::info!(file = %path.display(), "data file without a commit deleted");
            }
        }
        Ok(())
    }

    fn prepare(&self, edit: Edit<'_>, now: Millis) -> Result<(Vec<String>, Change), StoreError> {
        let none = Files::new();
        let (operation, effect, add, remove, seq) = match edit {
            Edit::Flush { add, seq } => ("WRITE", Effect::Rows, add, &none, Some(seq)),
            Edit::Compact { add, remove } => ("OPTIMIZE", Effect::Arrangement, add, remove, None),
            Edit::Replace { add, remove } => ("WRITE", Effect::Rows, add, remove, None),
            Edit::Remove(remove) => ("DELETE", Effect::Rows, &none, remove, None),
        };
        let mut actions = Vec::new();
        let mut change = Change {
            seq: seq.unwrap_or(self.state.seq),
            ..Change::default()
        };
        for (tenant, file) in remove {
            actions.push(action::remove(self.disk.place(tenant), file, effect, now)?);
            change.remove.insert(self.disk.relative(file)?, now);
        }
        for (tenant, file) in add {
            actions.push(action::add(self.disk.place(tenant), file, effect, now)?);
            let entry = (tenant.clone(), file.clone());
            change.add.insert(self.disk.relative(file)?, entry);
        }
        actions.extend(seq.map(|seq| position(seq, now)));
        Ok((lines(operation, &actions, now), change))
    }

    /// Takes note of a commit that is on disk.
    async fn note(&mut self, version: u64, change: Change) {
        let is_appended = self.journal == JournalState::Current && {
            let (dir, change) = (self.disk.dir.clone(), change.clone());
            let appended = blocking(move || journal::append(&dir, version, &change)).await;
            appended
                .inspect_err(|error| self.warn_of_journal(error))
                .is_ok()
        };
        self.state.apply(version, change);
        if !is_appended {
            self.rewrite_journal().await;
        }
    }

    async fn rewrite_journal(&mut self) {
        let (dir, state) = (self.disk.dir.clone(), self.state.clone());
        // While it is being written, what is there may be half of either.
        self.journal = JournalState::Stale;
        match blocking(move || journal::rewrite(&dir, &state)).await {
            Ok(()) => self.journal = JournalState::Current,
            Err(error) => self.warn_of_journal(&error),
        }
    }

    fn warn_of_journal(&self, error: &StoreError) {
        // The log itself has the commit; the journal is made again with the next one.
        tracing::warn!(table = %self.disk.table, %error, "journal of the delta log was not written");
    }

    /// Writes a checkpoint and, once that has proved right, forgets what the one before it does not need.
    async fn checkpoint(&mut self) -> Result<(), StoreError> {
        let delta = StoreError::delta(self.disk.table);
        let table = self
            .load()
            .await
            .map_err(StoreError::delta(self.disk.table))?;
        checkpoints::create_checkpoint(&table, None)
            .await
            .map_err(delta)?;
        let version = self.state.version;
        let dir = self.disk.log_dir();
        blocking(move || entry::sync_checkpoint(&dir, version)).await?;
        let is_right = self
            .read_log()
            .await?
            .is_some_and(|state| state.agrees_with(&self.state));
        if !is_right {
            return Err(StoreError::Log {
                table: self.disk.table,
                reason: format!("the checkpoint of version {version} does not hold the table"),
            });
        }
        self.rewrite_journal().await;
        let kept = version.saturating_sub(self.checkpoint_commits);
        let dir = self.disk.log_dir();
        blocking(move || entry::forget_before(&dir, kept)).await
    }

    async fn load(&self) -> Result<DeltaTable, DeltaTableError> {
        let mut table = DeltaTable::new(self.log_store.clone());
        table.load().await?;
        Ok(table)
    }

    /// What `deltalake` makes of the log; `None` when there is none.
    async fn read_log(&self) -> Result<Option<State>, StoreError> {
        let table = self.disk.table;
        let delta = || StoreError::delta(table);
        if !self
            .log_store
            .is_delta_table_location()
            .await
            .map_err(delta())?
        {
            return Ok(None);
        }
        let loaded = self.load().await.map_err(delta())?;
        let snapshot = loaded.snapshot().map_err(delta())?;
        let seq = snapshot
            .transaction_version(self.log_store.as_ref(), APP_ID)
            .await
            .map_err(delta())?;
        let views: Vec<_> = snapshot
            .snapshot()
            .file_views(self.log_store.as_ref(), None)
            .try_collect()
            .await
            .map_err(delta())?;
        let files = views
            .iter()
            .map(|view| action::file_of(table, &self.disk.dir, view));
        Ok(Some(State {
            version: snapshot.version(),
            seq: seq.and_then(|seq| u64::try_from(seq).ok()).unwrap_or(0),
            files: files.collect::<Result<_, _>>()?,
            ..State::default()
        }))
    }
}

/// Does what waits for the disk where it keeps nothing else waiting.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(StoreError::task)?
}

/// The lines of an entry.
fn lines(operation: &str, actions: &[Action], now: Millis) -> Vec<String> {
    let (field, open) = entry::open_seal();
    let info = json!({"commitInfo": {
        "timestamp": now.0,
        "operation": operation,
        "operationParameters": {},
        "engineInfo": concat!("demarc/", env!("CARGO_PKG_VERSION")),
        field: open,
    }});
    let actions = actions
        .iter()
        .map(|action| serde_json::to_string(action).expect("an action is JSON"));
    std::iter::once(info.to_string()).chain(actions).collect()
}

fn position(seq: u64, now: Millis) -> Action {
    let seq = i64::try_from(seq).expect("sequence numbers stay far below 2^63");
    Action::Txn(Transaction::new_with_last_update(APP_ID, seq, Some(now.0)))
}

/// Removes the directories of a day and a tenant once they hold nothing.
fn remove_empty_dirs(table: &Path, file: &Path) {
    for dir in file.ancestors().skip(1).take(2) {
        if dir == table || fs::remove_dir(dir).is_err() {
            return;
        }
    }
}
