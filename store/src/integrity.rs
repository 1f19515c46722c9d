//! Whether data files are as they were written.
//!
//! A file is read through and its checksum compared when it is about to be read for the first time, and again when its size or
//! its time of modification changes. What is found damaged is reported; [`crate::maintenance`] puts it aside.

use std::{collections::HashMap, fs, io, path::PathBuf, time::SystemTime};

use demarc_proto::TenantId;
use parking_lot::Mutex;

use crate::{DataFile, Table, data_file};

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

/// What is known of the files of one store.
#[derive(Debug, Default)]
pub(crate) struct Integrity {
    /// How files looked when they were found intact.
    intact: Mutex<HashMap<PathBuf, Stamp>>,
    suspects: Mutex<Vec<Suspect>>,
    /// Told when there is a suspect.
    pub(crate) reported: tokio::sync::Notify,
}

/// What changes when a file is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    size_bytes: u64,
}

impl Integrity {
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
            suspects.push(suspect);
        }
        drop(suspects);
        self.reported.notify_one();
    }

    /// The files reported and not taken yet.
    pub(crate) fn take_suspects(&self) -> Vec<Suspect> {
        std::mem::take(&mut self.suspects.lock())
    }

    /// Forgets files that are no more.
    pub(crate) fn forget_all_but(&self, exists: impl Fn(&PathBuf) -> bool) {
        self.intact.lock().retain(|path, _| exists(path));
    }

    fn passes(
        &self,
        table: Table,
        tenant: &TenantId,
        file: &DataFile,
        check: impl Fn(&DataFile) -> Result<(), String>,
    ) -> bool {
        let Err(reason) = check(file) else {
            return true;
        };
        self.report(Suspect {
            table,
            tenant: tenant.clone(),
            file: file.clone(),
            reason,
        });
        false
    }

    fn check(&self, file: &DataFile) -> Result<(), String> {
        let stamp = stamp(file)?;
        if self.intact.lock().get(&file.path) == Some(&stamp) {
            return Ok(());
        }
        match file.crc32 {
            Some(expected) => {
                let found = data_file::checksum_of(&file.path).map_err(describe)?;
                if found != expected {
                    return Err(format!("checksum is {found:08x} instead of {expected:08x}"));
                }
            }
            None => data_file::check_footer(&file.path).map_err(|error| error.to_string())?,
        }
        self.intact.lock().insert(file.path.clone(), stamp);
        Ok(())
    }
}

/// How a file looks now; why it is damaged when it has not the size that it had.
fn stamp(file: &DataFile) -> Result<Stamp, String> {
    let metadata = fs::metadata(&file.path).map_err(describe)?;
    let (found, expected) = (metadata.len(), file.size_bytes);
    if found != expected {
        return Err(format!("{found} bytes instead of {expected}"));
    }
    Ok(Stamp {
        modified: metadata.modified().map_err(describe)?,
        size_bytes: found,
    })
}

fn describe(error: io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "missing".to_owned(),
        _ => error.to_string(),
    }
}
