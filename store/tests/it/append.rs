//! Appending: tenants, days, series rows, batches, and a store that is closed or taken.

use std::sync::Arc;

use demarc_proto::{Matcher, Millis, TimeRange};
use demarc_store::{Rows, Store, StoreConfig, StoreError, Table};

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::fixture::{DAY_MS, gauge, nanos, open, open_with, row_count, tenant};

const DAY: i64 = 86_400_000;

fn metrics(name: &str, values: &[(i64, f64)]) -> Rows {
    Rows {
        metrics: vec![gauge(name, "api", values)],
        ..Rows::default()
    }
}

async fn rows_in(store: &Store, name: &str, table: Table) -> usize {
    let batches = store.snapshot(&tenant(name)).read(table).await.unwrap();
    row_count(&batches)
}

#[tokio::test]
async fn tenants_do_not_see_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    for (name, count) in [("tax", 1), ("a*b!'()", 2)] {
        for at in 0..count {
            store
                .append(&tenant(name), metrics("up", &[(at, 1.0)]))
                .await
                .unwrap();
        }
    }
    store.flush().await.unwrap();
    drop(store);
    let store = open(dir.path()).await;
    assert_eq!(rows_in(&store, "tax", Table::Samples).await, 1);
    assert_eq!(rows_in(&store, "a*b!'()", Table::Samples).await, 2);
    assert_eq!(rows_in(&store, "nobody", Table::Samples).await, 0);
    assert!(
        store
            .snapshot(&tenant("nobody"))
            .select(&[], None)
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_series_gets_one_row_for_each_day_with_values() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let rows = || metrics("up", &[(0, 1.0), (1, 1.0), (DAY, 1.0)]);
    let id = tenant("a");
    let both = tokio::join!(store.append(&id, rows()), store.append(&id, rows()));
    assert!(both.0.is_ok() && both.1.is_ok());
    assert_eq!(rows_in(&store, "a", Table::Series).await, 2);
    store.flush().await.unwrap();
    drop(store);

    let store = open(dir.path()).await;
    store
        .append(&id, metrics("up", &[(2, 1.0), (2 * DAY, 1.0)]))
        .await
        .unwrap();
    assert_eq!(rows_in(&store, "a", Table::Series).await, 3);
    let snapshot = store.snapshot(&id);
    let dates: Vec<String> = snapshot
        .files(Table::Samples)
        .into_iter()
        .map(|file| file.date)
        .collect();
    assert_eq!(dates, ["2026-11-23", "2026-11-24"]);
    let found = |start, end| {
        let range = TimeRange::new(nanos(start), nanos(end));
        snapshot
            .select(&[Matcher::equal("__name__", "up")], range)
            .unwrap()
            .len()
    };
    assert_eq!(
        (
            found(2 * DAY, 3 * DAY),
            found(3 * DAY, 4 * DAY),
            found(-DAY, 0)
        ),
        (1, 0, 0)
    );
}

#[tokio::test]
async fn many_small_appends_are_few_batches_and_keep_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let id = tenant("a");
    let appends = (0..300).map(|at| store.append(&id, metrics("up", &[(at, at as f64)])));
    let done = futures::future::join_all(appends).await;
    assert!(done.iter().all(Result::is_ok));
    // One more turn of the writer: merging comes after acknowledging.
    store
        .append(&id, metrics("up", &[(300, 300.0)]))
        .await
        .unwrap();
    let batches = store.snapshot(&id).head(Table::Samples);
    assert_eq!(row_count(&batches), 301);
    assert!(batches.len() < 64, "{} batches", batches.len());
}

