//! What is asked of old samples is answered from their windows, and the answer is that of the samples.

use std::{sync::Arc, time::Duration};

use demarc_proto::{Clock, Labels, ManualClock, Millis, TenantId};
use demarc_query::{Answer, Engine, QueryConfig, RangeParams, promql::Value};
use demarc_store::{MetricKind, MetricRows, Retention, Rows, Sample, Store, StoreConfig, Table};

const DAY_MS: i64 = 86_400_000;
/// 2026-11-20T00:00:00Z
const START: i64 = 1_795_132_800_000;
const DAYS: i64 = 5;
const STALE: u64 = 0x7ff0_0000_0000_0002;

struct Past {
    store: Arc<Store>,
    engine: Engine,
    clock: Arc<ManualClock>,
    tenant: TenantId,
    _folder: tempfile::TempDir,
}

/// A sequence that looks like chance and is the same every time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % bound
    }
}

/// Values of whole numbers, with gaps, markers, resets, and distances that vary.
fn samples(chance: &mut Chance, is_counter: bool) -> Vec<Sample> {
    let mut samples = Vec::new();
    let (mut time, mut value) = (START + chance.below(90_000) as i64, 0.0);
    let usual = 20_000 + chance.below(80_000);
    while time < START + DAYS * DAY_MS {
        value = match chance.below(300) {
            0 => 0.0,
            _ if is_counter => value + chance.below(50) as f64,
            _ => chance.below(1000) as f64 - 500.0,
        };
        samples.push(Sample::new(Millis(time), value));
        let step = usual + chance.below(3) * 1000;
        time += match chance.below(200) {
            0 => 7_500_000,
            1 => {
                let marker = f64::from_bits(STALE);
                samples.push(Sample::new(Millis(time + 1000), marker));
                1_000_000
            }
            // On the edge of windows.
            2 => 300_000 - time.rem_euclid(300_000) + 300_000,
            _ => step as i64,
        };
    }
    samples
}

impl Past {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let end = Millis(START + DAYS * DAY_MS);
        let clock = Arc::new(ManualClock::new(end.to_nanos()));
        let config = StoreConfig {
            recent_bytes: 0,
            downsample_after_days: 0,
            ..StoreConfig::default()
        };
        let store = open(&folder, config, &clock).await;
        let tenant = TenantId::default();
        let mut chance = Chance(7);
        for (name, is_counter) in [("requests_total", true), ("load", false)] {
            for number in 0..8 {
                let series = MetricRows {
                    labels: Labels::from_pairs([("__name__", name), ("n", &number.to_string())]),
                    kind: MetricKind::Gauge,
                    samples: samples(&mut chance, is_counter),
                    ..MetricRows::default()
                };
                let rows = Rows {
                    metrics: vec![series],
                    ..Rows::default()
                };
                store.append(&tenant, rows).await.unwrap();
            }
        }
        store.flush().await.unwrap();
        Self {
            engine: Engine::new(Arc::clone(&store), QueryConfig::default()).unwrap(),
            store,
            clock,
            tenant,
            _folder: folder,
        }
    }

    /// The same with windows: samples are kept for so many days.
    async fn with_windows(self, metrics_days: u32) -> Self {
        self.store.close().await.unwrap();
        drop((self.store, self.engine));
        let config = StoreConfig {
            recent_bytes: 0,
            retention: Retention {
                metrics_days,
                ..Retention::default()
            },
            ..StoreConfig::default()
        };
        let store = open(&self._folder, config, &self.clock).await;
        store.maintain().await.unwrap();
        Self {
            engine: Engine::new(Arc::clone(&store), QueryConfig::default()).unwrap(),
            store,
            ..self
        }
    }

    async fn ask(&self, query: &str, (from, to, step): (i64, i64, i64)) -> Answer {
        let params = RangeParams {
            start: Millis(START + from),
            end: Millis(START + to),
            step: Duration::from_millis(step as u64),
        };
        let answer = self.engine.range(&self.tenant, query, params).await;
        answer.unwrap_or_else(|error| panic!("{query}: {error}"))
    }
}

async fn open(
    folder: &tempfile::TempDir,
    config: StoreConfig,
    clock: &Arc<ManualClock>,
) -> Arc<Store> {
    let clock: Arc<dyn Clock> = clock.clone();
    Store::open(folder.path(), config, clock).await.unwrap()
}

const HOUR: i64 = 3_600_000;
const MINUTES: i64 = 300_000;

