//! Small files become large ones: no row is lost, doubled or changed, and whoever reads the old files goes on reading them.

use std::{path::Path, sync::Arc, time::Duration};

use arrow::{array::RecordBatch, util::pretty::pretty_format_batches};
use demarc_proto::ManualClock;
use demarc_store::{Rows, Snapshot, Store, StoreConfig, Table};

use crate::fixture::{
    WRITTEN, all_tables, clock, expected_rows, gauge, open_at, open_with, row_count, tenant,
};

const FLUSHES: usize = 10;
const DAY: Duration = Duration::from_secs(86_400);

fn config() -> StoreConfig {
    StoreConfig {
        compact_min_files: 4,
        checkpoint_commits: 5,
        ..StoreConfig::default()
    }
}

async fn flushed(dir: &Path, clock: &Arc<ManualClock>) -> Arc<Store> {
    let store = open_at(dir, config(), clock).await;
    for number in 0..FLUSHES {
        let mut rows = all_tables();
        // A series of its own for each flush, so that merged files interleave.
        rows.metrics.push(gauge(
            "load",
            &format!("job{number}"),
            &[(number as i64, 0.1)],
        ));
        store.append(&tenant("a"), rows).await.unwrap();
        store.flush().await.unwrap();
    }
    store
}

/// The rows of a table as text, in an order of their own.
async fn lines(snapshot: &Snapshot, table: Table) -> Vec<String> {
    let batches = snapshot.read(table).await.unwrap();
    let mut lines = Vec::new();
    for batch in &batches {
        let text = pretty_format_batches(std::slice::from_ref(batch)).unwrap();
        let text = text.to_string();
        // Columns are as wide as their batch needs.
        let rows = text.lines().skip(3).filter(|line| line.starts_with("| "));
        lines.extend(rows.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")));
    }
    lines.sort();
    lines
}

fn is_sorted(batches: &[RecordBatch]) -> bool {
    let ids: Vec<(String, Vec<u8>)> = batches
        .iter()
        .flat_map(|batch| {
            use arrow::array::AsArray;
            let metric = batch.column_by_name("metric").unwrap();
            let id = batch.column_by_name("series_id").unwrap();
            let row = |at| {
                let metric = metric.as_string::<i32>().value(at).to_owned();
                (metric, id.as_binary::<i32>().value(at).to_vec())
            };
            (0..batch.num_rows()).map(row).collect::<Vec<_>>()
        })
        .collect();
    ids.is_sorted()
}

#[tokio::test]
async fn merged_files_hold_the_same_rows_sorted() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let store = flushed(dir.path(), &clock).await;
    let before = store.snapshot(&tenant("a"));
    let mut expected = Vec::new();
    for table in WRITTEN {
        expected.push(lines(&before, table).await);
    }
    // The day is over: as few files as there can be.
    clock.advance(DAY);
    store.maintain().await.unwrap();
    let after = store.snapshot(&tenant("a"));
    for (table, expected) in WRITTEN.into_iter().zip(&expected) {
        assert!(
            before.files(table).len() > 1 || expected_rows(table) == 0,
            "{table}"
        );
        assert_eq!(after.files(table).len(), 1, "{table}");
        assert_eq!(&lines(&after, table).await, expected, "{table}");
        // The reader from before is not disturbed.
        assert_eq!(
            &lines(&before, table).await,
            expected,
            "{table}, older snapshot"
        );
    }
    assert!(is_sorted(&after.read(Table::Samples).await.unwrap()));
    drop((before, after, store));
    let store = open_with(dir.path(), config()).await;
    let restarted = store.snapshot(&tenant("a"));
    for (table, expected) in WRITTEN.into_iter().zip(&expected) {
        assert_eq!(
            &lines(&restarted, table).await,
            expected,
            "{table}, restarted"
        );
    }
}

#[tokio::test]
async fn merged_files_stay_on_disk_for_a_while_and_as_long_as_they_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let store = flushed(dir.path(), &clock).await;
    let reader = store.snapshot(&tenant("a"));
    let old = reader.files(Table::Spans);
    clock.advance(DAY);
    store.maintain().await.unwrap();
    let exist = |count: usize| {
        let left = old.iter().filter(|file| file.path.exists()).count();
        assert_eq!(left, count);
    };
    exist(FLUSHES);
    clock.advance(DAY);
    store.maintain().await.unwrap();
    // The grace is over, but there is a reader.
    exist(FLUSHES);
    drop(reader);
    let paths: Vec<_> = old.iter().map(|file| file.path.clone()).collect();
    drop(old);
    store.maintain().await.unwrap();
    assert!(paths.iter().all(|path| !path.exists()));
}

