//! Alerts through a real store: they fire, are written back as series, and resolve.

use std::{sync::Arc, time::Duration};

use demarc_proto::{Labels, METRIC_NAME, ManualClock, Millis, Nanos, TenantId};
use demarc_query::{Engine, QueryConfig, Value};
use demarc_rules::{RuleSet, Rules, RulesConfig, Scope, Transition};
use demarc_store::{Buckets, Histogram, MetricRows, Rows, Sample, Store, StoreConfig};
use tempfile::TempDir;

const FILE: &str = "
groups:
  - name: test
    interval: 10s
    rules:
      - record: job:errors:sum
        expr: sum by (job) (errors)
      - record: job:latency:sum
        expr: sum by (job) (latency)
      - alert: TooManyErrors
        expr: job:errors:sum > 5
        for: 20s
        labels: {severity: page, team: '{{ $labels.job }}-team'}
        annotations: {summary: '{{ $labels.job }} has {{ $value }} errors'}
";

struct Bed {
    rules: Arc<Rules>,
    engine: Arc<Engine>,
    store: Arc<Store>,
    clock: Arc<ManualClock>,
    tenant: TenantId,
    _folder: TempDir,
}

fn rules(engine: &Arc<Engine>, store: &Arc<Store>, clock: &Arc<ManualClock>) -> Arc<Rules> {
    let set = RuleSet::from_yaml(Scope::EveryTenant, FILE).unwrap();
    Rules::new(
        Arc::clone(engine),
        Arc::clone(store),
        vec![set],
        RulesConfig::default(),
        clock.clone(),
    )
}

impl Bed {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(Nanos(1_795_478_400_000_000_000)));
        let store = Store::open(folder.path(), StoreConfig::default(), clock.clone())
            .await
            .unwrap();
        let engine = Arc::new(Engine::new(Arc::clone(&store), QueryConfig::default()).unwrap());
        let rules = rules(&engine, &store, &clock);
        let tenant = TenantId::new("tax").unwrap();
        Self {
            rules,
            engine,
            store,
            clock,
            tenant,
            _folder: folder,
        }
    }

    /// Another process over the same data, `after` that long.
    fn restart(&mut self, after: Duration) {
        self.clock.advance(after);
        self.rules = rules(&self.engine, &self.store, &self.clock);
    }

    fn now(&self) -> Millis {
        demarc_proto::Clock::now(&*self.clock).to_millis()
    }

    async fn errors(&self, value: f64) {
        let labels = Labels::from_pairs([(METRIC_NAME, "errors"), ("job", "api")]);
        let samples = vec![Sample::new(self.now(), value)];
        let metrics = vec![MetricRows {
            labels,
            samples,
            ..MetricRows::default()
        }];
        self.store
            .append(
                &self.tenant,
                Rows {
                    metrics,
                    ..Rows::default()
                },
            )
            .await
            .unwrap();
    }

    /// Ten seconds later, with that many errors: the events of the evaluation.
    async fn step(&self, errors: f64) -> Vec<(Transition, String)> {
        self.clock.advance(Duration::from_secs(10));
        self.errors(errors).await;
        let events = self.rules.evaluate().await;
        events
            .into_iter()
            .map(|event| {
                let summary = event.alert.annotations.get("summary");
                (event.transition, summary.cloned().unwrap_or_default())
            })
            .collect()
    }

    async fn count(&self, query: &str) -> usize {
        let answer = self
            .engine
            .instant(&self.tenant, query, self.now())
            .await
            .unwrap();
        let Value::Vector(vector) = answer.value else {
            panic!("{query} is no vector")
        };
        vector.len()
    }
}

