//! Where a table is, apart from what is known of it: whatever waits for the disk can be done on another thread.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use demarc_proto::{Clock, TenantId};

use super::action;
use crate::{
    DataFile, StoreError, Table,
    data_file::{Place, is_ours},
    quarantine::Quarantine,
};

/// The files of one table; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct OnDisk {
    /// The table.
    pub(super) table: Table,
    /// Its directory.
    pub(super) dir: PathBuf,
    /// Tells the time of commits.
    pub(super) clock: Arc<dyn Clock>,
    /// Where a damaged log goes.
    pub(super) quarantine: Arc<Quarantine>,
}

impl OnDisk {
    /// Where files of a tenant go.
    pub(super) fn place<'a>(&'a self, tenant: &'a TenantId) -> Place<'a> {
        Place {
            table: self.table,
            dir: &self.dir,
            tenant,
        }
    }

    /// The path of a file below the table's directory.
    pub(super) fn relative(&self, file: &DataFile) -> Result<String, StoreError> {
        action::relative(self.table, &self.dir, &file.path)
    }

    /// Where the log is.
    pub(super) fn log_dir(&self) -> PathBuf {
        self.dir.join("_delta_log")
    }

    /// All files below the table's directory that the store has written.
    pub(super) fn data_files(&self) -> Result<Vec<PathBuf>, StoreError> {
        let mut found = Vec::new();
        for tenant in subdirs(&self.dir, "tenant=")? {
            for date in subdirs(&tenant, "date=")? {
                for entry in fs::read_dir(&date).map_err(StoreError::io("list", &date))? {
                    let path = entry.map_err(StoreError::io("list", &date))?.path();
                    if is_ours(&path) {
                        found.push(path);
                    }
                }
            }
        }
        Ok(found)
    }
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
