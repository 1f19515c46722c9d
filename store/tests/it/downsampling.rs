//! Old samples are put into windows, once, whatever comes in between, and outlive what they were made of.

use std::{path::Path, sync::Arc, time::Duration};

use demarc_proto::{ManualClock, TimeRange};
use demarc_store::{Resolution, Retention, Rows, Store, StoreConfig, Table, Window};

use crate::fixture::{clock, gauge, nanos, open_at, row_count, tenant};

const DAY: Duration = Duration::from_secs(86_400);
const DAY_MS: i64 = 86_400_000;
const MINUTE_MS: i64 = 60_000;

fn config() -> StoreConfig {
    StoreConfig {
        retention: Retention {
            metrics_days: 5,
            metrics_5m_days: 10,
            metrics_1h_days: 20,
            ..Retention::default()
        },
        delete_grace_seconds: 0,
        ..StoreConfig::default()
    }
}

fn load(values: &[(i64, f64)]) -> Rows {
    Rows {
        metrics: vec![gauge("load", "api", values)],
        ..Rows::default()
    }
}

/// A value a minute on each of two days, in two files a day.
async fn two_days(dir: &Path, clock: &Arc<ManualClock>) -> Arc<Store> {
    let store = open_at(dir, config(), clock).await;
    for half in 0..4 {
        let minutes = half * 720..(half + 1) * 720;
        let values: Vec<(i64, f64)> = minutes
            .map(|at| (at * MINUTE_MS, (at % 7) as f64))
            .collect();
        store.append(&tenant("a"), load(&values)).await.unwrap();
        store.flush().await.unwrap();
    }
    store
}

async fn windows(store: &Store, resolution: Resolution) -> Vec<Window> {
    let snapshot = store.snapshot(&tenant("a"));
    let mut found = Vec::new();
    for batch in snapshot.read(resolution.table()).await.unwrap() {
        let rows = Window::from_batch(resolution, &batch).unwrap();
        found.extend(rows.into_iter().map(|(_, window)| window));
    }
    found.sort_by_key(|window| window.end.time);
    found
}

async fn count(store: &Store, resolution: Resolution) -> u64 {
    let windows = windows(store, resolution).await;
    windows.iter().map(|window| window.count).sum()
}

/// From which windows the two days are answered, by day.
fn sources(store: &Store) -> Vec<Option<Resolution>> {
    let day = |at: i64| {
        let range = TimeRange::new(nanos(at * DAY_MS), nanos((at + 1) * DAY_MS)).unwrap();
        let snapshot = store.snapshot(&tenant("a"));
        let stretches = snapshot.stretches(range, Some(Resolution::FiveMinutes));
        assert_eq!(stretches.len(), 1, "{stretches:?}");
        stretches[0].windows
    };
    vec![day(0), day(1)]
}

async fn after(store: &Store, clock: &Arc<ManualClock>, days: u32) {
    clock.advance(DAY * days);
    store.maintain().await.unwrap();
}

#[tokio::test]
async fn a_window_has_count_sum_least_greatest_first_and_last_of_its_samples() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let store = two_days(dir.path(), &clock).await;
    after(&store, &clock, 2).await;
    // Only the first of the two days is old enough.
    assert_eq!(sources(&store), [Some(Resolution::FiveMinutes), None]);
    let found = windows(&store, Resolution::FiveMinutes).await;
    // Midnight belongs to the window that ends there.
    assert_eq!(found.len(), 289);
    assert_eq!((found[0].count, found[0].sum), (1, 0.0));
    let second = found[1];
    assert_eq!((second.count, second.sum), (5, 15.0));
    assert_eq!((second.min, second.max), (1.0, 5.0));
    assert_eq!((second.first.value, second.last.value), (1.0, 5.0));
    assert_eq!(second.last.time - second.first.time, 4 * MINUTE_MS);
    assert_eq!(second.end, second.last);
    // 6, 0, 1, 2, 3
    assert_eq!(found[2].resets, 6.0);
    assert_eq!(windows(&store, Resolution::OneHour).await.len(), 25);
    assert_eq!(count(&store, Resolution::OneHour).await, 1440);
}

