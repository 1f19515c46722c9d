//! What a Delta log says of its table. Pure.

use std::{collections::BTreeMap, sync::Arc};

use demarc_proto::{Millis, TenantId};

use crate::DataFile;

/// The state of a table at one version.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct State {
    /// The version.
    pub(super) version: u64,
    /// The sequence number up to which the write-ahead log is contained in the table.
    pub(super) seq: u64,
    /// The files by their paths below the table's directory.
    pub(super) files: BTreeMap<String, (TenantId, DataFile)>,
    /// Files that are no part of the table any more but may still be read.
    pub(super) removed: BTreeMap<String, Removed>,
}

/// A file that was taken out of its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Removed {
    /// When.
    pub(super) at: Millis,
    /// Shared with the snapshots that list the file.
    pub(super) lease: Arc<()>,
}

impl Removed {
    /// Whether some snapshot still lists the file.
    pub(super) fn is_in_use(&self) -> bool {
        Arc::strong_count(&self.lease) > 1
    }
}

/// What one commit changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Change {
    /// The write-ahead log's position after it.
    pub(super) seq: u64,
    /// Files that it adds, by path.
    pub(super) add: BTreeMap<String, (TenantId, DataFile)>,
    /// Paths of files that it removes, and when.
    pub(super) remove: BTreeMap<String, Millis>,
}

impl State {
    /// The state after a commit.
    pub(super) fn apply(&mut self, version: u64, change: Change) {
        self.version = version;
        self.seq = self.seq.max(change.seq);
        for (path, at) in change.remove {
            if let Some((_, file)) = self.files.remove(&path) {
                let lease = file.lease;
                self.removed.insert(path, Removed { at, lease });
            }
        }
        self.files.extend(change.add);
    }

    /// Shares the leases of the same files of `other`.
    pub(super) fn take_leases(&mut self, other: &Self) {
        let lease_of = |path: &String| {
            let listed = other.files.get(path).map(|(_, file)| &file.lease);
            let removed = other.removed.get(path).map(|removed| &removed.lease);
            listed.or(removed).cloned()
        };
        for (path, (_, file)) in &mut self.files {
            file.lease = lease_of(path).unwrap_or_default();
        }
        for (path, removed) in &mut self.removed {
            removed.lease = lease_of(path).unwrap_or_default();
        }
    }

    /// Whether both say the same of the table; what a Delta log does not hold in every version is left out.
    pub(super) fn agrees_with(&self, other: &Self) -> bool {
        let same_file = |(path, (tenant, file)): (&String, &(TenantId, DataFile))| {
            other.files.get(path).is_some_and(|(other_tenant, found)| {
                let checked = DataFile {
                    crc32: file.crc32,
                    ..found.clone()
                };
                other_tenant == tenant && checked == *file
            })
        };
        self.version == other.version
            && self.seq == other.seq
            && self.files.len() == other.files.len()
            && self.files.iter().all(same_file)
    }
}
