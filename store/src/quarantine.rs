//! Damaged files, put aside: out of the way of reading and writing, named, counted, and there for whoever wants to look.
//!
//! `quarantine/<id>-<name>` is the file (or the directory) itself, `quarantine/<id>.json` says what it was and what is wrong.

use std::{
    fs::{self, File},
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use demarc_proto::{Clock, TenantId};
use opentelemetry::KeyValue;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::{
    StoreError, Table, metric,
    wal::{create_dir, sync_dir},
};

/// No note is longer.
const MAX_NOTE_BYTES: u64 = 1 << 20;

/// Something of the store that was found damaged or missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// What kind of file it is.
    pub kind: DamageKind,
    /// Where it was, below the store's directory.
    pub path: String,
    /// What is wrong with it.
    pub reason: String,
    /// The name of the table that it belongs to, where it belongs to one.
    #[serde(default)]
    pub table: Option<String>,
    /// The tenant whose rows it held, where they were one tenant's.
    #[serde(default)]
    pub tenant: Option<String>,
    /// The UTC day of its rows, `YYYY-MM-DD`, where they were of one.
    #[serde(default)]
    pub date: Option<String>,
    /// Rows that can no longer be read because of it; `None` when nobody knows, 0 when there is another copy of them.
    #[serde(default)]
    pub rows_lost: Option<u64>,
    /// When it was found, in nanoseconds since the Unix epoch.
    #[serde(default)]
    pub found_ns: i64,
}

/// Kinds of files that can be damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DamageKind {
    /// A Parquet file.
    DataFile,
    /// The Delta log of a table, or a checkpoint of it.
    DeltaLog,
    /// The store's copy of a Delta log.
    Journal,
    /// A record or a segment of the write-ahead log.
    Wal,
}

impl DamageKind {
    /// Its name in metrics and documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::DataFile => "data-file",
            Self::DeltaLog => "delta-log",
            Self::Journal => "journal",
            Self::Wal => "wal",
        }
    }
}

impl Damage {
    /// Damage of a kind at a path, with nothing else known yet.
    pub(crate) fn new(kind: DamageKind, path: &Path, reason: impl Into<String>) -> Self {
        Self {
            kind,
            path: path.to_string_lossy().into_owned(),
            reason: reason.into(),
            table: None,
            tenant: None,
            date: None,
            rows_lost: None,
            found_ns: 0,
        }
    }

    /// The same, of a table.
    pub(crate) fn of_table(mut self, table: Table) -> Self {
        self.table = Some(table.name().to_owned());
        self
    }

    /// The same, where another copy has all that was in it.
    pub(crate) fn without_loss(mut self) -> Self {
        self.rows_lost = Some(0);
        self
    }
}

/// The directory of damaged files and what is known of them.
#[derive(Debug)]
pub(crate) struct Quarantine {
    root: PathBuf,
    clock: Arc<dyn Clock>,
    found: Mutex<Vec<Damage>>,
}

impl Quarantine {
    /// Opens the quarantine of the store in `root`; what earlier runs found is known again.
    pub(crate) fn open(root: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let quarantine = Self {
            root: root.to_owned(),
            clock,
            found: Mutex::default(),
        };
        let notes = match fs::read_dir(quarantine.dir()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(quarantine),
            Err(error) => return Err(StoreError::io("list", quarantine.dir())(error)),
        };
        let mut found: Vec<Damage> = notes
            .filter_map(|entry| read_note(&entry.ok()?.path()))
            .collect();
        found.sort_by_key(|damage| damage.found_ns);
        *quarantine.found.lock() = found;
        Ok(quarantine)
    }

