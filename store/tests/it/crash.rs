//! A real process is killed while it writes; nothing that it acknowledged is lost, and nothing is there twice.
//!
//! The writer is this test binary itself, started anew with an environment variable that makes [`writer`] do its work.

use std::{
    collections::{BTreeMap, BTreeSet, hash_map::RandomState},
    env,
    hash::{BuildHasher, Hasher},
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use arrow::{array::AsArray, datatypes::Float64Type};
use demarc_store::{ChangeRow, LogRow, Rows, SpanRow, Store, StoreConfig, Table};

use crate::fixture::{change, gauge, log, open_with, rows_of, span, tenant};

const DIR: &str = "DEMARC_TEST_CRASH_DIR";
const FIRST: &str = "DEMARC_TEST_CRASH_FIRST";
const ROUNDS: u64 = 24;
const APPENDERS: u64 = 4;
/// The tables that get one row per number.
const TABLES: [Table; 4] = [Table::Samples, Table::Spans, Table::Logs, Table::Changes];

/// One row in each of [`TABLES`], from which `number` can be told.
fn numbered(number: u64) -> Rows {
    let mut change = change();
    change.what = number.to_string();
    let job = format!("job{}", number % 50);
    Rows {
        metrics: vec![gauge("up", &job, &[(number as i64, number as f64)])],
        spans: vec![span(number)],
        logs: vec![log(number)],
        changes: vec![change],
        ..Rows::default()
    }
}

fn config() -> StoreConfig {
    StoreConfig {
        flush_rows: 100,
        wal_segment_bytes: 1 << 16,
        checkpoint_commits: 7,
        ..StoreConfig::default()
    }
}

/// The process that is killed; does nothing in an ordinary test run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writer() {
    let (Ok(dir), Ok(first)) = (env::var(DIR), env::var(FIRST)) else {
        return;
    };
    let store = open_with(Path::new(&dir), config()).await;
    let next = Arc::new(AtomicU64::new(first.parse().unwrap()));
    let appenders =
        (0..APPENDERS).map(|_| tokio::spawn(append_forever(store.clone(), next.clone())));
    futures::future::join_all(appenders).await;
}

async fn append_forever(store: Arc<Store>, next: Arc<AtomicU64>) {
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        store.append(&tenant("a"), numbered(number)).await.unwrap();
        println!("acked {number}");
    }
}

fn spawn_writer(dir: &Path, first: u64) -> Child {
    Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "crash::writer",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(DIR, dir)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn random(below: u64) -> u64 {
    RandomState::new().build_hasher().finish() % below
}

/// Runs a writer, kills it at a random moment, and returns the numbers that it acknowledged.
fn run_and_kill(dir: &Path, first: u64, round: u64) -> BTreeSet<u64> {
    let mut child = spawn_writer(dir, first);
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    if round % 6 == 5 {
        // While it starts and recovers.
        thread::sleep(Duration::from_millis(random(400)));
    } else {
        let lines = 1 + random(400);
        for _ in 0..lines {
            output.read_line(&mut text).unwrap();
        }
        thread::sleep(Duration::from_micros(random(20_000)));
    }
    child.kill().unwrap();
    output.read_to_string(&mut text).unwrap();
    child.wait().unwrap();
    // A last line without its end may have lost digits.
    let whole_lines = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let acked = whole_lines
        .lines()
        .filter_map(|line| line.strip_prefix("acked "));
    acked.map(|number| number.parse().unwrap()).collect()
}

/// How often each number stands in a table.
async fn numbers(store: &Store, table: Table) -> BTreeMap<u64, usize> {
    let snapshot = store.snapshot(&tenant("a"));
    let numbers: Vec<u64> = match table {
        Table::Samples => {
            let batches = snapshot.read(table).await.unwrap();
            let values = batches.iter().flat_map(|batch| {
                let values = batch.column_by_name("value").unwrap();
                values.as_primitive::<Float64Type>().values().to_vec()
            });
            values.map(|value| value as u64).collect()
        }
        Table::Spans => {
            let spans = rows_of(&snapshot, table, SpanRow::from_batch).await;
            let number = |span: &SpanRow| {
                u64::from_be_bytes(span.span_id.as_bytes().try_into().unwrap()) - 1
            };
            spans.iter().map(number).collect()
        }
        Table::Logs => {
            let logs = rows_of(&snapshot, table, LogRow::from_batch).await;
            logs.iter()
                .map(|log| log.body["line ".len()..].parse().unwrap())
                .collect()
        }
        _ => {
            let changes = rows_of(&snapshot, Table::Changes, ChangeRow::from_batch).await;
            changes
                .iter()
                .map(|change| change.what.parse().unwrap())
                .collect()
        }
    };
    let mut counts = BTreeMap::new();
    for number in numbers {
        *counts.entry(number).or_insert(0) += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_loses_no_acknowledged_row_and_doubles_none() {
    let dir = tempfile::tempdir().unwrap();
    let mut acked = BTreeSet::new();
    for round in 0..ROUNDS {
        let first = round * 1_000_000;
        acked.extend(run_and_kill(dir.path(), first, round));
        let store = open_with(dir.path(), config()).await;
        let mut all = Vec::new();
        for table in TABLES {
            let counts = numbers(&store, table).await;
            let twice: Vec<_> = counts.iter().filter(|(_, count)| **count != 1).collect();
            assert!(twice.is_empty(), "round {round}, {table}: {twice:?}");
            let lost: Vec<_> = acked
                .iter()
                .filter(|number| !counts.contains_key(number))
                .collect();
            assert!(
                lost.is_empty(),
                "round {round}, {table}: {} lost: {lost:?}",
                lost.len()
            );
            all.push(counts.into_keys().collect::<Vec<u64>>());
        }
        // An append is there in all its tables or in none.
        assert!(
            all.windows(2).all(|pair| pair[0] == pair[1]),
            "round {round}"
        );
        // The next round starts from a clean end, or from the log alone.
        if round % 3 == 2 {
            store.close().await.unwrap();
        }
    }
    assert!(
        acked.len() > 1000,
        "only {} rows were acknowledged in all rounds",
        acked.len()
    );
}