#[tokio::test]
async fn samples_that_come_later_are_put_into_the_windows_too() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let store = two_days(dir.path(), &clock).await;
    after(&store, &clock, 3).await;
    let before = store.snapshot(&tenant("a")).files(Table::Samples5m);
    store.maintain().await.unwrap();
    let again = store.snapshot(&tenant("a")).files(Table::Samples5m);
    assert_eq!(before, again, "what is done is not done again");
    let both = [Some(Resolution::FiveMinutes), Some(Resolution::FiveMinutes)];
    assert_eq!(sources(&store), both);
    // One more, and another value at the time of one that is there.
    let late = [(MINUTE_MS / 2, 100.0), (MINUTE_MS, 50.0)];
    store.append(&tenant("a"), load(&late)).await.unwrap();
    assert_eq!(sources(&store)[0], None, "in memory");
    store.flush().await.unwrap();
    assert_eq!(sources(&store)[0], None, "in a file");
    store.maintain().await.unwrap();
    assert_eq!(sources(&store), both);
    let second = windows(&store, Resolution::FiveMinutes).await[1];
    assert_eq!((second.count, second.sum), (6, 164.0));
    for resolution in Resolution::ALL {
        assert_eq!(count(&store, resolution).await, 2881);
        let files = store.snapshot(&tenant("a")).files(resolution.table());
        assert_eq!(files.len(), 2);
    }
}

#[tokio::test]
async fn windows_outlive_their_samples_and_samples_wait_for_their_windows() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let store = two_days(dir.path(), &clock).await;
    let log = dir.path().join("tables/samples_5m/_delta_log");
    let obstacle = log.join(format!("{:020}.json", 1));
    std::fs::create_dir(&obstacle).unwrap();
    clock.advance(DAY * 8);
    assert!(store.maintain().await.is_err());
    let rows = |table: Table| {
        let store = store.clone();
        async move { row_count(&store.snapshot(&tenant("a")).read(table).await.unwrap()) }
    };
    assert_eq!(
        rows(Table::Samples).await,
        2880,
        "their windows are not there yet"
    );
    assert_eq!(count(&store, Resolution::OneHour).await, 2880);
    std::fs::remove_dir(&obstacle).unwrap();
    store.maintain().await.unwrap();
    assert_eq!(rows(Table::Samples).await, 0);
    assert_eq!(count(&store, Resolution::FiveMinutes).await, 2880);
    let on_disk = std::fs::read_dir(dir.path().join("tables/samples_5m/tenant=a")).unwrap();
    assert_eq!(on_disk.count(), 2);
    let names = || {
        store
            .snapshot(&tenant("a"))
            .select(&[], None)
            .unwrap()
            .len()
    };
    // After so many days in all: windows of five minutes, of an hour, and series that are left.
    for (days, five_minutes, hours, series) in [
        (3, 1440, 2880, 1),
        (9, 0, 2880, 1),
        (1, 0, 1440, 1),
        (1, 0, 0, 0),
    ] {
        after(&store, &clock, days).await;
        assert_eq!(count(&store, Resolution::FiveMinutes).await, five_minutes);
        assert_eq!(count(&store, Resolution::OneHour).await, hours);
        assert_eq!(names(), series);
    }
}

#[tokio::test]
async fn a_late_sample_adds_to_windows_whose_other_samples_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let store = two_days(dir.path(), &clock).await;
    // The samples of the first day have expired, its windows have not.
    after(&store, &clock, 7).await;
    let left = store.snapshot(&tenant("a")).read(Table::Samples).await;
    assert_eq!(row_count(&left.unwrap()), 1440);
    let before = windows(&store, Resolution::FiveMinutes).await;
    // Taken before that, and written to a file only now.
    let late = [(MINUTE_MS / 2, 100.0), (10 * MINUTE_MS + 1, -1.0)];
    store.append(&tenant("a"), load(&late)).await.unwrap();
    store.flush().await.unwrap();
    store.maintain().await.unwrap();
    for resolution in Resolution::ALL {
        assert_eq!(count(&store, resolution).await, 2882, "{resolution:?}");
        let files = store.snapshot(&tenant("a")).files(resolution.table());
        assert_eq!(files.len(), 2);
    }
    let found = windows(&store, Resolution::FiveMinutes).await;
    assert_eq!(found.len(), before.len());
    assert_eq!((found[1].count, found[1].sum), (6, 115.0));
    assert_eq!(
        (found[1].first.time, found[1].max),
        (before[0].end.time + MINUTE_MS / 2, 100.0)
    );
    assert_eq!((found[3].count, found[3].min), (6, -1.0));
    assert_eq!(found[4..], before[4..]);
    assert_eq!((found[0], found[2]), (before[0], before[2]));
    let samples = store.snapshot(&tenant("a")).read(Table::Samples).await;
    assert_eq!(
        row_count(&samples.unwrap()),
        1440,
        "the late ones have expired, too"
    );
}
