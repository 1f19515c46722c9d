//! Damaged files are survived, and what is intact in them is kept.

use std::{
    fs,
    path::{Path, PathBuf},
};

use demarc_store::{ChangeRow, DamageKind, Rows, Store, Table};

use crate::fixture::{all_tables, change, open, row_count, rows_of, tenant};

const SEGMENT_HEADER_LEN: usize = 20;

fn numbered(number: usize) -> Rows {
    let mut change = change();
    change.what = number.to_string();
    Rows {
        changes: vec![change],
        ..Rows::default()
    }
}

/// A store's directory after appends 0 to 4 and a crash; also where each record of its one segment begins.
async fn crashed() -> (tempfile::TempDir, PathBuf, Vec<usize>) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let wal = dir.path().join("wal");
    let mut starts = vec![SEGMENT_HEADER_LEN];
    for number in 0..5 {
        store.append(&tenant("a"), numbered(number)).await.unwrap();
        let segment = only_file(&wal, "wal");
        starts.push(fs::metadata(segment).unwrap().len() as usize);
    }
    drop(store);
    let segment = only_file(&wal, "wal");
    (dir, segment, starts)
}

fn only_file(dir: &Path, extension: &str) -> PathBuf {
    let files = files(dir, extension);
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect()
}

async fn numbers(dir: &Path) -> Vec<String> {
    let store = open(dir).await;
    // Rows of recovered records and new ones live together.
    store.append(&tenant("a"), numbered(9)).await.unwrap();
    numbers_of(&store).await
}

async fn numbers_of(store: &Store) -> Vec<String> {
    let rows = rows_of(
        &store.snapshot(&tenant("a")),
        Table::Changes,
        ChangeRow::from_batch,
    )
    .await;
    rows.into_iter().map(|change| change.what).collect()
}

#[tokio::test]
async fn a_torn_tail_is_cut_off() {
    let (dir, segment, starts) = crashed().await;
    let bytes = fs::read(&segment).unwrap();
    for cut in [starts[5] - 1, starts[4] + 21, starts[4] + 3] {
        fs::write(&segment, &bytes[..cut]).unwrap();
        let files_before = files(&dir.path().join("wal"), "damaged").len();
        assert_eq!(
            numbers(dir.path()).await,
            ["0", "1", "2", "3", "9"],
            "cut at {cut}"
        );
        assert_eq!(
            files(&dir.path().join("wal"), "damaged").len(),
            files_before
        );
        assert_eq!(fs::metadata(&segment).unwrap().len() as usize, starts[4]);
        // The next round begins from the crash again.
        for later in files(&dir.path().join("wal"), "wal") {
            fs::remove_file(later).unwrap();
        }
    }
}

#[tokio::test]
async fn a_flipped_bit_costs_one_record_which_is_put_aside() {
    let (dir, segment, starts) = crashed().await;
    let mut bytes = fs::read(&segment).unwrap();
    for at in [starts[2] + 1, starts[2] + 5, starts[2] + 60] {
        bytes[at] ^= 0x10;
    }
    fs::write(&segment, &bytes).unwrap();
    assert_eq!(numbers(dir.path()).await, ["0", "1", "3", "4", "9"]);
    let aside = only_file(&dir.path().join("wal"), "damaged");
    assert_eq!(fs::read(aside).unwrap(), bytes[starts[2]..starts[3]]);
    // Found again at the next start, and not counted twice.
    assert_eq!(numbers(dir.path()).await, ["0", "1", "3", "4", "9", "9"]);
    only_file(&dir.path().join("wal"), "damaged");
}

#[tokio::test]
async fn a_damaged_segment_header_costs_nothing_but_the_header() {
    let (dir, segment, _) = crashed().await;
    let mut bytes = fs::read(&segment).unwrap();
    bytes[3] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    assert_eq!(numbers(dir.path()).await, ["0", "1", "2", "3", "4", "9"]);
}

#[tokio::test]
async fn a_segment_that_did_not_get_its_header_is_survived() {
    let (dir, segment, _) = crashed().await;
    fs::write(segment.with_file_name("0000000000000001.wal"), b"DMRC").unwrap();
    assert_eq!(numbers(dir.path()).await, ["0", "1", "2", "3", "4", "9"]);
}

#[tokio::test]
async fn records_of_a_failed_group_do_not_count_when_their_numbers_were_given_again() {
    let (dir, segment, starts) = crashed().await;
    // What is left when a group could neither be completed nor cut off: the next segment begins with its number.
    let bytes = fs::read(&segment).unwrap();
    let first_seq: u64 = 4;
    let mut next = b"DMRCWAL1".to_vec();
    next.extend(first_seq.to_le_bytes());
    next.extend(crc32fast::hash(&next).to_le_bytes());
    next.extend(&bytes[starts[3]..starts[4]]);
    fs::write(segment.with_file_name("0000000000000001.wal"), next).unwrap();
    assert_eq!(numbers(dir.path()).await, ["0", "1", "2", "3", "9"]);
}

