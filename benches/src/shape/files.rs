//! What the store's own files take, by column.

use std::{collections::BTreeMap, fs::File};

use demarc_proto::TenantId;
use demarc_store::{DataFile, Retention, Store, StoreConfig, Table};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// A store that writes files only when it is told to, and merges any two of a day.
pub(super) fn config() -> StoreConfig {
    StoreConfig {
        flush_rows: usize::MAX / 8,
        flush_bytes: usize::MAX / 8,
        flush_interval_seconds: u64::MAX / 8,
        maintenance_interval_seconds: u64::MAX / 8,
        compact_min_files: 2,
        retention: Retention::FOREVER,
        downsample_after_days: 0,
        ..StoreConfig::default()
    }
}

/// Bytes of each part of a table's files, divided by `items`.
pub(super) fn rows(store: &Store, table: Table, items: f64) -> anyhow::Result<Vec<Vec<String>>> {
    let files = store.snapshot(&TenantId::default()).files(table);
    let title = format!("{table} in {} files", files.len());
    let mut rows = vec![vec![title, "bytes each".to_owned()]];
    let mut row = |name: String, bytes: u64| {
        rows.push(vec![name, format!("{:.4}", bytes as f64 / items)]);
    };
    let mut rest = size(&files);
    let all = rest;
    for (part, bytes) in parts(&files)? {
        rest -= bytes;
        row(part, bytes);
    }
    row("page index, metadata".to_owned(), rest);
    row("whole files".to_owned(), all);
    Ok(rows)
}

/// Bytes of all files of a table.
pub(super) fn bytes(store: &Store, table: Table) -> u64 {
    size(&store.snapshot(&TenantId::default()).files(table))
}

fn size(files: &[DataFile]) -> u64 {
    files.iter().map(|file| file.size_bytes).sum()
}

/// Compressed bytes of each column, and of the Bloom filters.
fn parts(files: &[DataFile]) -> anyhow::Result<BTreeMap<String, u64>> {
    let mut parts = BTreeMap::new();
    for file in files {
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&file.path)?)?;
        let groups = reader.metadata().row_groups();
        for column in groups.iter().flat_map(|group| group.columns()) {
            let path = column.column_path().string();
            let filter = column.bloom_filter_length().unwrap_or_default();
            if filter > 0 {
                *parts.entry(format!("{path}, Bloom filter")).or_insert(0) +=
                    u64::from(filter.unsigned_abs());
            }
            *parts.entry(path).or_insert(0) += column.compressed_size().unsigned_abs();
        }
    }
    Ok(parts)
}
