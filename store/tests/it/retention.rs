//! What is too old goes, what is deleted goes at once, and in a month of ingest neither space nor the number of files grows on.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc, time::Duration};

use demarc_proto::{ManualClock, Millis, SeriesId};
use demarc_store::{
    MetricKind, Retention, Rows, Samples, SeriesEntry, Store, StoreConfig, StoreError, Table,
    TenantRetention,
};

use crate::fixture::{
    self, WRITTEN, all_tables, clock, gauge, log, nanos, open_at, row_count, span, tenant,
};

const DAY_MS: i64 = 86_400_000;

async fn rows(store: &Store, name: &str, table: Table) -> usize {
    let snapshot = store.snapshot(&tenant(name));
    row_count(&snapshot.read(table).await.unwrap())
}

async fn pass(store: &Store, clock: &Arc<ManualClock>, hours: u64) {
    clock.advance(Duration::from_secs(3600 * hours));
    store.maintain().await.unwrap();
}

/// Files and bytes below `dir`.
fn usage(dir: &Path) -> (usize, u64) {
    let (mut files, mut bytes) = (0, 0);
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() {
            let below = usage(&entry.path());
            files += below.0;
            bytes += below.1;
        } else {
            files += 1;
            bytes += metadata.len();
        }
    }
    (files, bytes)
}

#[tokio::test]
async fn each_signal_of_each_tenant_is_kept_as_long_as_it_is_set() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let own = TenantRetention {
        traces_days: Some(20),
        ..TenantRetention::default()
    };
    let config = StoreConfig {
        retention: Retention {
            metrics_days: 10,
            traces_days: 5,
            logs_days: 15,
            topology_days: 0,
            ..Retention::default()
        },
        downsample_after_days: 0,
        tenant_retention: BTreeMap::from([("b".to_owned(), own)]),
        ..StoreConfig::default()
    };
    let store = open_at(dir.path(), config, &clock).await;
    for name in ["a", "b"] {
        store.append(&tenant(name), all_tables()).await.unwrap();
    }
    store.flush().await.unwrap();
    // What is left after so many days: spans, samples, series, logs, entities; of a, then of b.
    let expected = [
        (5, [4, 3, 2, 3, 2], [4, 3, 2, 3, 2]),
        (6, [0, 3, 2, 3, 2], [4, 3, 2, 3, 2]),
        (11, [0, 0, 0, 3, 2], [4, 0, 0, 3, 2]),
        (16, [0, 0, 0, 0, 2], [4, 0, 0, 0, 2]),
        (21, [0, 0, 0, 0, 2], [0, 0, 0, 0, 2]),
    ];
    let tables = [
        Table::Spans,
        Table::Samples,
        Table::Series,
        Table::Logs,
        Table::Entities,
    ];
    let mut today = 0;
    for (day, of_a, of_b) in expected {
        pass(&store, &clock, 24 * (day - today)).await;
        today = day;
        for (name, expected) in [("a", of_a), ("b", of_b)] {
            for (table, expected) in tables.into_iter().zip(expected) {
                assert_eq!(
                    rows(&store, name, table).await,
                    expected,
                    "{name}, {table}, {day}"
                );
            }
        }
    }
    assert!(
        store
            .snapshot(&tenant("a"))
            .select(&[], None)
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn the_labels_of_a_deleted_tenant_are_gone_and_their_numbers_mean_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let store = open_at(dir.path(), StoreConfig::default(), &clock).await;
    let (a, b) = (tenant("a"), tenant("b"));
    let load = || Rows {
        metrics: vec![
            gauge("load", "secret", &[(1, 1.0)]),
            gauge("up", "x", &[(1, 1.0)]),
        ],
        ..Rows::default()
    };
    for id in [&a, &b] {
        store.append(id, load()).await.unwrap();
    }
    let intern = || {
        let labels = gauge("load", "secret", &[]).labels;
        store.series(&a).intern(SeriesEntry {
            id: SeriesId::of(&a, &labels),
            labels,
            kind: MetricKind::Gauge,
            unit: String::new(),
            help: String::new(),
        })
    };
    let samples = |series| {
        let mut samples = Samples::default();
        samples.push(series, Millis(fixture::DAY_MS + 2), 2.0);
        samples
    };
    let stale = intern();
    let held = store.snapshot(&a);
    let index = Arc::downgrade(&store.series(&a));
    store.delete_tenant(&a).await.unwrap();
    assert_eq!((store.series(&a).len(), store.series(&b).len()), (0, 2));
    // A reader that began before sees no series and meets no error.
    assert!(held.select(&[], None).is_ok() && held.head(Table::Samples).len() == 1);
    drop(held);
    assert!(index.upgrade().is_none(), "nobody keeps the labels");
    let refused = store
        .append_columns(&a, samples(stale), Rows::default())
        .await;
    assert!(matches!(refused, Err(StoreError::Forgotten)));
    let fresh = intern();
    assert_ne!(fresh, stale);
    store
        .append_columns(&a, samples(fresh), Rows::default())
        .await
        .unwrap();
    for _start in 0..2 {
        let snapshot = store.snapshot(&a);
        let found = snapshot.select(&[], None).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].labels.get("job"), "secret");
        assert_eq!(rows(&store, "a", Table::Samples).await, 1);
        assert_eq!(rows(&store, "a", Table::Series).await, 1);
        store.flush().await.unwrap();
    }
    store.close().await.unwrap();
    drop(store);
    let store = open_at(dir.path(), StoreConfig::default(), &clock).await;
    assert_eq!(store.snapshot(&a).select(&[], None).unwrap().len(), 1);
}