#[tokio::test]
async fn files_are_sorted_and_know_their_times() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let id = tenant("a");
    store
        .append(&id, metrics("b", &[(7, 7.0), (5, 5.0)]))
        .await
        .unwrap();
    store
        .append(&id, metrics("a", &[(9, 9.0), (1, 1.0)]))
        .await
        .unwrap();
    store.flush().await.unwrap();
    let snapshot = store.snapshot(&id);
    let files = snapshot.files(Table::Samples);
    assert_eq!(files.len(), 1);
    assert_eq!(files[0].rows, 4);
    assert_eq!(
        files[0].size_bytes,
        std::fs::metadata(&files[0].path).unwrap().len()
    );
    assert_eq!(files[0].min_time, Some(DAY_MS + 1));
    assert_eq!(files[0].max_time, Some(DAY_MS + 9));
    let rows = snapshot.read(Table::Samples).await.unwrap();
    let times = rows[0].column_by_name("time").unwrap();
    let times: &arrow::array::Int64Array = times.as_any().downcast_ref().unwrap();
    let times: Vec<i64> = times.values().iter().map(|time| time - DAY_MS).collect();
    assert_eq!(times, [1, 9, 5, 7]);
}

#[tokio::test]
async fn files_carry_what_readers_skip_by() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let id = tenant("a");
    store
        .append(&id, crate::fixture::all_tables())
        .await
        .unwrap();
    store.flush().await.unwrap();
    let path = store.snapshot(&id).files(Table::Spans)[0].path.clone();
    let file = std::fs::File::open(path).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let group = reader.metadata().row_group(0);
    let trace_id = group.column(0);
    assert!(trace_id.bloom_filter_offset().is_some());
    assert!(trace_id.statistics().is_some());
    assert!(trace_id.column_index_offset().is_some() && trace_id.offset_index_offset().is_some());
    let sorting: Vec<i32> = group
        .sorting_columns()
        .unwrap()
        .iter()
        .map(|key| key.column_idx)
        .collect();
    assert_eq!(sorting, [0, 6]);
}

#[tokio::test]
async fn a_flush_whose_caller_gives_up_is_finished_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let id = tenant("a");
    for round in 0..20 {
        store
            .append(&id, metrics("up", &[(round, 1.0)]))
            .await
            .unwrap();
        let mut flush = Box::pin(store.flush());
        for _ in 0..round {
            if futures::poll!(&mut flush).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    store.close().await.unwrap();
    drop(store);
    let store = open(dir.path()).await;
    assert_eq!(rows_in(&store, "a", Table::Samples).await, 20);
}

#[tokio::test]
async fn a_full_head_is_flushed_unasked() {
    let dir = tempfile::tempdir().unwrap();
    let config = StoreConfig {
        flush_rows: 10,
        ..StoreConfig::default()
    };
    let store = open_with(dir.path(), config).await;
    let id = tenant("a");
    let values: Vec<(i64, f64)> = (0..10).map(|at| (at, 0.0)).collect();
    store.append(&id, metrics("up", &values)).await.unwrap();
    while store.snapshot(&id).files(Table::Samples).is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_closed_store_refuses_and_keeps_what_it_had() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let id = tenant("a");
    store.append(&id, metrics("up", &[(0, 1.0)])).await.unwrap();
    store.close().await.unwrap();
    store.close().await.unwrap();
    let refused = store.append(&id, metrics("up", &[(1, 1.0)])).await;
    assert!(matches!(refused, Err(StoreError::Closed)));
    assert_eq!(store.snapshot(&id).files(Table::Samples).len(), 1);
}

#[tokio::test]
async fn two_stores_cannot_share_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let clock = Arc::new(demarc_proto::ManualClock::default());
    let second = Store::open(dir.path(), StoreConfig::default(), clock).await;
    assert!(matches!(second, Err(StoreError::InUse { .. })));
    drop(store);
    open(dir.path()).await;
}

#[tokio::test]
async fn times_at_the_ends_of_their_range_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let id = tenant("a");
    let mut rows = metrics("up", &[(0, 1.0), (1, 2.0)]);
    rows.metrics[0].samples[0].time = Millis(i64::MIN);
    rows.metrics[0].samples[1].time = Millis(i64::MAX);
    store.append(&id, rows).await.unwrap();
    store.flush().await.unwrap();
    drop(store);
    let store = open(dir.path()).await;
    assert_eq!(rows_in(&store, "a", Table::Samples).await, 2);
    assert_eq!(store.snapshot(&id).select(&[], None).unwrap().len(), 1);
}
