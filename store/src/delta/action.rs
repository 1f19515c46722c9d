//! Data files as actions of the Delta log, and back.

use std::{collections::HashMap, path::Path};

use deltalake::kernel::{Action, Add, DataType, LogicalFileView, StructField};
use demarc_proto::{Millis, TenantId};
use serde_json::{Value, json};

use crate::{
    DataFile, StoreError, Table,
    data_file::{NAME_PREFIX, Place},
};

/// The partition columns as Delta types.
pub(super) fn partition_columns() -> [StructField; 2] {
    [
        StructField::new("tenant", DataType::STRING, false),
        StructField::new("date", DataType::DATE, false),
    ]
}

/// Whether a file below the table's directory was written by the store.
pub(super) fn is_ours(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with(NAME_PREFIX) && name.ends_with(".parquet"))
}

/// The action that adds `file`, written at `place`.
pub(super) fn add(place: Place<'_>, file: &DataFile, now: Millis) -> Result<Action, StoreError> {
    let Place { table, dir, tenant } = place;
    let relative = file.path.strip_prefix(dir).ok().and_then(Path::to_str);
    let path = relative.ok_or_else(|| bad(table, "a data file lies outside its table"))?;
    let size = i64::try_from(file.size_bytes).map_err(|_| bad(table, "a file is too large"))?;
    Ok(Action::Add(Add {
        path: path.to_owned(),
        partition_values: HashMap::from([
            ("tenant".to_owned(), Some(tenant.as_str().to_owned())),
            ("date".to_owned(), Some(file.date.clone())),
        ]),
        size,
        modification_time: now.0,
        data_change: true,
        stats: Some(stats(table, file)),
        ..Add::default()
    }))
}

/// The file that an action of the log names.
pub(super) fn file_of(
    table: Table,
    dir: &Path,
    view: &LogicalFileView,
) -> Result<(TenantId, DataFile), StoreError> {
    let partition = view.partition_values_map();
    let value = |name: &str| partition.get(name).cloned().flatten();
    let tenant = value("tenant").and_then(|tenant| TenantId::new(tenant).ok());
    let tenant = tenant.ok_or_else(|| bad(table, "a file has no valid tenant"))?;
    let date = value("date").ok_or_else(|| bad(table, "a file has no date"))?;
    let stats = view.stats().unwrap_or_default();
    let stats: Value = serde_json::from_str(&stats).unwrap_or_default();
    let column = table.time_column();
    let rows = stats["numRecords"].as_u64();
    let file = DataFile {
        path: dir.join(view.path().as_ref()),
        size_bytes: u64::try_from(view.size()).unwrap_or(0),
        rows: rows.ok_or_else(|| bad(table, "a file has no row count"))?,
        date,
        min_time: stats["minValues"][column].as_i64(),
        max_time: stats["maxValues"][column].as_i64(),
    };
    Ok((tenant, file))
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

fn bad(table: Table, reason: &str) -> StoreError {
    StoreError::Log {
        table,
        reason: reason.to_owned(),
    }
}