fn questions() -> Vec<(String, (i64, i64, i64))> {
    let exact = [
        "sum", "count", "min", "max", "last", "first", "present", "avg",
    ];
    let mut asked = Vec::new();
    for (range, step) in [
        ("5m", MINUTES),
        ("1h", HOUR),
        ("6h", HOUR),
        ("35m", 2 * MINUTES),
    ] {
        for function in exact {
            asked.push((format!("{function}_over_time(load[{range}])"), step));
        }
        for function in ["rate", "increase", "delta"] {
            asked.push((format!("{function}(requests_total[{range}])"), step));
            asked.push((
                format!("{function}(requests_total[{range}] offset 1h)"),
                step,
            ));
        }
    }
    for step in [MINUTES, HOUR] {
        asked.push(("load".to_owned(), step));
        asked.push(("timestamp(load)".to_owned(), step));
        asked.push((
            "sum(rate(requests_total[1h])) / count(load)".to_owned(),
            step,
        ));
    }
    let times = |step| (0, DAYS * DAY_MS, step);
    asked
        .into_iter()
        .map(|(query, step)| (query, times(step)))
        .collect()
}

/// Fails where the answers differ by more than rounding.
fn compare(query: &str, samples: &Answer, windows: &Answer) {
    let (Value::Matrix(a), Value::Matrix(b)) = (&samples.value, &windows.value) else {
        panic!("{query}");
    };
    assert_eq!(a.len(), b.len(), "{query}");
    let is_rounded = query.contains("rate") || query.contains("increase") || query.contains("avg");
    for ((labels, a), (other, b)) in a.iter().zip(b) {
        assert_eq!(labels, other, "{query}");
        assert_eq!(a.len(), b.len(), "{query} {labels:?}");
        for (a, b) in a.iter().zip(b) {
            assert_eq!(a.time, b.time, "{query} {labels:?}");
            let (x, y) = (a.float().unwrap(), b.float().unwrap());
            let error = (x - y).abs() / x.abs().max(1.0);
            let bound = if is_rounded || query.contains("delta") {
                1e-12
            } else {
                0.0
            };
            assert!(
                error <= bound,
                "{query} {labels:?} at {:?}: {x}, {y}",
                a.time
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_from_windows_are_those_of_the_samples_with_and_without_them() {
    let past = Past::new().await;
    let mut expected = Vec::new();
    for (query, times) in questions() {
        let answer = past.ask(&query, times).await;
        let Value::Matrix(series) = &answer.value else {
            panic!("{query}");
        };
        assert!(!series.is_empty(), "{query}");
        expected.push(answer);
    }
    // Days that have windows as well, days that have samples only, and the border between them.
    let past = past.with_windows(90).await;
    let files = |past: &Past, table| past.store.snapshot(&past.tenant).files(table).len();
    assert_eq!(files(&past, Table::Samples5m), 4);
    for ((query, times), expected) in questions().iter().zip(&expected) {
        compare(query, expected, &past.ask(query, *times).await);
    }
    // Days of which there are no samples any more.
    let past = past.with_windows(2).await;
    assert_eq!(files(&past, Table::Samples), 3);
    for ((query, times), expected) in questions().iter().zip(&expected) {
        let answer = past.ask(query, *times).await;
        compare(query, expected, &answer);
        assert!(answer.infos.is_empty(), "{query}: {:?}", answer.infos);
    }
}

/// Mean difference of two answers, as a part of the mean of the first.
fn difference(a: &Answer, b: &Answer) -> f64 {
    let (Value::Matrix(a), Value::Matrix(b)) = (&a.value, &b.value) else {
        panic!("no matrix");
    };
    let (mut error, mut total) = (0.0, 0.0);
    for ((_, a), (_, b)) in a.iter().zip(b) {
        for one in a {
            if let Some(other) = b.iter().find(|other| other.time == one.time) {
                error += (one.float().unwrap() - other.float().unwrap()).abs();
                total += one.float().unwrap().abs();
            }
        }
    }
    error / total
}

#[tokio::test(flavor = "multi_thread")]
async fn at_other_times_the_answer_is_close_and_says_that_it_is_not_exact() {
    let past = Past::new().await;
    let times = (HOUR + 17_000, 2 * DAY_MS, 7 * 60_000);
    let query = "rate(requests_total[1h])";
    let exact = past.ask(query, times).await;
    assert!(exact.infos.is_empty());
    let with_both = past.with_windows(90).await;
    assert_eq!(with_both.ask(query, times).await, exact, "samples are read");
    let past = with_both.with_windows(2).await;
    let answer = past.ask(query, times).await;
    assert!(
        answer.infos[0].contains("approximate"),
        "{:?}",
        answer.infos
    );
    let difference = difference(&exact, &answer);
    assert!(difference < 0.1, "{difference}");
    // What windows cannot say is said of their last samples.
    let answer = past.ask("quantile_over_time(0.5, load[6h])", times).await;
    assert!(
        answer.infos[0].contains("approximate"),
        "{:?}",
        answer.infos
    );
    let held = past.ask("load", (HOUR, 2 * DAY_MS, 60_000)).await;
    let Value::Matrix(series) = held.value else {
        panic!("no matrix");
    };
    assert_eq!(series.len(), 8);
}
