//! What a million series cost in memory, and how fast samples go in as columns: the store alone, without sockets and decoding.

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use demarc_proto::{Clock, Labels, METRIC_NAME, Millis, SeriesId, SystemClock, TenantId};
use demarc_store::{MetricKind, Rows, Samples, SeriesEntry, SeriesRef, Store, StoreConfig};

use crate::{cli::SeriesArgs, table};

const BATCH: usize = 5_000;
const INTERVAL_MS: i64 = 15_000;
/// Series of which the newest samples are asked for one by one.
const ASKED: usize = 1_000;

/// What was measured.
struct Figures {
    interned: Duration,
    appended: Duration,
    before: Memory,
    after_interning: Memory,
    after_appending: Memory,
    /// For one series of the head.
    asked: Duration,
}

/// Interns the series, appends rounds of samples, and says what that took.
pub(crate) async fn run(args: &SeriesArgs) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = Store::open(folder.path(), StoreConfig::default(), clock).await?;
    let figures = measure(&store, args).await?;
    store.close().await?;
    print(args, &figures);
    Ok(())
}

async fn measure(store: &Store, args: &SeriesArgs) -> anyhow::Result<Figures> {
    let tenant = TenantId::default();
    let before = memory()?;
    let started = Instant::now();
    let (series, ids) = intern(store, &tenant, args.series);
    let interned = started.elapsed();
    let after_interning = memory()?;
    let start = SystemClock.now().to_millis().0 - args.rounds as i64 * INTERVAL_MS;
    let started = Instant::now();
    for round in 0..args.rounds {
        let time = Millis(start + round as i64 * INTERVAL_MS);
        append(store, &tenant, &series, time).await?;
    }
    let appended = started.elapsed();
    let after_appending = memory()?;
    Ok(Figures {
        interned,
        appended,
        before,
        after_interning,
        after_appending,
        asked: ask(store, &tenant, &ids),
    })
}

/// How long the head takes for one series, over many of them.
fn ask(store: &Store, tenant: &TenantId, ids: &[SeriesId]) -> Duration {
    let started = Instant::now();
    let snapshot = store.snapshot(tenant);
    let range = (Millis(i64::MIN), Millis(i64::MAX));
    let step = (ids.len() / ASKED).max(1);
    let mut asked: u32 = 0;
    for id in ids.iter().step_by(step) {
        std::hint::black_box(snapshot.head_series(*id, range));
        asked += 1;
    }
    started.elapsed() / asked.max(1)
}

fn print(args: &SeriesArgs, figures: &Figures) {
    let rate = |count: usize, time: Duration| format!("{:.0}", count as f64 / time.as_secs_f64());
    let per_series = |memory: &Memory| {
        let bytes = memory.now.saturating_sub(figures.before.now);
        format!("{:.0}", bytes as f64 / args.series as f64)
    };
    let samples = args.series * args.rounds;
    let peak_mib = figures.after_appending.peak >> 20;
    let asked_us = figures.asked.as_secs_f64() * 1e6;
    let rows = [
        (
            "what",
            format!("{} series, {} rounds", args.series, args.rounds),
        ),
        (
            "series interned a second",
            rate(args.series, figures.interned),
        ),
        ("samples appended a second", rate(samples, figures.appended)),
        (
            "bytes per series, interned",
            per_series(&figures.after_interning),
        ),
        (
            "bytes per series, with samples",
            per_series(&figures.after_appending),
        ),
        ("peak resident, MiB", peak_mib.to_string()),
        ("one series of the head, µs", format!("{asked_us:.1}")),
    ];
    table::print(&rows.map(|(name, value)| vec![name.to_owned(), value]));
}

fn intern(store: &Store, tenant: &TenantId, count: usize) -> (Vec<SeriesRef>, Vec<SeriesId>) {
    let index = store.series(tenant);
    let entry = |at: usize| {
        let labels = labels(at);
        SeriesEntry {
            id: SeriesId::of(tenant, &labels),
            labels,
            kind: MetricKind::Counter,
            unit: String::new(),
            help: String::new(),
        }
    };
    let entries = (0..count).map(entry);
    entries
        .map(|entry| (entry.id, entry))
        .map(|(id, entry)| (index.intern(entry), id))
        .unzip()
}

/// Ten labels as a Kubernetes fleet has them: a hundred series a pod.
fn labels(at: usize) -> Labels {
    let (pod, metric) = (at / 100, at % 100);
    Labels::from_pairs([
        (
            METRIC_NAME,
            format!("http_server_request_duration_seconds_{metric}"),
        ),
        ("cluster", "gov-cloud-1".to_owned()),
        ("container", format!("app-{}", pod % 40)),
        (
            "instance",
            format!("10.{}.{}.{}:9100", pod >> 16, (pod >> 8) & 255, pod & 255),
        ),
        ("job", format!("agency-{}/service-{}", pod % 30, pod % 300)),
        ("method", "GET".to_owned()),
        ("namespace", format!("agency-{}", pod % 30)),
        ("node", format!("node-{}", pod % 500)),
        ("pod", format!("service-{}-{pod:08x}", pod % 300)),
        ("status", "200".to_owned()),
    ])
}

async fn append(
    store: &Store,
    tenant: &TenantId,
    series: &[SeriesRef],
    time: Millis,
) -> anyhow::Result<()> {
    // Two requests under way, as from two connections.
    for pair in series.chunks(2 * BATCH) {
        let (first, second) = pair.split_at(pair.len().min(BATCH));
        let one = |series: &[SeriesRef]| {
            let mut samples = Samples::with_capacity(series.len());
            for (at, one) in series.iter().enumerate() {
                samples.push(*one, time, (time.0 / 1000) as f64 + at as f64);
            }
            store.append_columns(tenant, samples, Rows::default())
        };
        let (first, second) = tokio::join!(one(first), one(second));
        first.and(second)?;
    }
    Ok(())
}

/// Resident memory of this process, in bytes.
struct Memory {
    now: u64,
    peak: u64,
}

fn memory() -> anyhow::Result<Memory> {
    let status = fs::read_to_string("/proc/self/status").context("read /proc/self/status")?;
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
        Some(kib * 1024)
    };
    let read = of("VmRSS:").zip(of("VmHWM:"));
    let (now, peak) = read.context("/proc/self/status has no VmRSS and VmHWM")?;
    Ok(Memory { now, peak })
}
