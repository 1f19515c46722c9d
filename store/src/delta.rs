//! The Delta log of one table.
//!
//! `deltalake` reads and writes the log; the store writes the Parquet files itself and keeps the list of files itself, so
//! that a commit costs one small file and no reload. Each commit carries the application transaction `demarc-wal`, whose
//! version is the sequence number up to which the write-ahead log is contained in the table: that is what makes recovery
//! exact. One process writes to a table; where another one has committed all the same, the log is read anew.

mod action;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};

use deltalake::{
    DeltaTable, DeltaTableBuilder, DeltaTableError, ensure_table_uri,
    kernel::{
        Action, StructType, Transaction, engine::arrow_conversion::TryIntoKernel,
        transaction::CommitData,
    },
    logstore::{CommitOrBytes, LogStoreRef},
    operations::create::CreateBuilder,
    protocol::{DeltaOperation, SaveMode, checkpoints},
};
use demarc_proto::{Clock, TenantId};
use futures::TryStreamExt;

use crate::{DataFile, StoreError, Table, data_file::Place, wal::sync_dir};

/// The partition columns of every table.
const PARTITIONS: [&str; 2] = ["tenant", "date"];
/// The application id of the transaction that holds the log's position.
const APP_ID: &str = "demarc-wal";

/// The log of one table, open for commits.
#[derive(Debug)]
pub(crate) struct TableLog {
    table: Table,
    dir: PathBuf,
    log_store: LogStoreRef,
    clock: Arc<dyn Clock>,
    version: u64,
    seq: u64,
    checkpoint_commits: u64,
}

/// Files by tenant, oldest first.
pub(crate) type Files = Vec<(TenantId, DataFile)>;

impl TableLog {
    /// Opens the log below `dir`, or creates it; also returns the table's files.
    pub(crate) async fn open(
        table: Table,
        dir: PathBuf,
        checkpoint_commits: u64,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Files), StoreError> {
        let text = dir.to_string_lossy();
        let builder = ensure_table_uri(text.as_ref()).and_then(DeltaTableBuilder::from_url);
        let log_store = builder
            .and_then(|builder| builder.build_storage())
            .map_err(StoreError::delta(table))?;
        let mut log = Self {
            table,
            dir,
            log_store,
            clock,
            version: 0,
            seq: 0,
            checkpoint_commits: checkpoint_commits.max(1),
        };
        log.create_if_absent()
            .await
            .map_err(StoreError::delta(table))?;
        log.add_missing_columns().await?;
        let files = log.reload().await?;
        Ok((log, files))
    }

    /// The sequence number up to which the write-ahead log is contained in the table.
    pub(crate) fn seq(&self) -> u64 {
        self.seq
    }

    /// The table's directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Reads the newest version of the log; returns all files.
    pub(crate) async fn reload(&mut self) -> Result<Files, StoreError> {
        let table = self.table;
        let loaded = self.load().await.map_err(StoreError::delta(table))?;
        let state = loaded.snapshot().map_err(StoreError::delta(table))?;
        let seq = state
            .transaction_version(self.log_store.as_ref(), APP_ID)
            .await
            .map_err(StoreError::delta(table))?;
        let views: Vec<_> = state
            .snapshot()
            .file_views(self.log_store.as_ref(), None)
            .try_collect()
            .await
            .map_err(StoreError::delta(table))?;
        self.version = state.version();
        self.seq = seq.and_then(|seq| u64::try_from(seq).ok()).unwrap_or(0);
        let files = views
            .iter()
            .map(|view| action::file_of(table, &self.dir, view));
        let mut files: Files = files.collect::<Result<_, _>>()?;
        // Names hold the time of writing.
        files.sort_by(|(_, a), (_, b)| a.path.file_name().cmp(&b.path.file_name()));
        Ok(files)
    }

    /// Commits `files` together with the position `seq`. An error leaves open whether it happened: [`TableLog::reload`]
    /// and [`TableLog::seq`] tell.
    pub(crate) async fn commit(&mut self, files: &Files, seq: u64) -> Result<(), StoreError> {
        let version = self.version + 1;
        let data = self.commit_data(files, seq)?;
        self.write_entry(version, data)
            .await
            .map_err(StoreError::delta(self.table))?;
        self.sync_entry(version)?;
        self.version = version;
        self.seq = seq;
        if version.is_multiple_of(self.checkpoint_commits)
            && let Err(error) = self.checkpoint().await
        {
            // The log is complete without it, only longer to read.
            tracing::warn!(table = %self.table, %error, "checkpoint of the delta log failed");
        }
        Ok(())
    }

