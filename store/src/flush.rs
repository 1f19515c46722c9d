//! From the head to data files: freeze, write, commit, publish.
//!
//! Per table, in this order: files are written and synced; one Delta commit names them together with the position of the
//! write-ahead log; the head swaps the frozen rows for the files. A table whose step fails keeps its frozen rows, and the
//! next flush writes them together with what has come since. The log's segments go once every table holds their rows.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use tokio::sync::{mpsc, oneshot};

use crate::{
    StoreError, Table,
    data_file::{self, Flushed, Place},
    delta::{Edit, Files, TableLog},
    head::{Block, Blocks, Head, TenantRows},
    metric,
    store::DirLock,
    wal::{Command, Segments},
};

/// What flushing needs; one flush at a time.
#[derive(Debug)]
pub(crate) struct Flusher {
    /// Where rows come from and files are listed.
    pub(crate) head: Arc<Head>,
    /// The log's closed segments.
    pub(crate) segments: Segments,
    /// One log per table.
    pub(crate) logs: BTreeMap<Table, TableLog>,
    /// Commits of which it is not known (yet) whether they happened.
    pub(crate) doubtful: BTreeMap<Table, Doubtful>,
    /// Keeps other processes out of the directory: released when the last flush is over.
    pub(crate) _lock: DirLock,
}

/// A commit that was begun and did not report success.
#[derive(Debug)]
pub(crate) struct Doubtful {
    /// The position of the write-ahead log that it carries, if it is a flush.
    seq: Option<u64>,
    /// The files that it adds.
    files: Files,
}

impl Flusher {
    /// Flushes all tables. Those that fail do not keep the others from it; the first error is returned.
    pub(crate) async fn flush(
        &mut self,
        commands: &mpsc::Sender<Command>,
    ) -> Result<(), StoreError> {
        let started = Instant::now();
        // Before freezing: frozen rows may only grow while it is sure that they are not committed.
        self.resolve_doubts().await?;
        let (reply, frozen) = oneshot::channel();
        let sent = commands.send(Command::Freeze(reply)).await;
        sent.map_err(|_| StoreError::Closed)?;
        let frozen = frozen.await.map_err(|_| StoreError::Closed)?;
        let mut outcome = Ok(());
        for (table, rows) in frozen.tables {
            let flushed = self.flush_table(table, rows, frozen.seq).await;
            outcome = outcome.and(flushed);
        }
        let head = self.head.clone();
        let merged = tokio::task::spawn_blocking(move || head.merge_recent()).await;
        outcome = outcome.and(merged.map_err(StoreError::task));
        outcome?;
        self.segments.delete_covered(frozen.seq)?;
        metric::FLUSH_SECONDS.record(started.elapsed().as_secs_f64(), &[]);
        Ok(())
    }

    async fn flush_table(
        &mut self,
        table: Table,
        rows: TenantRows,
        seq: u64,
    ) -> Result<(), StoreError> {
        let log = self.logs.get_mut(&table).expect("every table has a log");
        let dir = log.dir().to_owned();
        let write = move || write_files((table, &dir), seq, &rows);
        let written = tokio::task::spawn_blocking(write).await;
        let (files, kept) = written.map_err(StoreError::task)??;
        // Noted before it begins, so that even a panic within leaves no commit forgotten.
        let doubtful = self.doubtful.entry(table).insert_entry(Doubtful {
            seq: Some(seq),
            files,
        });
        let edit = Edit::Flush {
            add: &doubtful.get().files,
            seq,
        };
        log.commit(edit).await?;
        self.head.publish(table, doubtful.remove().files, kept);
        Ok(())
    }

    /// The log of a table.
    pub(crate) fn log(&self, table: Table) -> &TableLog {
        self.logs.get(&table).expect("every table has a log")
    }

    /// The log of a table.
    pub(crate) fn log_mut(&mut self, table: Table) -> &mut TableLog {
        self.logs.get_mut(&table).expect("every table has a log")
    }

    /// Commits an edit and shows readers the files that there are after it. When it fails, the files that it was to add are
    /// deleted, at the latest before the next edit.
    pub(crate) async fn edit(&mut self, table: Table, edit: Edit<'_>) -> Result<(), StoreError> {
        // First: the head must not list files whose rows it also holds as frozen ones.
        self.resolve_doubt(table).await?;
        let files = match edit {
            Edit::Compact { add, .. } | Edit::Replace { add, .. } | Edit::Flush { add, .. } => {
                add.clone()
            }
            Edit::Remove(_) => Files::new(),
        };
        self.doubtful.insert(table, Doubtful { seq: None, files });
        let committed = self.log_mut(table).commit(edit).await;
        if committed.is_err() {
            self.resolve_doubt(table).await?;
            return if self.log(table).shows(edit) {
                Ok(())
            } else {
                committed
            };
        }
        self.doubtful.remove(&table);
        self.head.set_files(table, self.log(table).files());
        Ok(())
    }

    /// Finds out of each doubtful flush whether it happened; a table of which it is not known whether its files were merged
    /// holds up no other.
    async fn resolve_doubts(&mut self) -> Result<(), StoreError> {
        let tables: Vec<Table> = self.doubtful.keys().copied().collect();
        for table in tables {
            let is_flush = self
                .doubtful
                .get(&table)
                .is_some_and(|one| one.seq.is_some());
            let resolved = self.resolve_doubt(table).await;
            if is_flush {
                resolved?;
            }
        }
        Ok(())
    }

    /// Finds out whether a table's doubtful commit happened, and shows readers what there is.
    async fn resolve_doubt(&mut self, table: Table) -> Result<(), StoreError> {
        let Some(doubtful) = self.doubtful.get(&table) else {
            return Ok(());
        };
        let log = self.logs.get_mut(&table).expect("every table has a log");
        log.reload().await?;
        if doubtful.seq.is_some_and(|seq| log.seq() >= seq) {
            self.head.publish_all(table, log.files());
        } else {
            let mut unlisted = doubtful.files.clone();
            unlisted.retain(|file| !log.has_all(&vec![file.clone()]));
            data_file::delete_uncommitted(&unlisted);
            self.head.set_files(table, log.files());
        }
        self.doubtful.remove(&table);
        Ok(())
    }
}

/// The files, and of samples also what is in them.
fn write_files(
    (table, dir): (Table, &std::path::Path),
    seq: u64,
    rows: &TenantRows,
) -> Result<(Files, Blocks), StoreError> {
    let (mut files, mut kept) = (Files::new(), Blocks::new());
    for (tenant, rows) in rows {
        let place = Place { table, dir, tenant };
        let flushed = Flushed { place, seq };
        match data_file::write(flushed, rows, &mut files) {
            Ok(samples) => {
                let block = samples.map(|all| Arc::new(Block::of(&all)));
                kept.extend(block.map(|block| (tenant.clone(), block)));
            }
            Err(error) => {
                data_file::delete_uncommitted(&files);
                return Err(error);
            }
        }
    }
    Ok((files, kept))
}
