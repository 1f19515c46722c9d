//! Answers that are put together from kept ones are those that would be given anew.

use std::time::Duration;

use demarc_proto::{Labels, Millis, TenantId};
use demarc_query::{Options, RangeParams, Reply, Reuse};
use demarc_store::{MetricRows, Rows, Sample};
use proptest::prelude::*;

use crate::fixture::Bed;

const MINUTE: i64 = 60_000;
const BEGIN: i64 = 1_795_392_000_000;

const QUERIES: [&str; 10] = [
    "m",
    "sum(m)",
    "rate(m[5m])",
    "max_over_time(m[3m])",
    "m offset 2m",
    "m offset -2m",
    "sum by (n) (m) > 40",
    "absent(m{n=\"1\"})",
    "count_over_time(m[10m:1m])",
    "m - m @ end()",
];

/// What happens to a store.
#[derive(Clone, Debug)]
enum Act {
    /// Minutes go by, each with a sample of some of the series.
    Pass(u8, u8),
    /// A sample of a series comes so many minutes late.
    Late(u8, i64),
    Flush,
    /// A query by its place, how many minutes ago it ends, its length, and its step in minutes.
    Ask(usize, i64, i64, i64),
    /// The last query again, a few minutes later.
    AskAgain,
    DeleteAll,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (1_u8..20, 1_u8..8).prop_map(|(minutes, who)| Act::Pass(minutes, who)),
        2 => (0_u8..3, 1_i64..40).prop_map(|(who, late)| Act::Late(who, late)),
        1 => Just(Act::Flush),
        3 => (0..QUERIES.len(), 0_i64..20, 0_i64..60, 1_i64..4)
            .prop_map(|(query, ago, length, step)| Act::Ask(query, ago, length, step)),
        8 => Just(Act::AskAgain),
        1 => Just(Act::DeleteAll),
    ]
}

struct Dashboard {
    bed: Bed,
    tenant: TenantId,
    /// In minutes.
    now: i64,
    asked: (usize, i64, i64, i64),
}

impl Dashboard {
    async fn asking(query: usize) -> Self {
        Self {
            bed: Bed::new().await,
            tenant: TenantId::default(),
            now: 100,
            asked: (query, 0, 45, 1),
        }
    }

    async fn append(&self, series: u8, minute: i64) {
        let labels = Labels::from_pairs([("__name__", "m"), ("n", &series.to_string())]);
        let value = (minute * 7 % 50 + i64::from(series)) as f64;
        let sample = Sample::new(Millis(BEGIN + minute * MINUTE), value);
        let rows = Rows {
            metrics: vec![MetricRows {
                labels,
                samples: vec![sample],
                ..MetricRows::default()
            }],
            ..Rows::default()
        };
        self.bed.append(&self.tenant, rows).await;
    }

    async fn reply(&self, reuse: Reuse) -> Reply {
        let (query, ago, length, step) = self.asked;
        // Steps lie at multiples of the step, as a dashboard aligns them.
        let end = (self.now - ago).div_euclid(step) * step;
        let range = RangeParams {
            start: Millis(BEGIN + (end - length / step * step) * MINUTE),
            end: Millis(BEGIN + end * MINUTE),
            step: Duration::from_secs(60 * step.unsigned_abs()),
        };
        let options = Options {
            reuse,
            ..Options::default()
        };
        let reader = self.bed.engine.reader((&self.tenant).into(), options);
        let reply = reader.unwrap().range(QUERIES[query], range).await;
        reply.unwrap()
    }

    async fn act(&mut self, act: Act) {
        match act {
            Act::Pass(minutes, who) => {
                for _ in 0..minutes {
                    self.now += 1;
                    for series in (0..3).filter(|n| who & (1 << n) != 0) {
                        self.append(series, self.now).await;
                    }
                }
            }
            Act::Late(series, late) => self.append(series, self.now - late).await,
            Act::Flush => self.bed.store.flush().await.unwrap(),
            Act::DeleteAll => {
                self.bed.store.delete_tenant(&self.tenant).await.unwrap();
            }
            Act::Ask(query, ago, length, step) => {
                self.asked = (query, ago, length, step);
                self.compare().await;
            }
            Act::AskAgain => self.compare().await,
        }
    }

    async fn compare(&self) {
        let kept = self.reply(Reuse::Settled).await.answer;
        assert_eq!(kept, self.reply(Reuse::Nothing).await.answer);
    }
}

async fn check(acts: Vec<Act>, query: usize) {
    let mut dashboard = Dashboard::asking(query).await;
    for act in acts {
        dashboard.act(act).await;
    }
    dashboard.bed.store.close().await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn kept_answers_are_those_given_anew(
        acts in prop::collection::vec(act(), 1..24),
        query in 0..QUERIES.len(),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(check(acts, query));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_steps_that_are_not_settled_are_computed_again() {
    let mut dashboard = Dashboard::asking(1).await;
    dashboard.act(Act::Pass(45, 7)).await;
    let samples = async |dashboard: &Dashboard, reuse| dashboard.reply(reuse).await.stats.loaded;
    let first = samples(&dashboard, Reuse::Settled).await;
    let again = samples(&dashboard, Reuse::Settled).await;
    assert!(again * 2 < first, "{again} samples after {first}");
    // What comes late to a settled step makes all of it be computed again.
    dashboard.act(Act::Late(0, 30)).await;
    let all = samples(&dashboard, Reuse::Settled).await;
    assert!(all >= first, "{all} samples after {first}");
    assert_eq!(samples(&dashboard, Reuse::Nothing).await, all);
}
