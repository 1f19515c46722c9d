//! Whether data files are as they were written.
//!
//! A file is read through and its checksum compared when it is about to be read for the first time, and again when its size or
//! its time of modification changes. What is found damaged is reported; [`crate::maintenance`] puts it aside.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use demarc_proto::TenantId;
use parking_lot::Mutex;

use crate::{
    Damage, DamageKind, DataFile, StoreError, Table, data_file,
    day::Day,
    scan::{Footers, Groups},
};

/// A file that is not as it was written.
#[derive(Clone, Debug)]
pub(crate) struct Suspect {
    /// Its table.
    pub(crate) table: Table,
    /// Whose rows it holds.
    pub(crate) tenant: TenantId,
    /// The file.
    pub(crate) file: DataFile,
    /// What is wrong with it.
    pub(crate) reason: String,
}

/// Rows that nobody can read any more.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Loss {
    table: Table,
    tenant: TenantId,
    day: Day,
    /// The file that held them, below the store's directory.
    file: String,
}

/// What is known of the files of one store.
#[derive(Debug, Default)]
pub(crate) struct Integrity {
    /// What is missing because of damaged files, those of earlier runs among them.
    losses: Mutex<Vec<Loss>>,
    /// How files looked when they were found intact.
    intact: Mutex<HashMap<PathBuf, Stamp>>,
    suspects: Mutex<Vec<Suspect>>,
    /// What the ends of files say.
    pub(crate) footers: Footers,
    /// Parts of them that are kept for queries.
    pub(crate) decoded: Arc<Groups>,
    /// Told when there is a suspect, or many new files.
    pub(crate) due: tokio::sync::Notify,
}

/// Why a file does not pass.
enum Failure {
    /// It is not as it was written.
    Damaged(String),
    /// It could not be looked at.
    Unreadable(io::Error),
}

/// What changes when a file is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    size_bytes: u64,
}

impl Integrity {
    /// Of a store whose earlier runs found this damage, and which may keep so many bytes of its files decoded.
    pub(crate) fn after(damage: &[Damage], decoded_bytes: usize) -> Self {
        let integrity = Self {
            decoded: Arc::new(Groups::new(decoded_bytes)),
            ..Self::default()
        };
        for one in damage {
            integrity.remember(one);
        }
        integrity
    }

    /// Those of `files` that are as they were written; the others are reported. Reads files that it has not seen before.
    pub(crate) fn intact(
        &self,
        table: Table,
        tenant: &TenantId,
        mut files: Vec<DataFile>,
    ) -> Vec<DataFile> {
        files.retain(|file| self.passes(table, tenant, file, |file| self.check(file)));
        files
    }

    /// Those of `files` that are there in their whole length; the others are reported. Reads nothing.
    pub(crate) fn present(
        &self,
        table: Table,
        tenant: &TenantId,
        mut files: Vec<DataFile>,
    ) -> Vec<DataFile> {
        files.retain(|file| self.passes(table, tenant, file, |file| stamp(file).map(drop)));
        files
    }

    /// Takes note of a damaged file.
    pub(crate) fn report(&self, suspect: Suspect) {
        let mut suspects = self.suspects.lock();
        if suspects
            .iter()
            .all(|known| known.file.path != suspect.file.path)
        {
            suspects.push(suspect.clone());
        }
        drop(suspects);
        self.take_note(Loss {
            table: suspect.table,
            tenant: suspect.tenant,
            day: Day::of_date(&suspect.file.date).unwrap_or(Day::FIRST),
            file: file_name(&suspect.file.path),
        });
        self.due.notify_one();
    }

    fn remember(&self, damage: &Damage) {
        let is_lost = damage.kind == DamageKind::DataFile && damage.rows_lost != Some(0);
        let name = damage.table.as_deref();
        let table = Table::ALL
            .into_iter()
            .find(|table| Some(table.name()) == name);
        let tenant = damage.tenant.clone().map(TenantId::new);
        let day = damage.date.as_deref().and_then(Day::of_date);
        if let (true, Some(table), Some(Ok(tenant)), Some(day)) = (is_lost, table, tenant, day) {
            self.take_note(Loss {
                table,
                tenant,
                day,
                file: file_name(Path::new(&damage.path)),
            });
        }
    }

    fn take_note(&self, loss: Loss) {
        let mut losses = self.losses.lock();
        if losses.iter().all(|known| known.file != loss.file) {
            losses.push(loss);
        }
    }

