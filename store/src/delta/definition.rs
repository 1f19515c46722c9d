//! The first words of a Delta log: which protocol it speaks, and what columns its table has.

use deltalake::kernel::{
    DataType, StructField, StructType, engine::arrow_conversion::TryIntoKernel,
};
use demarc_proto::Millis;
use serde_json::json;
use uuid::Uuid;

use super::PARTITIONS;
use crate::{StoreError, Table};

/// The lines that define `table`, which is known by `id`.
pub(super) fn lines(table: Table, id: Uuid, now: Millis) -> Result<[String; 2], StoreError> {
    // Source: Delta transaction log protocol, "Protocol Evolution": 1 and 2 are what every reader and writer knows.
    let protocol = json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}});
    let metadata = json!({"metaData": {
        "id": id,
        "name": table.name(),
        "format": {"provider": "parquet", "options": {}},
        "schemaString": schema_text(table)?,
        "partitionColumns": PARTITIONS,
        "createdTime": now.0,
        // How long checkpoints remember removed files; the store itself deletes these by `delete_grace_seconds`.
        "configuration": {"delta.deletedFileRetentionDuration": "interval 1 hours"},
    }});
    Ok([protocol.to_string(), metadata.to_string()])
}

fn schema_text(table: Table) -> Result<String, StoreError> {
    let columns: StructType = table.file_schema().as_ref().try_into_kernel()?;
    let partition = [
        StructField::new("tenant", DataType::STRING, false),
        StructField::new("date", DataType::DATE, false),
    ];
    let fields = partition.into_iter().chain(columns.fields().cloned());
    let schema = StructType::try_new(fields).map_err(|error| StoreError::Log {
        table,
        reason: error.to_string(),
    })?;
    Ok(serde_json::to_string(&schema).expect("a schema is JSON"))
}
