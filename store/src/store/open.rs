//! Opening a store: what a crash left is put right here, and nowhere else.
//!
//! Order: lock the directory; open the Delta logs; delete data files without a commit; list the files and index the
//! series that they hold; replay the write-ahead log, per table only what is after that table's position; start writing.

use std::{
    collections::BTreeMap,
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
};

use demarc_proto::{Clock, TenantId};
use futures::future::try_join_all;
use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, Notify, mpsc};

use super::Store;
use crate::{
    DataFile, StoreConfig, StoreError, Table, data_file,
    delta::{LogSettings, TableLog},
    flush::Flusher,
    head::Head,
    integrity::{Integrity, Suspect},
    maintenance::Maintenance,
    quarantine::Quarantine,
    wal::{self, Body, Command, Mark, Recovered, Writer},
};

/// Opens the store without its flush task.
pub(super) async fn open(
    dir: &Path,
    config: StoreConfig,
    clock: Arc<dyn Clock>,
) -> Result<Store, StoreError> {
    let (dir, lock) = lock_dir(dir)?;
    let quarantine = Arc::new(Quarantine::open(&dir, clock.clone())?);
    let integrity = Arc::new(Integrity::after(&quarantine.found(), config.decoded_bytes));
    let head = Arc::new(Head::new(&config, integrity.clone()));
    let settings = LogSettings {
        checkpoint_commits: config.checkpoint_commits,
        clock,
        quarantine: quarantine.clone(),
    };
    let logs = open_logs(&dir, &settings, &head, &integrity).await?;
    let (log_end, recovered) = recover(&dir, &logs, &head).await?;
    if note_damage(&recovered, &quarantine) && !head.has_rows() {
        recovered.segments.delete_covered(recovered.last_seq)?;
    }
    let full = Arc::new(Notify::new());
    let writer = Writer {
        dir: log_end.dir.clone(),
        segment_bytes: config.wal_segment_bytes,
        segments: recovered.segments.clone(),
        segment: None,
        next_segment: recovered.next_segment,
        next_seq: log_end.next_seq,
        mark: Mark::open(&log_end.dir, log_end.next_seq - 1)?,
        head: head.clone(),
        full: full.clone(),
        buffer: Vec::new(),
    };
    let (commands, thread) = start(writer, config.wal_queue_appends)?;
    let flusher = Arc::new(AsyncMutex::new(Flusher {
        head: head.clone(),
        segments: recovered.segments,
        logs,
        doubtful: BTreeMap::new(),
        _lock: lock,
    }));
    let maintenance = Maintenance {
        config: config.clone(),
        clock: settings.clock,
        head: head.clone(),
        flusher: flusher.clone(),
        integrity,
        quarantine: quarantine.clone(),
    };
    put_suspects_aside(&maintenance).await;
    Ok(Store {
        config,
        head,
        commands: Mutex::new(Some(commands)),
        writer: Mutex::new(Some(thread)),
        flusher,
        maintenance: Arc::new(AsyncMutex::new(maintenance)),
        full,
        quarantine,
        tasks: Mutex::default(),
    })
}

/// Starts the thread that writes the log; returns where it takes commands, of which so many may wait.
fn start(
    writer: Writer,
    queue: usize,
) -> Result<(mpsc::Sender<Command>, JoinHandle<()>), StoreError> {
    let (commands, receiver) = mpsc::channel(queue.max(1));
    let dir = writer.dir.clone();
    let thread = thread::Builder::new()
        .name("demarc-wal".to_owned())
        .spawn(move || writer.run(receiver))
        .map_err(StoreError::io("start the writer of", dir))?;
    Ok((commands, thread))
}

/// Where the write-ahead log goes on.
struct LogEnd {
    dir: PathBuf,
    next_seq: u64,
}

/// Replays the write-ahead log.
async fn recover(
    dir: &Path,
    logs: &BTreeMap<Table, TableLog>,
    head: &Arc<Head>,
) -> Result<(LogEnd, Recovered), StoreError> {
    let positions: BTreeMap<Table, u64> = logs
        .iter()
        .map(|(table, log)| (*table, log.seq()))
        .collect();
    let last_position = positions.values().copied().max().unwrap_or(0);
    let wal_dir = create_dir(&dir.join("wal"))?;
    let recovered = {
        let (head, wal_dir) = (head.clone(), wal_dir.clone());
        let replayed = tokio::task::spawn_blocking(move || replay(&wal_dir, &head, &positions));
        replayed.await.map_err(StoreError::task)??
    };
    let end = LogEnd {
        dir: wal_dir,
        next_seq: recovered.last_seq.max(last_position) + 1,
    };
    Ok((end, recovered))
}