#[tokio::test]
async fn a_deleted_tenant_leaves_nothing_and_may_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let store = open_at(dir.path(), StoreConfig::default(), &clock).await;
    for name in ["a", "b"] {
        store.append(&tenant(name), all_tables()).await.unwrap();
        store.flush().await.unwrap();
        store.append(&tenant(name), all_tables()).await.unwrap();
    }
    assert!(store.delete_tenant(&tenant("a")).await.unwrap() > 0);
    assert_eq!(store.delete_tenant(&tenant("a")).await.unwrap(), 0);
    let snapshot = store.snapshot(&tenant("a"));
    assert!(snapshot.select(&[], None).unwrap().is_empty());
    assert!(store.tenants().iter().all(|one| *one != tenant("a")));
    for table in Table::ALL {
        assert_eq!(rows(&store, "a", table).await, 0, "{table}");
        if WRITTEN.contains(&table) {
            assert!(rows(&store, "b", table).await > 0, "{table}");
        }
        let folder = dir
            .path()
            .join("tables")
            .join(table.name())
            .join("tenant=a");
        assert!(!folder.exists(), "{table}");
    }
    let log = fs::read_dir(dir.path().join("wal")).unwrap();
    let names = log.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let segments: Vec<String> = names.filter(|name| name.ends_with(".wal")).collect();
    assert!(
        segments.is_empty(),
        "the write-ahead log holds rows of a deleted tenant: {segments:?}"
    );

    // The same series again: they have to be written down again, or a restart would not know them.
    store.append(&tenant("a"), all_tables()).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let store = open_at(dir.path(), StoreConfig::default(), &clock).await;
    assert_eq!(rows(&store, "a", Table::Series).await, 2);
    assert_eq!(
        store
            .snapshot(&tenant("a"))
            .select(&[], None)
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn what_was_merged_a_moment_ago_goes_with_its_tenant_as_soon_as_nobody_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let store = open_at(dir.path(), StoreConfig::default(), &clock).await;
    for _ in 0..3 {
        store.append(&tenant("a"), all_tables()).await.unwrap();
        store.flush().await.unwrap();
    }
    let folder = |table: Table| {
        let tables = dir.path().join("tables");
        tables.join(table.name()).join("tenant=a")
    };
    let reader = store.snapshot(&tenant("a"));
    pass(&store, &clock, 24).await;
    assert_eq!(store.snapshot(&tenant("a")).files(Table::Spans).len(), 1);
    assert!(usage(&folder(Table::Spans)).0 > 1);
    store.delete_tenant(&tenant("a")).await.unwrap();
    let kept = reader.read(Table::Spans).await.unwrap();
    assert_eq!(row_count(&kept), 12, "whoever reads goes on reading");
    drop(reader);
    store.maintain().await.unwrap();
    for table in Table::ALL {
        assert!(!folder(table).exists(), "{table}");
    }
}

/// A month in which each day brings the same: after the longest retention nothing grows any more.
#[tokio::test]
async fn in_a_month_of_ingest_space_and_files_stay_bounded() {
    const FLUSHES_A_DAY: i64 = 8;
    const DAYS: i64 = 31;
    // Checkpoints forget removed files by the wall clock, so that the month has to lie in the past.
    const YEARS_AGO: i64 = -3650 * DAY_MS;
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    clock.set(nanos(YEARS_AGO));
    let config = StoreConfig {
        retention: Retention {
            metrics_days: 7,
            traces_days: 7,
            logs_days: 7,
            topology_days: 7,
            metrics_5m_days: 8,
            metrics_1h_days: 9,
        },
        checkpoint_commits: 8,
        compact_min_files: 4,
        ..StoreConfig::default()
    };
    let store = open_at(dir.path(), config, &clock).await;
    let mut daily = Vec::new();
    for day in 0..DAYS {
        for flush in 0..FLUSHES_A_DAY {
            let ms = YEARS_AGO + day * DAY_MS + flush * DAY_MS / FLUSHES_A_DAY;
            let number = ms as u64;
            let rows = Rows {
                metrics: vec![gauge("load", "job", &[(ms, 0.5), (ms + 1, 0.7)])],
                spans: vec![span(number)],
                logs: vec![log(number)],
                ..Rows::default()
            };
            store.append(&tenant("a"), rows).await.unwrap();
            store.flush().await.unwrap();
            pass(&store, &clock, 24 / FLUSHES_A_DAY as u64).await;
        }
        daily.push(usage(dir.path()));
    }
    let most = |days: &[(usize, u64)]| {
        let files = days.iter().map(|(files, _)| *files).max().unwrap();
        let bytes = days.iter().map(|(_, bytes)| *bytes).max().unwrap();
        (files, bytes)
    };
    let (early, late) = (most(&daily[12..20]), most(&daily[23..]));
    assert!(late.0 <= early.0 + early.0 / 10, "files: {daily:?}");
    assert!(late.1 <= early.1 + early.1 / 10, "bytes: {daily:?}");
    // Of 31 * 8 flushes of four tables, each with its own file and commit.
    assert!(late.0 < 400, "files: {daily:?}");
    eprintln!("files and bytes at the end of each day: {daily:?}");
    let kept = rows(&store, "a", Table::Spans).await as i64;
    assert!(
        (7 * FLUSHES_A_DAY..=9 * FLUSHES_A_DAY).contains(&kept),
        "{kept}"
    );
}