    /// The days of `days`, with the names of the files, of which rows of a table are missing because a file is damaged.
    pub(crate) fn losses(
        &self,
        table: Table,
        tenant: &TenantId,
        days: (Day, Day),
    ) -> Vec<(String, String)> {
        let losses = self.losses.lock();
        let wanted = losses.iter().filter(|loss| {
            let is_of_table = loss.table == table && loss.tenant == *tenant;
            is_of_table && days.0 <= loss.day && loss.day <= days.1
        });
        wanted
            .map(|loss| (loss.day.date(), loss.file.clone()))
            .collect()
    }

    /// Forgets what a tenant has lost.
    pub(crate) fn forget_losses(&self, tenant: &TenantId) {
        self.losses.lock().retain(|loss| loss.tenant != *tenant);
    }

    /// The files reported and not taken yet.
    pub(crate) fn take_suspects(&self) -> Vec<Suspect> {
        std::mem::take(&mut self.suspects.lock())
    }

    /// Forgets files that are no more.
    pub(crate) fn forget_all_but(&self, exists: impl Fn(&PathBuf) -> bool) {
        self.intact.lock().retain(|path, _| exists(path));
        self.decoded.forget_all_but(&exists);
        self.footers.forget_all_but(exists);
    }

    fn passes(
        &self,
        table: Table,
        tenant: &TenantId,
        file: &DataFile,
        check: impl Fn(&DataFile) -> Result<(), Failure>,
    ) -> bool {
        let reason = match check(file) {
            Ok(()) => return true,
            Err(Failure::Damaged(reason)) => reason,
            // Too many open files, or a disk that does not answer, says nothing of the file: whoever reads it meets the error.
            Err(Failure::Unreadable(error)) => {
                let path = file.path.display();
                tracing::warn!(%path, %error, "data file could not be checked");
                return true;
            }
        };
        self.report(Suspect {
            table,
            tenant: tenant.clone(),
            file: file.clone(),
            reason,
        });
        false
    }

    fn check(&self, file: &DataFile) -> Result<(), Failure> {
        let stamp = stamp(file)?;
        if self.intact.lock().get(&file.path) == Some(&stamp) {
            return Ok(());
        }
        match file.crc32 {
            Some(expected) => {
                let found = data_file::checksum_of(&file.path).map_err(failure)?;
                if found != expected {
                    let reason = format!("checksum is {found:08x} instead of {expected:08x}");
                    return Err(Failure::Damaged(reason));
                }
            }
            None => data_file::check_footer(&file.path).map_err(|error| match error {
                StoreError::Io { source, .. } => failure(source),
                other => Failure::Damaged(other.to_string()),
            })?,
        }
        self.intact.lock().insert(file.path.clone(), stamp);
        Ok(())
    }
}

/// How a file looks now; a failure when it has not the size that it had.
fn stamp(file: &DataFile) -> Result<Stamp, Failure> {
    let metadata = fs::metadata(&file.path).map_err(failure)?;
    let (found, expected) = (metadata.len(), file.size_bytes);
    if found != expected {
        let reason = format!("{found} bytes instead of {expected}");
        return Err(Failure::Damaged(reason));
    }
    Ok(Stamp {
        modified: metadata.modified().map_err(failure)?,
        size_bytes: found,
    })
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn failure(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::NotFound => Failure::Damaged("missing".to_owned()),
        _ => Failure::Unreadable(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: PathBuf) -> DataFile {
        DataFile {
            path,
            size_bytes: 1,
            rows: 1,
            date: "2026-01-01".to_owned(),
            min_time: None,
            max_time: None,
            crc32: Some(0),
            lease: Arc::default(),
        }
    }

    #[test]
    fn a_file_that_cannot_be_looked_at_is_not_taken_for_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let plain = folder.path().join("plain");
        fs::write(&plain, "x").unwrap();
        let integrity = Integrity::default();
        let tenant = TenantId::default();
        let unreachable = vec![file(plain.join("below a file"))];
        assert_eq!(
            integrity.intact(Table::Samples, &tenant, unreachable).len(),
            1
        );
        assert!(integrity.take_suspects().is_empty());
        let absent = vec![file(folder.path().join("absent"))];
        assert!(integrity.intact(Table::Samples, &tenant, absent).is_empty());
        assert_eq!(integrity.take_suspects()[0].reason, "missing");
        let changed = vec![file(plain)];
        assert!(
            integrity
                .intact(Table::Samples, &tenant, changed)
                .is_empty()
        );
        assert!(
            integrity.take_suspects()[0]
                .reason
                .starts_with("checksum is")
        );
    }
}
