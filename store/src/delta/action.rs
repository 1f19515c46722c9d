//! Data files as actions of the Delta log, and back.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use deltalake::kernel::{Action, Add, LogicalFileView, Remove, Transaction};
use demarc_proto::{Millis, TenantId};
use serde_json::{Value, json};

use super::{APP_ID, state::Change};
use crate::{DataFile, StoreError, Table, data_file::Place};

/// The tag of a file's checksum.
const CRC32_TAG: &str = "demarc.crc32";

/// Whether the rows of the table are others after a commit, or only their arrangement in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Rows come or go.
    Rows,
    /// The same rows in other files.
    Arrangement,
}

/// A file's path below its table's directory, as the log names it.
pub(super) fn relative(table: Table, dir: &Path, path: &Path) -> Result<String, StoreError> {
    let relative = path.strip_prefix(dir).ok().and_then(Path::to_str);
    let outside = || bad(table, "a data file lies outside its table");
    Ok(relative.ok_or_else(outside)?.to_owned())
}

/// The action that adds `file`, written at `place`.
pub(super) fn add(
    place: Place<'_>,
    file: &DataFile,
    effect: Effect,
    now: Millis,
) -> Result<Action, StoreError> {
    let Place { table, dir, tenant } = place;
    let crc32 = file.crc32.map(|crc32| format!("{crc32:08x}"));
    Ok(Action::Add(Add {
        path: relative(table, dir, &file.path)?,
        partition_values: partition(tenant, file),
        size: size(table, file)?,
        modification_time: now.0,
        data_change: effect == Effect::Rows,
        stats: Some(stats(table, file)),
        tags: crc32.map(|crc32| HashMap::from([(CRC32_TAG.to_owned(), Some(crc32))])),
        ..Add::default()
    }))
}

/// The action that removes `file`.
pub(super) fn remove(
    place: Place<'_>,
    file: &DataFile,
    effect: Effect,
    now: Millis,
) -> Result<Action, StoreError> {
    let Place { table, dir, tenant } = place;
    Ok(Action::Remove(Remove {
        path: relative(table, dir, &file.path)?,
        data_change: effect == Effect::Rows,
        deletion_timestamp: Some(now.0),
        extended_file_metadata: Some(true),
        partition_values: Some(partition(tenant, file)),
        size: Some(size(table, file)?),
        ..Remove::default()
    }))
}

/// What an entry of the log changes.
pub(super) fn change_of(table: Table, dir: &Path, entry: &[u8]) -> Result<Change, StoreError> {
    let mut change = Change::default();
    for line in entry.split(|byte| *byte == b'\n') {
        if line.is_empty() {
            continue;
        }
        let action: Value = serde_json::from_slice(line).map_err(unreadable(table))?;
        if let Some(add) = action.get("add") {
            let add: Add = serde_json::from_value(add.clone()).map_err(unreadable(table))?;
            let path = add.path.clone();
            change.add.insert(path, file_of_add(table, dir, &add)?);
        } else if let Some(remove) = action.get("remove") {
            let remove: Remove =
                serde_json::from_value(remove.clone()).map_err(unreadable(table))?;
            let at = Millis(remove.deletion_timestamp.unwrap_or(0));
            change.remove.insert(remove.path, at);
        } else if let Some(txn) = action.get("txn") {
            let txn: Transaction =
                serde_json::from_value(txn.clone()).map_err(unreadable(table))?;
            if txn.app_id == APP_ID {
                change.seq = u64::try_from(txn.version).unwrap_or(0);
            }
        }
    }
    Ok(change)
}

/// The file that a loaded log lists.
pub(super) fn file_of(
    table: Table,
    dir: &Path,
    view: &LogicalFileView,
) -> Result<(String, (TenantId, DataFile)), StoreError> {
    #[allow(deprecated, reason = "nothing else gives a file's tags")]
    let add = view.add_action();
    let file = file_of_add(table, dir, &add)?;
    Ok((add.path, file))
}

fn file_of_add(table: Table, dir: &Path, add: &Add) -> Result<(TenantId, DataFile), StoreError> {
    let value = |name: &str| add.partition_values.get(name).cloned().flatten();
    let tenant = value("tenant").and_then(|tenant| TenantId::new(tenant).ok());
    let tenant = tenant.ok_or_else(|| bad(table, "a file has no valid tenant"))?;
    let date = value("date").ok_or_else(|| bad(table, "a file has no date"))?;
    let stats = add.stats.as_deref().unwrap_or_default();
    let stats: Value = serde_json::from_str(stats).unwrap_or_default();
    let column = table.time_column();
    let rows = stats["numRecords"].as_u64();
    let tag = add.tags.as_ref().and_then(|tags| tags.get(CRC32_TAG));
    let crc32 = tag.and_then(|tag| u32::from_str_radix(tag.as_deref()?, 16).ok());
    let file = DataFile {
        path: dir.join(PathBuf::from(&add.path)),
        size_bytes: u64::try_from(add.size).unwrap_or(0),
        rows: rows.ok_or_else(|| bad(table, "a file has no row count"))?,
        date,
        min_time: stats["minValues"][column].as_i64(),
        max_time: stats["maxValues"][column].as_i64(),
        crc32,
        lease: Arc::default(),
    };
    Ok((tenant, file))
}

fn partition(tenant: &TenantId, file: &DataFile) -> HashMap<String, Option<String>> {
    HashMap::from([
        ("tenant".to_owned(), Some(tenant.as_str().to_owned())),
        ("date".to_owned(), Some(file.date.clone())),
    ])
}

fn size(table: Table, file: &DataFile) -> Result<i64, StoreError> {
    i64::try_from(file.size_bytes).map_err(|_| bad(table, "a file is too large"))
}

fn stats(table: Table, file: &DataFile) -> String {
    let mut stats = json!({ "numRecords": file.rows });
    let column = table.time_column();
    if let (Some(min), Some(max)) = (file.min_time, file.max_time) {
        stats["minValues"] = json!({ column: min });
        stats["maxValues"] = json!({ column: max });
        stats["nullCount"] = json!({ column: 0 });
    }
    stats.to_string()
}

fn unreadable(table: Table) -> impl Fn(serde_json::Error) -> StoreError {
    move |error| bad(table, &error.to_string())
}

fn bad(table: Table, reason: &str) -> StoreError {
    StoreError::Log {
        table,
        reason: reason.to_owned(),
    }
}
