//! Opening a store: what a crash left is put right here, and nowhere else.
//!
//! Order: lock the directory; open the Delta logs; delete data files without a commit; list the files and index the
//! series that they hold; replay the write-ahead log, per table only what is after that table's position; start writing.

use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use demarc_proto::{Clock, TenantId};
use futures::future::try_join_all;
use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, Notify, mpsc};

use super::Store;
use crate::{
    StoreConfig, StoreError, Table, data_file,
    delta::{Files, TableLog, remove_orphans},
    flush::Flusher,
    head::{Head, Insert},
    wal::{self, Body, Recovered, Writer},
};

/// Opens the store without its flush task.
pub(super) async fn open(
    dir: &Path,
    config: StoreConfig,
    clock: Arc<dyn Clock>,
) -> Result<Store, StoreError> {
    let (dir, lock) = lock_dir(dir)?;
    let head = Arc::new(Head::new(&config));
    let logs = open_logs(&dir, &config, &clock, &head).await?;
    let positions = logs
        .iter()
        .map(|(table, log)| (*table, log.seq()))
        .collect();
    let wal_dir = create_dir(&dir.join("wal"))?;
    let recovered = {
        let (head, wal_dir) = (head.clone(), wal_dir.clone());
        let replayed = tokio::task::spawn_blocking(move || replay(&wal_dir, &head, &positions));
        replayed.await.map_err(StoreError::task)??
    };
    let last_position = logs.values().map(TableLog::seq).max().unwrap_or(0);
    let (commands, receiver) = mpsc::channel(config.wal_queue_appends.max(1));
    let full = Arc::new(Notify::new());
    let writer = Writer {
        dir: wal_dir.clone(),
        segment_bytes: config.wal_segment_bytes,
        segments: recovered.segments.clone(),
        segment: None,
        next_segment: recovered.next_segment,
        next_seq: recovered.last_seq.max(last_position) + 1,
        head: head.clone(),
        full: full.clone(),
    };
    let thread = thread::Builder::new()
        .name("demarc-wal".to_owned())
        .spawn(move || writer.run(receiver))
        .map_err(StoreError::io("start the writer of", wal_dir))?;
    let flusher = Flusher {
        head: head.clone(),
        segments: recovered.segments,
        logs,
        doubtful: BTreeMap::new(),
        _lock: lock,
    };
    Ok(Store {
        config,
        head,
        commands: Mutex::new(Some(commands)),
        writer: Mutex::new(Some(thread)),
        flusher: Arc::new(AsyncMutex::new(flusher)),
        full,
        flush_task: Mutex::new(None),
    })
}

/// Creates the directory and keeps other processes out of it; also returns its absolute path.
fn lock_dir(dir: &Path) -> Result<(PathBuf, File), StoreError> {
    let dir = create_dir(dir)?;
    let path = dir.join("lock");
    let file = File::create(&path).map_err(StoreError::io("create", &path))?;
    match file.try_lock() {
        Ok(()) => Ok((dir, file)),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { dir }),
        Err(TryLockError::Error(source)) => Err(StoreError::io("lock", path)(source)),
    }
}

fn create_dir(dir: &Path) -> Result<PathBuf, StoreError> {
    fs::create_dir_all(dir).map_err(StoreError::io("create", dir))?;
    dir.canonicalize().map_err(StoreError::io("resolve", dir))
}

async fn open_logs(
    dir: &Path,
    config: &StoreConfig,
    clock: &Arc<dyn Clock>,
    head: &Arc<Head>,
) -> Result<BTreeMap<Table, TableLog>, StoreError> {
    let open = |table: Table| {
        let dir = create_dir(&dir.join("tables").join(table.name()));
        let clock = clock.clone();
        async move {
            let opened = TableLog::open(table, dir?, config.checkpoint_commits, clock).await?;
            Ok::<_, StoreError>((table, opened))
        }
    };
    let mut logs = BTreeMap::new();
    for (table, (log, files)) in try_join_all(Table::ALL.map(open)).await? {
        let head = head.clone();
        let dir = log.dir().to_owned();
        let adopted = tokio::task::spawn_blocking(move || adopt(table, &dir, files, &head)).await;
        adopted.map_err(StoreError::task)??;
        logs.insert(table, log);
    }
    Ok(logs)
}

/// Lists the committed files, indexes the series in them, deletes the others.
fn adopt(table: Table, dir: &Path, files: Files, head: &Head) -> Result<(), StoreError> {
    remove_orphans(dir, &files)?;
    if table == Table::Series {
        for (tenant, file) in &files {
            let batches = data_file::read(table, &file.path)?;
            let batches = batches.into_iter().map(|batch| (table, batch)).collect();
            let read = head.prepare(tenant.clone(), batches)?;
            head.insert(vec![Insert {
                batches: Vec::new(),
                ..read
            }]);
        }
    }
    head.add_files(table, files);
    Ok(())
}

/// Brings back the rows that are in the log but not in the tables.
fn replay(
    wal_dir: &Path,
    head: &Head,
    positions: &BTreeMap<Table, u64>,
) -> Result<Recovered, StoreError> {
    let mut replayed_rows = 0;
    let recovered = wal::recover(wal_dir, |seq, body| {
        let Body {
            tenant,
            mut batches,
        } = body;
        batches.retain(|(table, _)| positions.get(table).is_none_or(|done| seq > *done));
        replayed_rows += batches
            .iter()
            .map(|(_, batch)| batch.num_rows())
            .sum::<usize>();
        insert(head, tenant, batches)
    })?;
    if replayed_rows == 0 {
        recovered.segments.delete_covered(recovered.last_seq)?;
    }
    tracing::info!(replayed_rows, "write-ahead log recovered");
    Ok(recovered)
}

fn insert(
    head: &Head,
    tenant: TenantId,
    batches: Vec<(Table, arrow::array::RecordBatch)>,
) -> Result<(), StoreError> {
    if batches.is_empty() {
        return Ok(());
    }
    head.insert(vec![head.prepare(tenant, batches)?]);
    head.coalesce();
    Ok(())
}