#[tokio::test]
async fn a_data_file_without_a_commit_is_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let id = tenant("a");
    let store = open(dir.path()).await;
    store.append(&id, all_tables()).await.unwrap();
    store.flush().await.unwrap();
    let committed = store.snapshot(&id).files(Table::Spans)[0].path.clone();
    drop(store);
    let orphan = committed.with_file_name("demarc-00000000-0000-7000-8000-000000000000.parquet");
    let foreign = committed.with_file_name("part-0001.parquet");
    for copy in [&orphan, &foreign] {
        fs::copy(&committed, copy).unwrap();
    }
    let store = open(dir.path()).await;
    assert!(!orphan.exists() && foreign.exists() && committed.exists());
    assert_eq!(
        row_count(&store.snapshot(&id).read(Table::Spans).await.unwrap()),
        4
    );
}

/// What is lost of the write-ahead log is never lost silently, not even at its end.
#[tokio::test]
async fn records_that_are_gone_are_reported_once() {
    let (dir, segment, starts) = crashed().await;
    let bytes = fs::read(&segment).unwrap();
    let cases: [(&str, Option<&[u8]>, &str); 4] = [
        (
            "halved",
            Some(&bytes[..starts[2] + 9]),
            "records 3 to 5 are missing",
        ),
        ("emptied", Some(&[]), "records 1 to 5 are missing"),
        ("deleted", None, "records 1 to 5 are missing"),
        ("intact", Some(&bytes), ""),
    ];
    let mark = segment.with_file_name("acknowledged");
    let acknowledged = fs::read(&mark).unwrap();
    let covered = segment.with_file_name("covered");
    for (case, content, reason) in cases {
        fs::remove_dir_all(dir.path().join("quarantine")).ok();
        for later in files(&dir.path().join("wal"), "wal") {
            fs::remove_file(later).unwrap();
        }
        if let Some(content) = content {
            fs::write(&segment, content).unwrap();
        }
        fs::write(&mark, &acknowledged).unwrap();
        // An older version did not have it.
        fs::remove_file(&covered).unwrap();
        for _start in 0..2 {
            let store = open(dir.path()).await;
            let found: Vec<_> = store
                .damage()
                .into_iter()
                .map(|damage| (damage.kind, damage.reason))
                .collect();
            let expected: Vec<_> = (!reason.is_empty())
                .then(|| (DamageKind::Wal, reason.to_owned()))
                .into_iter()
                .collect();
            assert_eq!(found, expected, "{case}");
        }
    }
}

/// Segments stay until the slowest table has their rows; that another one has its own does not make them needless.
#[tokio::test]
async fn records_that_only_a_slower_table_needs_are_reported_when_they_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let id = tenant("a");
    let store = open(dir.path()).await;
    store.append(&id, all_tables()).await.unwrap();
    store.flush().await.unwrap();
    assert_eq!(files(&dir.path().join("wal"), "wal").len(), 0);
    store.append(&id, all_tables()).await.unwrap();
    let log = dir.path().join("tables/spans/_delta_log");
    let obstacle = log.join(format!("{:020}.json", 2));
    fs::create_dir(&obstacle).unwrap();
    assert!(store.flush().await.is_err());
    store.append(&id, numbered(1)).await.unwrap();
    drop(store);
    fs::remove_dir(&obstacle).unwrap();
    let mut segments = files(&dir.path().join("wal"), "wal");
    segments.sort();
    assert_eq!(segments.len(), 2);
    fs::remove_file(&segments[0]).unwrap();
    for _start in 0..2 {
        let store = open(dir.path()).await;
        let reasons: Vec<String> = store.damage().into_iter().map(|one| one.reason).collect();
        assert_eq!(reasons, ["records 2 to 2 are missing"]);
        drop(store);
    }
    let store = open(dir.path()).await;
    store.flush().await.unwrap();
    drop(store);
    assert_eq!(open(dir.path()).await.damage().len(), 1, "not once more");
}

/// After a commit that failed the log is read again, and reading may take long.
#[tokio::test]
async fn while_a_log_is_read_again_others_are_served() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    store.append(&tenant("a"), numbered(0)).await.unwrap();
    let entry = dir
        .path()
        .join(format!("tables/changes/_delta_log/{:020}.json", 1));
    let made = std::process::Command::new("mkfifo").arg(&entry).status();
    assert!(made.unwrap().success());
    assert!(
        store.flush().await.is_err(),
        "there is something in the entry's place"
    );
    // Whoever reads the entry waits until someone opens it for writing, and until that is closed again.
    let (asked, question) = tokio::sync::oneshot::channel();
    let (answer, answered) = std::sync::mpsc::channel();
    let reader_waits = std::thread::spawn(move || {
        let writer = fs::OpenOptions::new().write(true).open(entry).unwrap();
        asked.send(()).unwrap();
        let served = answered.recv_timeout(std::time::Duration::from_secs(20));
        drop(writer);
        served.is_ok()
    });
    let serving = tokio::spawn(async move {
        question.await.unwrap();
        answer.send(()).ok();
    });
    store.flush().await.unwrap();
    serving.await.unwrap();
    assert!(reader_waits.join().unwrap());
    assert_eq!(numbers_of(&store).await, ["0"]);
}
