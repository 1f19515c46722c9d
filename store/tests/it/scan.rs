//! Wanted samples out of memory and files are those that were appended, wherever they are by now.

use std::{collections::BTreeMap, sync::Arc};

use demarc_proto::{Labels, Matcher, Millis, SeriesId, TenantId};
use demarc_store::{
    MetricKind, Rows, Samples, SeriesEntry, Snapshot, Store, StoreConfig, Table, Wanted,
};
use proptest::prelude::*;

use crate::fixture::{DAY_MS, open_with, tenant};

const SERIES: u32 = 7;

/// What a test does to a store.
#[derive(Clone, Debug)]
enum Act {
    /// Series, time, value, and whether its start is known.
    Append(Vec<(u32, i64, i32, bool)>),
    Flush,
    Maintain,
    Restart,
    /// Some of the series (a bit for each), and the first and the last time.
    Ask(u8, i64, i64),
}

fn act() -> impl Strategy<Value = Act> {
    let point = (0..SERIES, 0_i64..60, any::<i32>(), any::<bool>());
    prop_oneof![
        4 => prop::collection::vec(point, 1..40).prop_map(Act::Append),
        2 => Just(Act::Flush),
        1 => Just(Act::Maintain),
        1 => Just(Act::Restart),
        4 => (any::<u8>(), 0_i64..60, 0_i64..60).prop_map(|(who, a, b)| Act::Ask(who, a.min(b), a.max(b))),
    ]
}

fn entry(tenant: &TenantId, number: u32) -> SeriesEntry {
    let name = if number.is_multiple_of(3) {
        "a_total"
    } else {
        "b"
    };
    let number = number.to_string();
    let labels = Labels::from_pairs([("__name__", name), ("n", &number)]);
    SeriesEntry {
        id: SeriesId::of(tenant, &labels),
        labels,
        kind: MetricKind::Counter,
        unit: String::new(),
        help: String::new(),
    }
}

/// Time, value and start of each sample of the series called `n`, the later written after the earlier.
type Found = BTreeMap<(u32, i64), (f64, i64)>;

/// All samples of series that `who` has a bit for, as a query would read them.
fn read(snapshot: &Snapshot, who: u8, range: (Millis, Millis)) -> Found {
    let options: Vec<String> = (0..SERIES)
        .filter(|n| who & (1 << n) != 0)
        .map(|n| n.to_string())
        .collect();
    let matcher = Matcher {
        op: demarc_proto::MatchOp::Regex,
        ..Matcher::equal("n", options.join("|"))
    };
    let series = snapshot.select_numbered(&[matcher], None).unwrap();
    let number = |place: usize| {
        series.entries[place]
            .labels
            .get("n")
            .parse::<u32>()
            .unwrap()
    };
    let mut found = Found::new();
    let since = snapshot.in_memory_since().0;
    let last = range.1.0.min(since.saturating_sub(1));
    if last >= range.0.0 {
        let wanted = Wanted::new(&series.entries);
        let range = (range.0, Millis(last));
        for part in snapshot.parts(Table::Samples, &wanted, range).unwrap() {
            let fragment = part.samples(&wanted, range).unwrap();
            for stretch in &fragment.stretches {
                for at in stretch.from as usize..stretch.to as usize {
                    let columns = &fragment.columns;
                    let start = columns.starts.get(at).copied().unwrap_or(0);
                    let key = (number(stretch.place as usize), columns.times[at]);
                    found.insert(key, (columns.values[at], start));
                }
            }
        }
    }
    let mut order: Vec<usize> = (0..series.numbers.len()).collect();
    order.sort_by_key(|place| series.numbers[*place]);
    let mut memory = snapshot.in_memory(range);
    for place in order {
        let (mut floats, mut starts) = (Vec::new(), Vec::new());
        memory.read(series.numbers[place], &mut floats, &mut starts);
        starts.resize(floats.len(), 0);
        for ((time, value), start) in floats.into_iter().zip(starts) {
            found.insert((number(place), time), (value, start));
        }
    }
    found
}

async fn append(
    store: &Store,
    tenant: &TenantId,
    points: &[(u32, i64, i32, bool)],
    all: &mut Found,
) {
    let index = store.series(tenant);
    let mut samples = Samples::default();
    for (number, time, value, has_start) in points {
        let series = index.intern(entry(tenant, *number));
        // Every other value has all its digits, so that files hold it whole.
        let value = if value % 2 == 0 {
            f64::from(*value) / 10.0
        } else {
            f64::from(*value) / 3.0
        };
        let time = DAY_MS + time;
        let start = if *has_start { DAY_MS - 5 } else { 0 };
        if *has_start {
            samples.push_started(series, Millis(start), Millis(time), value);
        } else {
            samples.push(series, Millis(time), value);
        }
        all.insert((*number, time), (value, start));
    }
    store
        .append_columns(tenant, samples, Rows::default())
        .await
        .unwrap();
}

async fn check(acts: Vec<Act>, recent_bytes: usize, decoded_bytes: usize) {
    let dir = tempfile::tempdir().unwrap();
    let tenant = tenant("a");
    let config = StoreConfig {
        recent_bytes,
        decoded_bytes,
        compact_min_files: 2,
        ..StoreConfig::default()
    };
    let mut store: Arc<Store> = open_with(dir.path(), config.clone()).await;
    let mut all = Found::new();
    for act in acts {
        match act {
            Act::Append(points) => append(&store, &tenant, &points, &mut all).await,
            Act::Flush => store.flush().await.unwrap(),
            Act::Maintain => store.maintain().await.unwrap(),
            Act::Restart => {
                store.close().await.unwrap();
                drop(store);
                store = open_with(dir.path(), config.clone()).await;
            }
            Act::Ask(who, first, last) => {
                let (first, last) = (DAY_MS + first, DAY_MS + last);
                let mut expected = all.clone();
                expected
                    .retain(|(n, time), _| who & (1 << n) != 0 && first <= *time && *time <= last);
                let found = read(&store.snapshot(&tenant), who, (Millis(first), Millis(last)));
                assert_eq!(found, expected);
            }
        }
    }
    store.close().await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn wherever_samples_are_they_are_found(
        acts in prop::collection::vec(act(), 1..14),
        recent_bytes in prop::sample::select(vec![0, 3000, 1 << 20]),
        decoded_bytes in prop::sample::select(vec![0, 5000, 1 << 20]),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(check(acts, recent_bytes, decoded_bytes));
    }
}

#[tokio::test]
async fn deleted_samples_do_not_stay_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_with(dir.path(), StoreConfig::default()).await;
    let tenant = tenant("a");
    let mut all = Found::new();
    append(&store, &tenant, &[(1, 5, 2, false)], &mut all).await;
    store.flush().await.unwrap();
    let range = (Millis(DAY_MS), Millis(DAY_MS + 9));
    assert_eq!(read(&store.snapshot(&tenant), u8::MAX, range), all);
    store.delete_tenant(&tenant).await.unwrap();
    append(&store, &tenant, &[(1, 6, 4, false)], &mut all).await;
    all.retain(|(_, time), _| *time == DAY_MS + 6);
    assert_eq!(read(&store.snapshot(&tenant), u8::MAX, range), all);
}
