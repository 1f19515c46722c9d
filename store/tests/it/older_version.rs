//! A directory that an older version wrote, with fewer columns, stays readable and writable.

use std::{fs, path::Path, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    datatypes::{Field, Float64Type, Schema},
};
use demarc_store::{Histogram, Table, restore_values};
use parquet::arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder};
use serde_json::Value;

use crate::fixture::{all_tables, custom_histogram, histogram, open, row_count, rows_of, tenant};

/// Columns that the first version did not have.
const LATER: [(Table, &[&str]); 2] = [
    (
        Table::Samples,
        &["start_time", "value_digits", "value_divisor"],
    ),
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
        for field in fields {
            if field["name"] == "value" {
                field["nullable"] = Value::from(false);
            }
        }
        action["metaData"]["schemaString"] = Value::from(schema.to_string());
    }
    action.to_string()
}

fn rewrite(path: &Path, columns: &[&str]) {
    let file = fs::File::open(path).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let batches = reader.build().unwrap().map(Result::unwrap);
    let older: Vec<RecordBatch> = batches.map(|batch| older(&batch, columns)).collect();
    let file = fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, older[0].schema(), None).unwrap();
    for batch in &older {
        writer.write(batch).unwrap();
    }
    writer.close().unwrap();
}

/// Values of samples were in one column.
fn older(batch: &RecordBatch, columns: &[&str]) -> RecordBatch {
    let mut kept = Vec::new();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let name = field.name().as_str();
        if name == "value" && columns.contains(&"value_digits") {
            let field = field.as_ref().clone().with_nullable(false);
            kept.push((field, whole_values(batch)));
        } else if !columns.contains(&name) {
            kept.push((field.as_ref().clone(), column.clone()));
        }
    }
    let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = kept.into_iter().unzip();
    RecordBatch::try_new(Schema::new(fields).into(), columns).unwrap()
}

fn whole_values(batch: &RecordBatch) -> ArrayRef {
    let column = |name| batch.column_by_name(name).unwrap();
    Arc::new(restore_values(
        column("value").as_primitive(),
        column("value_digits").as_primitive(),
        column("value_divisor").as_primitive(),
    ))
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
        for batch in &batches {
            let later = columns.iter().filter_map(|name| batch.column_by_name(name));
            for column in later {
                assert_eq!(column.null_count(), column.len());
            }
        }
    }
    let samples = store.snapshot(&tenant).read(Table::Samples).await.unwrap();
    let values = samples[0].column_by_name("value").unwrap();
    let values = values.as_primitive::<Float64Type>().values();
    assert_eq!((values[0].is_nan(), &values[1..]), (true, &[0.5, -1.0][..]));
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
