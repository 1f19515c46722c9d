//! Writes that fail: the caller is told, nothing half-written counts, and work goes on when there is room again.

use std::{
    env, fs,
    path::Path,
    process::{Command, Stdio},
};

use demarc_store::{ChangeRow, Rows, StoreConfig, StoreError, Table};

use crate::disk::Disk;
use crate::fixture::{
    WRITTEN, all_tables, change, expected_rows, open, open_with, row_count, rows_of, tenant,
};

const DIR: &str = "DEMARC_TEST_FULL_DISK_DIR";

fn numbered(number: usize) -> Rows {
    let mut change = change();
    change.what = number.to_string();
    // Grows, so that the limit is hit at all places of a record.
    change.who = "x".repeat(37 * number);
    Rows {
        changes: vec![change],
        ..Rows::default()
    }
}

/// Appends under a limit on the size of files until the log is refused three times, flushing after each refusal.
#[tokio::test]
async fn writer() {
    let Ok(dir) = env::var(DIR) else { return };
    let store = open_with(Path::new(&dir), StoreConfig::default()).await;
    let mut refused = 0;
    let mut number = 0;
    while refused < 3 {
        match store.append(&tenant("a"), numbered(number)).await {
            Ok(()) => println!("acked {number}"),
            Err(error) => {
                assert!(matches!(error, StoreError::WalWrite { .. }), "{error}");
                assert!(error.is_retryable());
                refused += 1;
                if refused == 2 {
                    store.flush().await.unwrap();
                }
            }
        }
        number += 1;
    }
}

/// A limit on file sizes stands in for a full disk: a write is cut short and then fails.
#[tokio::test]
async fn a_refused_append_leaves_nothing_behind_and_the_next_one_may_pass() {
    let dir = tempfile::tempdir().unwrap();
    let limited = "trap '' XFSZ; ulimit -f 300; exec \"$0\" \"$@\"";
    let output = Command::new("bash")
        .args(["-c", limited])
        .arg(env::current_exe().unwrap())
        .args(["--exact", "full_disk::writer", "--nocapture"])
        .env(DIR, dir.path())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    let acked: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("acked "))
        .collect();
    assert!(acked.len() > 10);

    let store = open(dir.path()).await;
    let rows = rows_of(
        &store.snapshot(&tenant("a")),
        Table::Changes,
        ChangeRow::from_batch,
    )
    .await;
    let mut found: Vec<u64> = rows
        .iter()
        .map(|change| change.what.parse().unwrap())
        .collect();
    found.sort_unstable();
    let expected: Vec<u64> = acked.iter().map(|number| number.parse().unwrap()).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_failed_flush_keeps_its_rows_and_the_next_one_writes_them() {
    let dir = tempfile::tempdir().unwrap();
    let id = tenant("a");
    let obstacle = dir.path().join("tables/spans/tenant=a");
    let store = open(dir.path()).await;
    fs::write(&obstacle, "").unwrap();
    store.append(&id, all_tables()).await.unwrap();
    let failed = store.flush().await;
    assert!(
        matches!(&failed, Err(error) if error.is_retryable()),
        "{failed:?}"
    );
    let snapshot = store.snapshot(&id);
    assert!(snapshot.files(Table::Spans).is_empty());
    assert!(
        !snapshot.files(Table::Logs).is_empty(),
        "one table keeps the others from it"
    );
    drop(store);

    // As after a crash between the commits of two tables.
    let store = open(dir.path()).await;
    check_counts(&store, 1).await;
    store.append(&id, all_tables()).await.unwrap();
    assert!(store.flush().await.is_err());
    check_counts(&store, 2).await;
    fs::remove_file(&obstacle).unwrap();
    store.flush().await.unwrap();
    check_counts(&store, 2).await;
    assert!(store.snapshot(&id).head(Table::Spans).is_empty());
    drop(store);
    check_counts(&*open(dir.path()).await, 2).await;
}

