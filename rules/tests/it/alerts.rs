//! Alerts through a real store: they fire, are written back as series, and resolve.

use std::{sync::Arc, time::Duration};

use demarc_proto::{Labels, METRIC_NAME, ManualClock, Millis, Nanos, TenantId};
use demarc_query::{Engine, QueryConfig, Value};
use demarc_rules::{RuleSet, Rules, RulesConfig, Scope, Transition};
use demarc_store::{MetricRows, Rows, Sample, Store, StoreConfig};
use tempfile::TempDir;

const FILE: &str = "
groups:
  - name: test
    interval: 10s
    rules:
      - record: job:errors:sum
        expr: sum by (job) (errors)
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

impl Bed {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(Nanos(1_795_478_400_000_000_000)));
        let store = Store::open(folder.path(), StoreConfig::default(), clock.clone())
            .await
            .unwrap();
        let engine = Arc::new(Engine::new(Arc::clone(&store), QueryConfig::default()).unwrap());
        let set = RuleSet::from_yaml(Scope::EveryTenant, FILE).unwrap();
        let config = RulesConfig::default();
        let rules = Rules::new(
            Arc::clone(&engine),
            Arc::clone(&store),
            vec![set],
            config,
            clock.clone(),
        );
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
            .map(|event| (event.transition, event.alert.annotations["summary"].clone()))
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
async fn a_group_is_evaluated_once_an_interval() {
    let bed = Bed::new().await;
    bed.step(9.0).await;
    bed.clock.advance(Duration::from_secs(3));
    assert!(bed.rules.evaluate().await.is_empty());
    let groups = bed.rules.groups(&bed.tenant).await;
    assert_eq!(bed.now().0 - groups[0].1.unwrap().to_millis().0, 3000);
}