    /// Moves what is at `damage.path` into the quarantine, where it is not missing, and takes note.
    pub(crate) fn put(&self, damage: Damage) -> Result<(), StoreError> {
        let path = PathBuf::from(&damage.path);
        // The note first: a crash in between leaves a note about a file that will be found damaged once more.
        let id = self.write_note(damage)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match fs::rename(&path, self.dir().join(format!("{id}-{name}"))) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError::io("rename", &path)(error))
            }
            _ => sync_dir(&self.dir()),
        }
    }

    /// Takes note of damage, once, and leaves the file where it is.
    pub(crate) fn note(&self, damage: Damage) -> Result<(), StoreError> {
        let path = self.below_root(&damage);
        let is_same = |known: &Damage| known.path == path && known.reason == damage.reason;
        if self.found.lock().iter().any(is_same) {
            return Ok(());
        }
        self.write_note(damage).map(drop)
    }

    fn write_note(&self, mut damage: Damage) -> Result<uuid::Uuid, StoreError> {
        let id = uuid::Uuid::now_v7();
        let dir = self.dir();
        create_dir(&dir)?;
        damage.path = self.below_root(&damage);
        damage.found_ns = self.clock.now().0;
        let note = dir.join(format!("{id}.json"));
        let text = serde_json::to_vec_pretty(&damage).expect("text and numbers are JSON");
        let written = File::create(&note).and_then(|mut file| {
            file.write_all(&text)?;
            file.sync_all()
        });
        written.map_err(StoreError::io("write", &note))?;
        sync_dir(&dir)?;
        self.take_note(damage);
        Ok(id)
    }

    fn below_root(&self, damage: &Damage) -> String {
        let path = Path::new(&damage.path);
        let relative = path.strip_prefix(&self.root).unwrap_or(path);
        relative.to_string_lossy().into_owned()
    }

    /// Deletes what is there of a tenant.
    pub(crate) fn forget(&self, tenant: &TenantId) -> Result<(), StoreError> {
        let is_of_tenant = |damage: &Damage| damage.tenant.as_deref() == Some(tenant.as_str());
        let dir = self.dir();
        let Ok(entries) = fs::read_dir(&dir) else {
            return Ok(());
        };
        let mut ids = Vec::new();
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if read_note(&path).as_ref().is_some_and(is_of_tenant) {
                ids.extend(path.file_stem().map(|id| id.to_string_lossy().into_owned()));
            }
        }
        for entry in fs::read_dir(&dir).map_err(StoreError::io("list", &dir))? {
            let path = entry.map_err(StoreError::io("list", &dir))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if ids.iter().any(|id| name.starts_with(id)) {
                fs::remove_file(&path).map_err(StoreError::io("delete", &path))?;
            }
        }
        self.found.lock().retain(|damage| !is_of_tenant(damage));
        Ok(())
    }

    /// What was found so far, oldest first.
    pub(crate) fn found(&self) -> Vec<Damage> {
        self.found.lock().clone()
    }

    fn take_note(&self, damage: Damage) {
        let labels = [
            KeyValue::new("kind", damage.kind.name()),
            KeyValue::new("table", damage.table.clone().unwrap_or_default()),
        ];
        metric::QUARANTINED.add(1, &labels);
        tracing::error!(
            kind = damage.kind.name(),
            file = damage.path,
            reason = damage.reason,
            rows_lost = damage.rows_lost,
            "damaged file put aside"
        );
        self.found.lock().push(damage);
    }

    fn dir(&self) -> PathBuf {
        self.root.join("quarantine")
    }
}

/// The note at `path`; `None` of anything else, which may be large. A note that cannot be read says nothing; the file that it
/// was about is still there.
fn read_note(path: &Path) -> Option<Damage> {
    if path.extension().is_none_or(|kind| kind != "json") {
        return None;
    }
    let mut text = Vec::new();
    let file = File::open(path).ok()?;
    file.take(MAX_NOTE_BYTES).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

#[cfg(test)]
mod tests {
    use demarc_proto::{ManualClock, Nanos};

    use super::*;

    #[test]
    fn a_large_file_in_the_quarantine_is_not_read_to_see_whose_it_is() {
        let root = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(Nanos(0)));
        let quarantine = Quarantine::open(root.path(), clock).unwrap();
        let tenant = TenantId::default();
        let path = root.path().join("x.parquet");
        // Larger than any memory, and nothing on disk.
        File::create(&path).unwrap().set_len(1 << 43).unwrap();
        let damage = Damage {
            tenant: Some(tenant.to_string()),
            ..Damage::new(DamageKind::DataFile, &path, "as a test wants it")
        };
        quarantine.put(damage).unwrap();
        let left = || fs::read_dir(quarantine.dir()).unwrap().count();
        assert_eq!(left(), 2);
        quarantine.forget(&TenantId::new("other").unwrap()).unwrap();
        assert_eq!((left(), quarantine.found().len()), (2, 1));
        quarantine.forget(&tenant).unwrap();
        assert_eq!((left(), quarantine.found().len()), (0, 0));
    }
}
