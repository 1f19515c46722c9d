//! A real process is killed while it writes; nothing that it acknowledged is lost, and nothing is there twice.
//!
//! The writer is this test binary itself, started anew with an environment variable that makes [`writer`] do its work.

use std::{
    collections::{BTreeMap, BTreeSet, hash_map::RandomState},
    env, fs,
    hash::{BuildHasher, Hasher},
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use arrow::{array::AsArray, datatypes::Float64Type};
use demarc_proto::ManualClock;
use demarc_store::{
    ChangeRow, LogRow, Resolution, Rows, SpanRow, Store, StoreConfig, Table, Window,
};

use crate::fixture::{change, clock, gauge, log, open_at, open_with, rows_of, span, tenant};

const DIR: &str = "DEMARC_TEST_CRASH_DIR";
const FIRST: &str = "DEMARC_TEST_CRASH_FIRST";
/// How many rounds of killing there are.
const ROUNDS: &str = "DEMARC_KILL_ROUNDS";
const DEFAULT_ROUNDS: u64 = 24;
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

pub(crate) fn config() -> StoreConfig {
    StoreConfig {
        flush_rows: 100,
        wal_segment_bytes: 1 << 16,
        checkpoint_commits: 7,
        // As many merges as there can be, and what was merged goes at once.
        compact_min_files: 2,
        delete_grace_seconds: 0,
        ..StoreConfig::default()
    }
}

/// So late that all samples are put into windows as soon as they are in files.
fn later() -> Arc<ManualClock> {
    let clock = clock();
    clock.advance(Duration::from_secs(3 * 86_400));
    clock
}

/// How many samples the windows of each resolution hold.
async fn in_windows(store: &Store) -> Vec<u64> {
    let snapshot = store.snapshot(&tenant("a"));
    let mut counts = Vec::new();
    for resolution in Resolution::ALL {
        let mut count = 0;
        for batch in snapshot.read(resolution.table()).await.unwrap() {
            let windows = Window::from_batch(resolution, &batch).unwrap();
            count += windows.iter().map(|(_, window)| window.count).sum::<u64>();
        }
        counts.push(count);
    }
    counts
}

/// The process that is killed; does nothing in an ordinary test run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writer() {
    let (Ok(dir), Ok(first)) = (env::var(DIR), env::var(FIRST)) else {
        return;
    };
    let store = open_at(Path::new(&dir), config(), &later()).await;
    let next = Arc::new(AtomicU64::new(first.parse().unwrap()));
    let appenders =
        (0..APPENDERS).map(|_| tokio::spawn(append_forever(store.clone(), next.clone())));
    tokio::spawn(merge_forever(store.clone()));
    futures::future::join_all(appenders).await;
}

async fn append_forever(store: Arc<Store>, next: Arc<AtomicU64>) {
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        store.append(&tenant("a"), numbered(number)).await.unwrap();
        println!("acked {number}");
    }
}

async fn merge_forever(store: Arc<Store>) {
    loop {
        store.maintain().await.unwrap();
        tokio::task::yield_now().await;
    }
}

/// How many of the data files below `dir` are the outcome of a merge.
fn merged_files(dir: &Path) -> usize {
    let is_merged = |name: &str| name.ends_with(".parquet") && name.matches('.').count() == 2;
    let mut count = 0;
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            count += merged_files(&entry.path());
        } else {
            count += usize::from(is_merged(&entry.file_name().to_string_lossy()));
        }
    }
    count
}

/// A process that appends until it is killed.
pub(crate) struct Writing {
    child: Child,
    acked: mpsc::Receiver<u64>,
    seen: BTreeSet<u64>,
}

impl Writing {
    /// Starts it; its numbers are those of `round`.
    pub(crate) fn start(dir: &Path, round: u64) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "crash::writer",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(DIR, dir)
            .env(FIRST, (round * 1_000_000).to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = child.stdout.take().unwrap();
        let (sender, acked) = mpsc::channel();
        thread::spawn(move || read_acked(output, &sender));
        Self {
            child,
            acked,
            seen: BTreeSet::new(),
        }
    }

