//! Small files become large ones: no row is lost, doubled or changed, and whoever reads the old files goes on reading them.

use std::{path::Path, sync::Arc, time::Duration};

use arrow::{array::RecordBatch, util::pretty::pretty_format_batches};
use demarc_proto::ManualClock;
use demarc_store::{Snapshot, Store, StoreConfig, Table};

use crate::fixture::{
    all_tables, clock, expected_rows, gauge, open_at, open_with, row_count, tenant,
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
    for table in Table::ALL {
        expected.push(lines(&before, table).await);
    }
    // The day is over: as few files as there can be.
    clock.advance(DAY);
    store.maintain().await.unwrap();
    let after = store.snapshot(&tenant("a"));
    for (table, expected) in Table::ALL.into_iter().zip(&expected) {
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
    for (table, expected) in Table::ALL.into_iter().zip(&expected) {
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