    async fn create_if_absent(&self) -> Result<(), DeltaTableError> {
        if self.log_store.is_delta_table_location().await? {
            return Ok(());
        }
        let columns: StructType = self.table.schema().as_ref().try_into_kernel()?;
        CreateBuilder::new()
            .with_log_store(self.log_store.clone())
            .with_table_name(self.table.name())
            .with_columns(action::partition_columns())
            .with_columns(columns.fields().cloned())
            .with_partition_columns(PARTITIONS)
            .await?;
        Ok(())
    }

    /// Tells the log of columns that the version which made the table did not have.
    async fn add_missing_columns(&self) -> Result<(), StoreError> {
        let table = self.load().await.map_err(StoreError::delta(self.table))?;
        let state = table.snapshot().map_err(StoreError::delta(self.table))?;
        let wanted: StructType = self.table.schema().as_ref().try_into_kernel()?;
        let known = state.schema();
        let missing: Vec<_> = wanted
            .fields()
            .filter(|field| known.field(field.name()).is_none())
            .cloned()
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let added = table.add_columns().with_fields(missing).await;
        let version = added.map_err(StoreError::delta(self.table))?.version();
        self.sync_entry(version.unwrap_or_default())
    }

    async fn load(&self) -> Result<DeltaTable, DeltaTableError> {
        let mut table = DeltaTable::new(self.log_store.clone());
        table.load().await?;
        Ok(table)
    }

    fn commit_data(&self, files: &Files, seq: u64) -> Result<CommitData, StoreError> {
        let now = self.clock.now().to_millis();
        let adds = files.iter().map(|(tenant, file)| {
            let place = Place {
                table: self.table,
                dir: &self.dir,
                tenant,
            };
            action::add(place, file, now)
        });
        let actions: Vec<Action> = adds.collect::<Result<_, _>>()?;
        let operation = DeltaOperation::Write {
            mode: SaveMode::Append,
            partition_by: Some(PARTITIONS.map(str::to_owned).to_vec()),
            predicate: None,
        };
        let seq = i64::try_from(seq).expect("sequence numbers stay far below 2^63");
        let position = Transaction::new_with_last_update(APP_ID, seq, Some(now.0));
        Ok(CommitData::new(
            actions,
            operation,
            Default::default(),
            vec![position],
        ))
    }

    async fn write_entry(&self, version: u64, data: CommitData) -> Result<(), DeltaTableError> {
        let entry = CommitOrBytes::LogBytes(data.get_bytes()?);
        self.log_store
            .write_commit_entry(version, entry, uuid::Uuid::new_v4())
            .await?;
        Ok(())
    }

    /// Puts the commit on disk: after it the write-ahead log gives up its copy of the rows.
    fn sync_entry(&self, version: u64) -> Result<(), StoreError> {
        let dir = self.dir.join("_delta_log");
        let path = dir.join(format!("{version:020}.json"));
        File::open(&path)
            .and_then(|file| file.sync_all())
            .map_err(StoreError::io("sync", &path))?;
        sync_dir(&dir)
    }

    async fn checkpoint(&self) -> Result<(), DeltaTableError> {
        let table = self.load().await?;
        checkpoints::create_checkpoint(&table, None).await
    }
}

/// Deletes data files below `dir` that no commit names: those of a flush that did not get as far as its commit.
pub(crate) fn remove_orphans(dir: &Path, files: &Files) -> Result<(), StoreError> {
    let committed: std::collections::BTreeSet<&Path> =
        files.iter().map(|(_, file)| file.path.as_path()).collect();
    for tenant in subdirs(dir, "tenant=")? {
        for date in subdirs(&tenant, "date=")? {
            for entry in fs::read_dir(&date).map_err(StoreError::io("list", &date))? {
                let path = entry.map_err(StoreError::io("list", &date))?.path();
                if action::is_ours(&path) && !committed.contains(path.as_path()) {
                    fs::remove_file(&path).map_err(StoreError::io("delete", &path))?;
                    tracing::info!(file = %path.display(), "data file without a commit deleted");
                }
            }
        }
    }
    Ok(())
}

fn subdirs(dir: &Path, prefix: &str) -> Result<Vec<PathBuf>, StoreError> {
    let mut dirs = Vec::new();
    for entry in fs::read_dir(dir).map_err(StoreError::io("list", dir))? {
        let path = entry.map_err(StoreError::io("list", dir))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if path.is_dir() && name.is_some_and(|name| name.starts_with(prefix)) {
            dirs.push(path);
        }
    }
    Ok(dirs)
}