#[tokio::test]
async fn an_alert_waits_fires_is_written_back_and_resolves() {
    let bed = Bed::new().await;
    assert!(bed.step(9.0).await.is_empty());
    assert!(bed.step(9.0).await.is_empty());
    assert_eq!(bed.count("ALERTS{alertstate=\"pending\"}").await, 1);
    let fired = bed.step(9.0).await;
    assert_eq!(fired, [(Transition::Firing, "api has 9 errors".to_owned())]);
    assert_eq!(
        bed.count("ALERTS{alertstate=\"firing\", team=\"api-team\", severity=\"page\"}")
            .await,
        1
    );
    assert_eq!(bed.count("ALERTS{alertstate=\"pending\"}").await, 0);
    assert_eq!(bed.count("time() - ALERTS_FOR_STATE == 20").await, 1);
    let resolved = bed.step(1.0).await;
    assert_eq!(resolved.len(), 1);
    assert_eq!(resolved[0].0, Transition::Resolved);
    assert_eq!(bed.count("ALERTS").await, 0);
    assert_eq!(bed.count("job:errors:sum == 1").await, 1);
}

#[tokio::test]
async fn a_pending_alert_does_not_wait_anew_after_a_restart() {
    let mut bed = Bed::new().await;
    bed.step(9.0).await;
    bed.step(9.0).await;
    bed.restart(Duration::from_secs(60));
    // 10 s of the 20 had passed; the time in which nobody looked does not count, neither do the 10 s since the last look.
    assert!(bed.step(9.0).await.is_empty());
    assert_eq!(bed.count("ALERTS{alertstate=\"pending\"}").await, 1);
    let fired = bed.step(9.0).await;
    assert_eq!(fired, [(Transition::Firing, "api has 9 errors".to_owned())]);
}

#[tokio::test]
async fn an_alert_that_fired_before_a_restart_does_not_fire_again_and_is_resolved() {
    let mut bed = Bed::new().await;
    for _ in 0..3 {
        bed.step(9.0).await;
    }
    bed.restart(Duration::from_secs(60));
    assert!(bed.step(9.0).await.is_empty());
    assert_eq!(bed.count("ALERTS{alertstate=\"firing\"}").await, 1);
    bed.restart(Duration::from_secs(60));
    let resolved = bed.step(1.0).await;
    assert_eq!(resolved, [(Transition::Resolved, String::new())]);
    assert_eq!(bed.count("ALERTS").await, 0);
}

#[tokio::test]
async fn an_alert_that_ended_before_a_restart_is_not_resolved_twice() {
    let mut bed = Bed::new().await;
    for errors in [9.0, 9.0, 9.0, 1.0] {
        bed.step(errors).await;
    }
    bed.restart(Duration::from_secs(60));
    assert!(bed.step(1.0).await.is_empty());
}

#[tokio::test]
async fn a_group_is_evaluated_once_an_interval() {
    let bed = Bed::new().await;
    bed.step(9.0).await;
    bed.clock.advance(Duration::from_secs(3));
    assert!(bed.rules.evaluate().await.is_empty());
    let groups = bed.rules.groups(&bed.tenant).await;
    assert_eq!(
        bed.now().0 - groups[0].evaluated_at.unwrap().to_millis().0,
        3000
    );
}

/// A histogram of two observations for each of two instances.
fn latencies(time: Millis) -> Rows {
    let histogram = Histogram {
        count: 2.0,
        sum: 3.0,
        positive: Buckets {
            offset: 1,
            counts: vec![2.0],
        },
        ..Histogram::default()
    };
    let metrics = ["a", "b"].map(|instance| MetricRows {
        labels: Labels::from_pairs([
            (METRIC_NAME, "latency"),
            ("job", "api"),
            ("instance", instance),
        ]),
        histograms: vec![(time, histogram.clone())],
        ..MetricRows::default()
    });
    Rows {
        metrics: metrics.into(),
        ..Rows::default()
    }
}

#[tokio::test]
async fn a_native_histogram_is_recorded_and_ends_with_its_source() {
    let bed = Bed::new().await;
    let rows = latencies(bed.now());
    bed.store.append(&bed.tenant, rows).await.unwrap();
    bed.rules.evaluate().await;
    let count = "histogram_count(job:latency:sum) == 4 and histogram_sum(job:latency:sum) == 6";
    assert_eq!(bed.count(count).await, 1);
    // Nothing comes any more: the source is gone after the lookback, and what was recorded ends.
    bed.clock.advance(Duration::from_secs(301));
    bed.rules.evaluate().await;
    assert_eq!(bed.count("job:latency:sum").await, 0);
}