    /// Returns at a random moment: mostly after some hundred acknowledgements, sometimes while it starts and recovers.
    pub(crate) fn wait_for_some(&mut self, round: u64) {
        if round % 6 == 5 {
            thread::sleep(Duration::from_millis(random(400)));
            return;
        }
        let lines = 1 + random(400);
        for _ in 0..lines {
            self.seen.extend(self.acked.recv().ok());
        }
        thread::sleep(Duration::from_micros(random(20_000)));
    }

    /// The numbers that it has acknowledged until now.
    pub(crate) fn acked_until_now(&mut self) -> BTreeSet<u64> {
        self.seen.extend(self.acked.try_iter());
        self.seen.clone()
    }

    /// Kills it; returns all numbers that it acknowledged.
    pub(crate) fn kill(mut self) -> BTreeSet<u64> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.seen.extend(self.acked.iter());
        self.seen
    }
}

/// Sends on what a writer says, until it says no more.
fn read_acked(output: ChildStdout, sender: &mpsc::Sender<u64>) {
    let mut output = BufReader::new(output);
    let mut line = String::new();
    // A last line without its end may have lost digits.
    while output.read_line(&mut line).is_ok() && line.ends_with('\n') {
        if let Some(number) = line.trim_end().strip_prefix("acked ") {
            sender.send(number.parse().unwrap()).ok();
        }
        line.clear();
    }
}

fn random(below: u64) -> u64 {
    RandomState::new().build_hasher().finish() % below
}

/// What was acknowledged.
#[derive(Default)]
pub(crate) struct Ledger(BTreeSet<u64>);

impl Ledger {
    /// Takes note of acknowledged numbers.
    pub(crate) fn add(&mut self, acked: BTreeSet<u64>) {
        self.0.extend(acked);
    }

    /// How many numbers were acknowledged.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Nothing is lost and nothing is there twice, and an append is there in all its tables or in none.
    pub(crate) async fn check(&self, store: &Store, round: u64) {
        let mut all = Vec::new();
        for table in TABLES {
            let counts = numbers(store, table).await;
            let twice: Vec<_> = counts.iter().filter(|(_, count)| **count != 1).collect();
            assert!(twice.is_empty(), "round {round}, {table}: {twice:?}");
            let lost: Vec<_> = self
                .0
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
        assert!(
            all.windows(2).all(|pair| pair[0] == pair[1]),
            "round {round}"
        );
    }
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
async fn kill_9_in_the_middle_of_flushes_and_merges_loses_no_acknowledged_row_and_doubles_none() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::default();
    let mut merged = 0;
    let rounds = env::var(ROUNDS).map_or(DEFAULT_ROUNDS, |rounds| rounds.parse().unwrap());
    for round in 0..rounds {
        let mut writing = Writing::start(dir.path(), round);
        writing.wait_for_some(round);
        ledger.add(writing.kill());
        merged += merged_files(&dir.path().join("tables"));
        let store = open_with(dir.path(), config()).await;
        ledger.check(&store, round).await;
        // The next round starts from a clean end, or from the log alone.
        if round % 3 == 2 {
            store.close().await.unwrap();
        }
    }
    assert!(
        ledger.len() > 1000,
        "only {} rows were acknowledged in all rounds",
        ledger.len()
    );
    println!("{} acknowledged rows in {rounds} rounds", ledger.len());
    assert!(merged as u64 > rounds, "only {merged} files were merged");
    let store = open_at(dir.path(), config(), &later()).await;
    store.flush().await.unwrap();
    store.maintain().await.unwrap();
    let samples = numbers(&store, Table::Samples).await.len() as u64;
    assert_eq!(in_windows(&store).await, [samples, samples]);
}