/// Takes damaged files out of their tables.
async fn put_suspects_aside(maintenance: &Maintenance) {
    if let Err(error) = maintenance.put_suspects_aside().await {
        // Nobody reads them all the same, and maintenance tries again.
        tracing::error!(%error, "damaged files were not put aside");
    }
}

/// Takes note of what the write-ahead log has lost; returns whether all of it is noted.
fn note_damage(recovered: &Recovered, quarantine: &Quarantine) -> bool {
    let mut is_noted = true;
    for damage in &recovered.damage {
        if let Err(error) = quarantine.note(damage.clone()) {
            // It is no reason not to start, and found again at the next start.
            tracing::error!(file = damage.path, reason = damage.reason, %error, "damage was not noted");
            is_noted = false;
        }
    }
    is_noted
}

/// Keeps other processes out of a directory for as long as it lives.
#[derive(Debug)]
pub(crate) struct DirLock(File);

impl Drop for DirLock {
    fn drop(&mut self) {
        // Closing the file is not enough: a child that was forked and has not begun its own program yet has it as well.
        let _ = self.0.unlock();
    }
}

/// Creates the directory and keeps other processes out of it; also returns its absolute path.
fn lock_dir(dir: &Path) -> Result<(PathBuf, DirLock), StoreError> {
    let dir = create_dir(dir)?;
    let path = dir.join("lock");
    let file = File::create(&path).map_err(StoreError::io("create", &path))?;
    match file.try_lock() {
        Ok(()) => Ok((dir, DirLock(file))),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { dir }),
        Err(TryLockError::Error(source)) => Err(StoreError::io("lock", path)(source)),
    }
}

fn create_dir(dir: &Path) -> Result<PathBuf, StoreError> {
    // Absolute, so that every directory that is made has one above it to be synced.
    let dir = std::path::absolute(dir).map_err(StoreError::io("resolve", dir))?;
    wal::create_dir(&dir)?;
    dir.canonicalize().map_err(StoreError::io("resolve", &dir))
}

async fn open_logs(
    dir: &Path,
    settings: &LogSettings,
    head: &Arc<Head>,
    integrity: &Arc<Integrity>,
) -> Result<BTreeMap<Table, TableLog>, StoreError> {
    let open = |table: Table| {
        let dir = create_dir(&dir.join("tables").join(table.name()));
        async move {
            let opened = TableLog::open(table, dir?, settings.clone()).await?;
            Ok::<_, StoreError>((table, opened))
        }
    };
    let mut logs = BTreeMap::new();
    for (table, log) in try_join_all(Table::ALL.map(open)).await? {
        let (head, integrity) = (head.clone(), integrity.clone());
        let adopt = move || adopt(table, log, &head, &integrity);
        let adopted = tokio::task::spawn_blocking(adopt).await;
        logs.insert(table, adopted.map_err(StoreError::task)??);
    }
    Ok(logs)
}

/// Lists the committed files, indexes the series in them, deletes the others. Reports those that are damaged.
fn adopt(
    table: Table,
    log: TableLog,
    head: &Head,
    integrity: &Integrity,
) -> Result<TableLog, StoreError> {
    log.remove_orphans()?;
    let files = log.files();
    for (tenant, file) in &files {
        let file = vec![file.clone()];
        if table == Table::Series {
            for file in integrity.intact(table, tenant, file) {
                index_series(tenant, &file, head, integrity)?;
            }
        } else {
            integrity.present(table, tenant, file);
        }
    }
    head.add_files(table, files);
    Ok(log)
}

/// Indexes the series in a file; fails when it cannot be opened, which says nothing against the file.
fn index_series(
    tenant: &TenantId,
    file: &DataFile,
    head: &Head,
    integrity: &Integrity,
) -> Result<(), StoreError> {
    let table = Table::Series;
    let read = data_file::read(table, &file.path).and_then(|batches| {
        let batches = batches.into_iter().map(|batch| (table, batch)).collect();
        head.prepare(tenant.clone(), batches)
    });
    match read {
        Ok(read) => head.make_known(tenant, &read.series),
        Err(error @ StoreError::Io { .. }) => return Err(error),
        Err(error) => integrity.report(Suspect {
            table,
            tenant: tenant.clone(),
            file: file.clone(),
            reason: error.to_string(),
        }),
    }
    Ok(())
}

/// Brings back the rows that are in the log but not in the tables.
fn replay(
    wal_dir: &Path,
    head: &Head,
    positions: &BTreeMap<Table, u64>,
) -> Result<Recovered, StoreError> {
    let mut replayed_rows = 0;
    let covered = positions.values().copied().max().unwrap_or(0);
    let recovered = wal::recover(wal_dir, covered, |seq, body| {
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
