//! Each kind of file is damaged in each way: the store opens, says what is damaged, and never tells a wrong value.

use std::{
    fs,
    path::{Path, PathBuf},
};

use demarc_store::{Damage, DamageKind, Store, StoreConfig, Table};

use crate::fixture::{WRITTEN, all_tables, expected_rows, open_with, row_count, tenant};

/// Appends, each flushed into files of its own; the last ones stay in the write-ahead log.
const FLUSHED: usize = 5;
const IN_LOG: usize = 1;

#[derive(Clone, Copy, Debug)]
enum Harm {
    FlipBit,
    Halve,
    Empty,
    Delete,
}

const HARMS: [Harm; 4] = [Harm::FlipBit, Harm::Halve, Harm::Empty, Harm::Delete];

impl Harm {
    fn inflict(self, path: &Path) {
        let mut bytes = fs::read(path).unwrap();
        match self {
            Self::FlipBit => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x04;
            }
            Self::Halve => bytes.truncate(bytes.len() / 2),
            Self::Empty => bytes.clear(),
            Self::Delete => return fs::remove_file(path).unwrap(),
        }
        fs::write(path, bytes).unwrap();
    }
}

fn config() -> StoreConfig {
    StoreConfig {
        checkpoint_commits: 3,
        ..StoreConfig::default()
    }
}

/// A directory with files of every kind, as after a crash.
async fn directory() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = open_with(dir.path(), config()).await;
    for number in 0..FLUSHED + IN_LOG {
        store.append(&tenant("a"), all_tables()).await.unwrap();
        if number < FLUSHED {
            store.flush().await.unwrap();
        }
    }
    dir
}

/// A copy that may be damaged.
fn copy(from: &tempfile::TempDir) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    copy_into(from.path(), to.path());
    to
}

fn copy_into(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir(&to).unwrap();
            copy_into(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

async fn counts(store: &Store) -> Vec<(Table, usize)> {
    let snapshot = store.snapshot(&tenant("a"));
    let mut counts = Vec::new();
    for table in WRITTEN {
        let batches = snapshot.read(table).await.unwrap();
        counts.push((table, row_count(&batches)));
    }
    counts
}

fn expected(appends: usize) -> Vec<(Table, usize)> {
    let count = |table| match table {
        // A series gets one row however often it is sent.
        Table::Series => expected_rows(table),
        _ => expected_rows(table) * appends,
    };
    WRITTEN.map(|table| (table, count(table))).to_vec()
}

fn log_file(dir: &Path, name: &str) -> PathBuf {
    dir.join("tables/spans/_delta_log").join(name)
}

/// What the log says, the journal says as well, and the other way round.
#[tokio::test]
async fn a_damaged_log_or_journal_loses_nothing() {
    let files = [
        (DamageKind::DeltaLog, "_delta_log/00000000000000000003.json"),
        (DamageKind::DeltaLog, "_delta_log/00000000000000000004.json"),
        (DamageKind::DeltaLog, "_delta_log/00000000000000000005.json"),
        (
            DamageKind::DeltaLog,
            "_delta_log/00000000000000000003.checkpoint.parquet",
        ),
        (DamageKind::Journal, "_journal"),
    ];
    let intact = directory().await;
    for (kind, name) in files {
        for harm in HARMS {
            let case = format!("{name}, {harm:?}");
            let dir = copy(&intact);
            harm.inflict(&dir.path().join("tables/spans").join(name));
            for start in 0..2 {
                let store = open_with(dir.path(), config()).await;
                let appends = FLUSHED + IN_LOG + start;
                assert_eq!(counts(&store).await, expected(appends), "{case}");
                let damage = store.damage();
                let found: Vec<_> = damage.iter().map(|one| (one.kind, one.rows_lost)).collect();
                // What a checkpoint covers need not be read, and some bytes of a checkpoint mean nothing.
                if !found.is_empty() || !is_spare(name) {
                    assert_eq!(found, [(kind, Some(0))], "{case}: {damage:?}");
                    assert_eq!(damage[0].table.as_deref(), Some("spans"), "{case}");
                }
                // What was put right can be written to.
                store.append(&tenant("a"), all_tables()).await.unwrap();
                store.flush().await.unwrap();
            }
        }
    }
}

/// Whether the log says the same without this file.
fn is_spare(name: &str) -> bool {
    name.contains("checkpoint") || name.ends_with("3.json")
}

#[tokio::test]
async fn a_log_that_is_gone_is_made_again() {
    let dir = directory().await;
    fs::remove_dir_all(log_file(dir.path(), "")).unwrap();
    let store = open_with(dir.path(), config()).await;
    assert_eq!(counts(&store).await, expected(FLUSHED + IN_LOG));
    assert!(log_file(dir.path(), "00000000000000000000.json").exists());
}

/// Whatever the harm, it costs the rows of that file, which are counted, and nothing else.
#[tokio::test]
async fn a_damaged_data_file_costs_its_rows_and_is_put_aside() {
    let intact = directory().await;
    for table in [Table::Series, Table::Samples, Table::Spans] {
        for harm in HARMS {
            let dir = copy(&intact);
            let case = format!("{table}, {harm:?}");
            let victim = {
                let store = open_with(dir.path(), config()).await;
                store.snapshot(&tenant("a")).files(table)[0].path.clone()
            };
            harm.inflict(&victim);
            let store = open_with(dir.path(), config()).await;
            check_loss(&store, table, &case).await;
            assert!(!victim.exists(), "{case}");
            drop(store);
            let store = open_with(dir.path(), config()).await;
            check_loss(&store, table, &case).await;
        }
    }
}

/// A reader that comes while the store runs gets no wrong value either.
#[tokio::test]
async fn damage_is_noticed_while_the_store_runs() {
    let intact = directory().await;
    for harm in HARMS {
        let dir = copy(&intact);
        let case = format!("{harm:?}");
        let store = open_with(dir.path(), config()).await;
        let before = store.snapshot(&tenant("a"));
        assert_eq!(counts(&store).await, expected(FLUSHED + IN_LOG));
        let victim = before.files(Table::Spans)[0].path.clone();
        // Some file systems count time in milliseconds; an hour is seen by all.
        harm.inflict(&victim);
        if let Ok(file) = fs::File::options().append(true).open(&victim) {
            let hour = std::time::Duration::from_secs(3600);
            let later = file.metadata().unwrap().modified().unwrap() + hour;
            file.set_modified(later).unwrap();
        }
        check_loss(&store, Table::Spans, &case).await;
        // The older snapshot still lists the file, and does not trust it.
        let left = before.read(Table::Spans).await.unwrap();
        assert_eq!(row_count(&left), 4 * (FLUSHED + IN_LOG - 1), "{case}");
    }
}

async fn check_loss(store: &Store, table: Table, case: &str) {
    for (found, expected) in counts(store)
        .await
        .into_iter()
        .zip(expected(FLUSHED + IN_LOG))
    {
        let lost = match table == expected.0 {
            true => expected_rows(table),
            false => 0,
        };
        assert_eq!(found.1 + lost, expected.1, "{case}: {}", expected.0);
    }
    store.maintain().await.unwrap();
    let lost = expected_rows(table) as u64;
    let is_it = |damage: &Damage| {
        damage.kind == DamageKind::DataFile
            && damage.table.as_deref() == Some(table.name())
            && damage.tenant.as_deref() == Some("a")
            && damage.date.as_deref() == Some("2026-11-23")
            && damage.rows_lost == Some(lost)
    };
    let damage = store.damage();
    assert!(damage.len() == 1 && is_it(&damage[0]), "{case}: {damage:?}");
}