#[tokio::test]
async fn a_commit_that_fails_is_looked_up_and_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let id = tenant("a");
    let store = open(dir.path()).await;
    let log = dir.path().join("tables/spans/_delta_log");
    let foreign = r#"{"commitInfo":{"timestamp":1,"operation":"OPTIMIZE"}}"#;
    fs::write(log.join("00000000000000000001.json"), foreign).unwrap();
    store.append(&id, all_tables()).await.unwrap();
    let refused = store.flush().await;
    assert!(
        matches!(&refused, Err(error @ StoreError::Io { action: "create", .. }) if error.is_retryable()),
        "{refused:?}"
    );
    check_counts(&store, 1).await;
    store.append(&id, all_tables()).await.unwrap();
    store.flush().await.unwrap();
    check_counts(&store, 2).await;
    assert!(store.snapshot(&id).head(Table::Spans).is_empty());
    drop(store);
    check_counts(&*open(dir.path()).await, 2).await;
}

/// Every table has what so many appends of all tables put there.
async fn check_counts(store: &demarc_store::Store, appends: usize) {
    let snapshot = store.snapshot(&tenant("a"));
    for table in WRITTEN {
        let rows = row_count(&snapshot.read(table).await.unwrap());
        // A series gets one row however often it is sent.
        let expected = match table {
            Table::Series => expected_rows(table),
            _ => expected_rows(table) * appends,
        };
        assert_eq!(rows, expected, "{table}");
    }
}

/// A real file system that is full: writes are refused, reads go on, and all is well again as soon as there is room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_writes_serves_reads_and_needs_no_restart() {
    let disk = match Disk::new(48 << 20) {
        Ok(disk) => disk,
        Err(reason) => {
            eprintln!("SKIPPED: needs to mount a file system (as root): {reason}");
            return;
        }
    };
    let dir = disk.root().join("data");
    let ballast = disk.root().join("ballast");
    let store = open(&dir).await;
    let mut acked = 0;
    for _ in 0..20 {
        store.append(&tenant("a"), numbered(acked)).await.unwrap();
        acked += 1;
    }
    store.flush().await.unwrap();
    // Rows that are in no file when the disk is full.
    store.append(&tenant("a"), numbered(acked)).await.unwrap();
    acked += 1;
    fill(&ballast);
    let mut refused = 0;
    while refused < 5 {
        match store.append(&tenant("a"), numbered(acked)).await {
            Ok(()) => acked += 1,
            Err(error) => {
                assert!(error.is_retryable(), "{error}");
                refused += 1;
            }
        }
    }
    let failed = store.flush().await;
    assert!(
        matches!(&failed, Err(error) if error.is_retryable()),
        "{failed:?}"
    );
    check_numbers(&store, acked).await;
    // A restart while the disk is full.
    drop(store);
    let store = open(&dir).await;
    check_numbers(&store, acked).await;
    assert!(store.append(&tenant("a"), numbered(500)).await.is_err());

    fs::remove_file(&ballast).unwrap();
    store.append(&tenant("a"), numbered(acked)).await.unwrap();
    acked += 1;
    store.flush().await.unwrap();
    check_numbers(&store, acked).await;
    store.maintain().await.unwrap();
    drop(store);
    let store = open(&dir).await;
    check_numbers(&store, acked).await;
    assert_eq!(store.damage(), []);
}

/// Writes until nothing fits any more.
fn fill(ballast: &Path) {
    use std::io::Write;
    let mut file = fs::File::create(ballast).unwrap();
    for size in [1 << 20, 1 << 12, 1] {
        while file.write_all(&vec![7; size]).is_ok() {}
    }
}

async fn check_numbers(store: &demarc_store::Store, count: usize) {
    let snapshot = store.snapshot(&tenant("a"));
    let rows = rows_of(&snapshot, Table::Changes, ChangeRow::from_batch).await;
    let mut found: Vec<usize> = rows.iter().map(|row| row.what.parse().unwrap()).collect();
    found.sort_unstable();
    assert_eq!(found, (0..count).collect::<Vec<_>>());
}