#[tokio::test]
async fn within_the_grace_even_a_restart_leaves_merged_files_to_their_readers() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let store = flushed(dir.path(), &clock).await;
    let old = store.snapshot(&tenant("a")).files(Table::Spans)[0]
        .path
        .clone();
    clock.advance(DAY);
    store.maintain().await.unwrap();
    drop(store);
    let store = open_at(dir.path(), config(), &clock).await;
    assert!(old.exists());
    clock.advance(DAY);
    store.maintain().await.unwrap();
    assert!(!old.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_and_readers_go_on_while_files_are_merged() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let store = flushed(dir.path(), &clock).await;
    clock.advance(DAY);
    let maintaining = {
        let store = store.clone();
        tokio::spawn(async move { store.maintain().await })
    };
    let mut appends = FLUSHES;
    while !maintaining.is_finished() {
        store.append(&tenant("a"), all_tables()).await.unwrap();
        appends += 1;
        if appends.is_multiple_of(3) {
            store.flush().await.unwrap();
        }
        let spans = store
            .snapshot(&tenant("a"))
            .read(Table::Spans)
            .await
            .unwrap();
        assert_eq!(row_count(&spans), appends * expected_rows(Table::Spans));
    }
    maintaining.await.unwrap().unwrap();
    drop(store);
    let store = open_with(dir.path(), config()).await;
    let spans = store
        .snapshot(&tenant("a"))
        .read(Table::Spans)
        .await
        .unwrap();
    assert_eq!(row_count(&spans), appends * expected_rows(Table::Spans));
}

#[tokio::test]
async fn of_two_values_at_one_time_the_later_one_counts_after_a_merge_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let store = open_at(dir.path(), config(), &clock).await;
    let one = |value: f64| Rows {
        metrics: vec![gauge("load", "api", &[(5, value)])],
        ..Rows::default()
    };
    // What comes before it is no reason for a later value to come first.
    let mut second = one(2.0);
    second.metrics.push(gauge("load", "api", &[(3, 9.0)]));
    for rows in [one(1.0), second] {
        store.append(&tenant("a"), rows).await.unwrap();
        store.flush().await.unwrap();
    }
    // Too large to be merged with the others.
    let mut last = one(3.0);
    let many: Vec<(i64, f64)> = (0..20_000).map(|at| (at, (at as f64).sqrt())).collect();
    last.metrics.push(gauge("noise", "api", &many));
    store.append(&tenant("a"), last).await.unwrap();
    store.flush().await.unwrap();
    clock.advance(DAY);
    store.maintain().await.unwrap();
    drop(store);
    let store = open_with(dir.path(), config()).await;
    let files = store.snapshot(&tenant("a")).files(Table::Samples);
    let rows: Vec<u64> = files.iter().map(|file| file.rows).collect();
    assert_eq!(rows, [3, 20_001], "oldest first");
    assert_eq!(load_values(&store).await, [9.0, 1.0, 2.0, 3.0]);
}

/// The values of `load` in the order in which they are read.
async fn load_values(store: &Store) -> Vec<f64> {
    use arrow::array::AsArray;
    let snapshot = store.snapshot(&tenant("a"));
    let mut values = Vec::new();
    for batch in snapshot.read(Table::Samples).await.unwrap() {
        let metric = batch.column_by_name("metric").unwrap().as_string::<i32>();
        let value = batch.column_by_name("value").unwrap();
        let value = value.as_primitive::<arrow::datatypes::Float64Type>();
        let rows = (0..batch.num_rows()).filter(|row| metric.value(*row) == "load");
        values.extend(rows.map(|row| value.value(row)));
    }
    values
}

#[tokio::test]
async fn a_merge_that_fails_keeps_no_other_from_being_done_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let store = flushed(dir.path(), &clock).await;
    let reader = store.snapshot(&tenant("a"));
    clock.advance(DAY);
    let samples = dir.path().join("tables/samples");
    // In the way of the next entry of the log.
    let next = last_version(&samples.join("_delta_log")) + 1;
    let obstacle = samples.join(format!("_delta_log/{next:020}.json"));
    std::fs::create_dir(&obstacle).unwrap();
    assert!(store.maintain().await.is_err());
    let after = store.snapshot(&tenant("a"));
    assert_eq!(after.files(Table::Samples).len(), FLUSHES);
    for table in [Table::Series, Table::Spans, Table::Logs, Table::Changes] {
        assert_eq!(after.files(table).len(), 1, "{table}");
    }
    drop(after);
    std::fs::remove_dir(&obstacle).unwrap();
    store.maintain().await.unwrap();
    let merged = store.snapshot(&tenant("a")).files(Table::Samples);
    assert_eq!(merged.len(), 1);
    let files = merged[0].path.parent().unwrap();
    assert_eq!(count(files, "parquet"), FLUSHES + 1);
    // The failure has not made the store forget who reads what.
    clock.advance(DAY);
    store.maintain().await.unwrap();
    let left = reader.read(Table::Samples).await.unwrap();
    assert_eq!(
        row_count(&left),
        FLUSHES * (expected_rows(Table::Samples) + 1)
    );
}

/// How many files in `dir` have the extension.
fn count(dir: &Path, extension: &str) -> usize {
    let entries = std::fs::read_dir(dir).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .count()
}

/// The version of the newest entry of a Delta log.
fn last_version(log: &Path) -> u64 {
    let entries = std::fs::read_dir(log).unwrap();
    let versions = entries.filter_map(|entry| {
        let name = entry.unwrap().file_name();
        name.to_str()?.strip_suffix(".json")?.parse().ok()
    });
    versions.max().unwrap()
}
