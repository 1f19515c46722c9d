//! What goes in comes out: from the head, from files, and after a restart.

use demarc_proto::Millis;
use demarc_store::{
    ChangeRow, EntityRow, Histogram, LogRow, RelationRow, Snapshot, SpanRow, StoreConfig, Table,
};

use crate::fixture::{
    DAY_MS, WRITTEN, all_tables, change, custom_histogram, entity, expected_rows, histogram, log,
    open, open_with, relation, row_count, rows_of, span, tenant,
};

async fn check_rows(snapshot: &Snapshot) {
    let mut spans = rows_of(snapshot, Table::Spans, SpanRow::from_batch).await;
    spans.sort_by_key(|span| span.span_id);
    assert_eq!(spans, (0..4).map(span).collect::<Vec<_>>());
    let logs = rows_of(snapshot, Table::Logs, LogRow::from_batch).await;
    assert_eq!(logs, (0..3).map(log).collect::<Vec<_>>());
    let entities = rows_of(snapshot, Table::Entities, EntityRow::from_batch).await;
    assert_eq!(entities, (0..2).map(entity).collect::<Vec<_>>());
    let relations = rows_of(snapshot, Table::Relations, RelationRow::from_batch).await;
    assert_eq!(relations, [relation()]);
    let changes = rows_of(snapshot, Table::Changes, ChangeRow::from_batch).await;
    assert_eq!(changes, [change()]);
    for table in WRITTEN {
        let batches = snapshot.read(table).await.unwrap();
        assert_eq!(row_count(&batches), expected_rows(table), "{table}");
        for batch in batches {
            assert_eq!(batch.schema(), table.schema(), "{table}");
        }
    }
    let histograms = rows_of(snapshot, Table::Histograms, Histogram::from_batch).await;
    let histograms: Vec<_> = histograms
        .into_iter()
        .map(|(_, at, value)| (at, value))
        .collect();
    let expected = [
        (Millis(DAY_MS + 1), histogram()),
        (Millis(DAY_MS + 2), custom_histogram()),
    ];
    assert_eq!(histograms, expected);
    let series = snapshot.select(&[], None).unwrap();
    let series: Vec<String> = series
        .iter()
        .map(|entry| entry.labels.to_string())
        .collect();
    assert_eq!(
        series,
        [
            r#"latency_seconds{job="api"}"#,
            r#"queue_seconds{job="api"}"#
        ]
    );
}

fn is_in_files(snapshot: &Snapshot, table: Table) -> bool {
    !snapshot.files(table).is_empty() && snapshot.head(table).is_empty()
}

#[tokio::test]
async fn every_table_round_trips_through_head_files_and_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let tenant = tenant("tax");
    let store = open(dir.path()).await;
    store.append(&tenant, all_tables()).await.unwrap();
    check_rows(&store.snapshot(&tenant)).await;
    drop(store);

    let store = open(dir.path()).await;
    let before = store.snapshot(&tenant);
    check_rows(&before).await;
    store.flush().await.unwrap();
    let after = store.snapshot(&tenant);
    check_rows(&after).await;
    for table in WRITTEN {
        assert!(is_in_files(&after, table), "{table}");
        assert!(before.files(table).is_empty(), "an older snapshot changed");
        assert_eq!(row_count(&before.head(table)), expected_rows(table));
    }
    store.close().await.unwrap();
    drop(store);

    let store = open(dir.path()).await;
    let reopened = store.snapshot(&tenant);
    check_rows(&reopened).await;
    for table in WRITTEN {
        assert_eq!(reopened.files(table), after.files(table), "{table}");
    }
    assert_eq!(store.tenants(), [tenant]);
}

#[tokio::test]
async fn the_log_is_gone_once_its_rows_are_in_files() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    store.append(&tenant("a"), all_tables()).await.unwrap();
    assert_eq!(wal_files(dir.path()), 1);
    store.flush().await.unwrap();
    assert_eq!(wal_files(dir.path()), 0);
}

#[tokio::test]
async fn checkpoints_of_the_delta_log_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let config = StoreConfig {
        checkpoint_commits: 2,
        ..StoreConfig::default()
    };
    let tenant = tenant("a");
    let store = open_with(dir.path(), config).await;
    for _ in 0..5 {
        store.append(&tenant, all_tables()).await.unwrap();
        store.flush().await.unwrap();
    }
    let files = store.snapshot(&tenant).files(Table::Spans);
    store.close().await.unwrap();
    drop(store);
    let log = dir.path().join("tables/spans/_delta_log");
    assert!(log.join("_last_checkpoint").exists());
    let store = open(dir.path()).await;
    assert_eq!(store.snapshot(&tenant).files(Table::Spans), files);
    assert_eq!(files.len(), 5);
}

fn wal_files(dir: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(dir.join("wal")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".wal")).count()
}
