//! The store's own copy of what a table's Delta log says, so that a damaged log can be made again.
//!
//! One file in the format of a segment of the write-ahead log: the first record holds the table's whole state, each one after it
//! what a commit changed; a record's number is the version of the Delta log. It is written after the entry of the log, so that
//! it may be behind by what a crash cut off, never ahead.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use demarc_proto::{Millis, TenantId};
use serde::{Deserialize, Serialize};

use super::state::{Change, Removed, State};
use crate::{
    DataFile, StoreError,
    wal::{Item, push_record, scan, segment_header, sync_dir},
};

const NAME: &str = "_journal";
/// Name while a new one is being written.
const STAGED: &str = "_journal.staged";

/// What the journal of a table says.
#[derive(Debug)]
pub(super) enum Found {
    /// There is none.
    Absent,
    /// The newest state that it holds for sure.
    Intact(State),
    /// As much as could be read before the damage; nothing when even the first record is damaged.
    Damaged(Option<State>),
}

/// One record's body.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    seq: u64,
    add: Vec<FileRecord>,
    /// Paths, and when they were removed, in milliseconds since the Unix epoch.
    remove: Vec<(String, i64)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct FileRecord {
    path: String,
    tenant: String,
    date: String,
    size: u64,
    rows: u64,
    min: Option<i64>,
    max: Option<i64>,
    crc32: Option<u32>,
}

/// Where the journal of the table in `dir` is.
pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join(NAME)
}

/// Reads the journal of the table in `dir`.
pub(super) fn read(dir: &Path) -> Result<Found, StoreError> {
    let path = path(dir);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Found::Absent),
        Err(error) => return Err(StoreError::io("read", path)(error)),
    };
    let mut state: Option<State> = None;
    for item in scan(&bytes) {
        let decoded = match item {
            Item::Record { seq, body, .. } => decode(dir, &bytes[body]).map(|change| (seq, change)),
            // What a crash cut off while it was written is in the Delta log.
            Item::Torn(_) if state.is_some() => break,
            Item::Torn(_) | Item::Damaged(_) => None,
        };
        let Some((version, change)) = decoded else {
            return Ok(Found::Damaged(state));
        };
        match &mut state {
            None => state = Some(State::new(version, change)),
            Some(state) => state.apply(version, change),
        }
    }
    Ok(match state {
        Some(state) => Found::Intact(state),
        None => Found::Damaged(None),
    })
}

/// Writes a new journal that holds `state`, on disk when this returns.
pub(super) fn rewrite(dir: &Path, state: &State) -> Result<(), StoreError> {
    let record = Record {
        seq: state.seq,
        add: records(dir, &state.files),
        remove: state
            .removed
            .iter()
            .map(|(path, removed)| (path.clone(), removed.at.0))
            .collect(),
    };
    let mut bytes = segment_header(state.version).to_vec();
    push(&mut bytes, state.version, &record)?;
    let staged = dir.join(STAGED);
    let written = File::create(&staged).and_then(|mut file| {
        file.write_all(&bytes)?;
        file.sync_all()
    });
    written.map_err(StoreError::io("write", &staged))?;
    fs::rename(&staged, path(dir)).map_err(StoreError::io("rename", &staged))?;
    sync_dir(dir)
}

/// Adds what a commit changed, on disk when this returns. After an error the journal has to be written anew.
pub(super) fn append(dir: &Path, version: u64, change: &Change) -> Result<(), StoreError> {
    let record = Record {
        seq: change.seq,
        add: records(dir, &change.add),
        remove: change
            .remove
            .iter()
            .map(|(path, at)| (path.clone(), at.0))
            .collect(),
    };
    let mut bytes = Vec::new();
    push(&mut bytes, version, &record)?;
    let path = path(dir);
    let mut options = OpenOptions::new();
    let written = options.append(true).open(&path).and_then(|mut file| {
        file.write_all(&bytes)?;
        file.sync_data()
    });
    written.map_err(StoreError::io("write", &path))
}

fn push(out: &mut Vec<u8>, version: u64, record: &Record) -> Result<(), StoreError> {
    let body = serde_json::to_vec(record).expect("text and numbers are JSON");
    let len = u32::try_from(body.len()).map_err(|_| StoreError::TooLarge { bytes: body.len() })?;
    push_record(out, version, &body, len);
    Ok(())
}

fn records(dir: &Path, files: &BTreeMap<String, (TenantId, DataFile)>) -> Vec<FileRecord> {
    debug_assert!(files.values().all(|(_, file)| file.path.starts_with(dir)));
    let record = |(path, (tenant, file)): (&String, &(TenantId, DataFile))| FileRecord {
        path: path.clone(),
        tenant: tenant.as_str().to_owned(),
        date: file.date.clone(),
        size: file.size_bytes,
        rows: file.rows,
        min: file.min_time,
        max: file.max_time,
        crc32: file.crc32,
    };
    files.iter().map(record).collect()
}

fn decode(dir: &Path, body: &[u8]) -> Option<Change> {
    let record: Record = serde_json::from_slice(body).ok()?;
    let mut change = Change {
        seq: record.seq,
        ..Change::default()
    };
    for (path, at) in record.remove {
        change.remove.insert(path, Millis(at));
    }
    for one in record.add {
        let tenant = TenantId::new(one.tenant).ok()?;
        let file = DataFile {
            path: dir.join(&one.path),
            size_bytes: one.size,
            rows: one.rows,
            date: one.date,
            min_time: one.min,
            max_time: one.max,
            crc32: one.crc32,
            lease: Arc::default(),
        };
        change.add.insert(one.path, (tenant, file));
    }
    Some(change)
}

impl State {
    /// The state that the first record of a journal holds.
    fn new(version: u64, change: Change) -> Self {
        let removed = change.remove.into_iter();
        Self {
            version,
            seq: change.seq,
            files: change.add,
            removed: removed.map(unused).collect(),
        }
    }
}

/// A removed file that no snapshot of this process lists.
fn unused((path, at): (String, Millis)) -> (String, Removed) {
    let lease = Arc::default();
    (path, Removed { at, lease })
}
