//! A directory that an older version wrote, with fewer columns, stays readable and writable.

use std::{fs, path::Path};

use arrow::{
    array::{Array, RecordBatch},
    datatypes::Schema,
};
use demarc_store::{Histogram, Table};
use parquet::arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder};
use serde_json::Value;

use crate::fixture::{all_tables, custom_histogram, histogram, open, row_count, rows_of, tenant};

/// Columns that the first version did not have.
const LATER: [(Table, &[&str]); 2] = [
    (Table::Samples, &["start_time"]),
    (Table::Histograms, &["start_time", "custom_bounds", "reset"]),
];

/// Takes columns out of a table's log and out of its files.
fn take_out(dir: &Path, table: Table, columns: &[&str]) {
    let dir = dir.join("tables").join(table.name());
    let entries = ["00000000000000000000.json", "00000000000000000001.json"];
    for path in entries.map(|name| dir.join("_delta_log").join(name)) {
        let lines = fs::read_to_string(&path).unwrap();
        let older: Vec<String> = lines
            .lines()
            .map(|line| without(&dir, line, columns))
            .collect();
        fs::write(&path, older.join("\n")).unwrap();
    }
    // The first version had no journal.
    fs::remove_file(dir.join("_journal")).unwrap();
}

/// A line of the log as the first version would have written it; rewrites the file that it adds.
fn without(dir: &Path, line: &str, columns: &[&str]) -> String {
    let mut action: Value = serde_json::from_str(line).unwrap();
    if let Some(info) = action.get_mut("commitInfo") {
        info.as_object_mut().unwrap().remove("demarcSeal").unwrap();
    }
    if let Some(add) = action.get_mut("add") {
        let path = dir.join(add["path"].as_str().unwrap());
        rewrite(&path, columns);
        add["size"] = Value::from(fs::metadata(&path).unwrap().len());
        add["tags"] = Value::Null;
    }
    if let Some(text) = action["metaData"]["schemaString"].as_str() {
        let mut schema: Value = serde_json::from_str(text).unwrap();
        let fields = schema["fields"].as_array_mut().unwrap();
        let before = fields.len();
        fields.retain(|field| !columns.contains(&field["name"].as_str().unwrap()));
        assert_eq!(fields.len() + columns.len(), before);
        action["metaData"]["schemaString"] = Value::from(schema.to_string());
    }
    action.to_string()
}

fn rewrite(path: &Path, columns: &[&str]) {
    let file = fs::File::open(path).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    let schema = batches[0].schema();
    let kept: Vec<usize> = (0..schema.fields().len())
        .filter(|at| !columns.contains(&schema.field(*at).name().as_str()))
        .collect();
    let older: Schema = schema.project(&kept).unwrap();
    let file = fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, older.into(), None).unwrap();
    for batch in &batches {
        writer.write(&batch.project(&kept).unwrap()).unwrap();
    }
    writer.close().unwrap();
}

#[tokio::test]
async fn columns_that_an_older_version_did_not_have_are_null() {
    let dir = tempfile::tempdir().unwrap();
    let tenant = tenant("tax");
    let store = open(dir.path()).await;
    store.append(&tenant, all_tables()).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    for (table, columns) in LATER {
        take_out(dir.path(), table, columns);
    }

    let store = open(dir.path()).await;
    for (table, columns) in LATER {
        let batches = store.snapshot(&tenant).read(table).await.unwrap();
        assert!(row_count(&batches) > 0);
        for column in columns {
            for batch in &batches {
                let column = batch.column_by_name(column).unwrap();
                assert_eq!(column.null_count(), column.len());
            }
        }
    }
    store.append(&tenant, all_tables()).await.unwrap();
    store.flush().await.unwrap();
    let snapshot = store.snapshot(&tenant);
    let rows = rows_of(&snapshot, Table::Histograms, Histogram::from_batch).await;
    let histograms: Vec<Histogram> = rows.into_iter().map(|(_, _, value)| value).collect();
    assert_eq!(histograms.len(), 4);
    assert_eq!(histograms[0].start, None);
    assert_eq!(histograms[0].positive, histogram().positive);
    assert_eq!(histograms[2..], [histogram(), custom_histogram()]);
}
