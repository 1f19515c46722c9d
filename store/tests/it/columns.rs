//! Samples that arrive as columns.

use std::sync::Arc;

use arrow::{
    array::{Array, AsArray},
    datatypes::{Float64Type, Int64Type},
};
use demarc_proto::{Labels, Matcher, Millis, SeriesId, TenantId};
use demarc_store::{
    MetricKind, Rows, SampleFilter, Samples, SeriesEntry, SeriesRef, Snapshot, Store, Table,
};
use proptest::prelude::*;

use crate::fixture::{DAY_MS, gauge, open, row_count, tenant};

type Row = (SeriesId, i64, u64, Option<i64>);

fn entry(tenant: &TenantId, name: &str) -> SeriesEntry {
    let labels = Labels::from_pairs([("__name__", name)]);
    SeriesEntry {
        id: SeriesId::of(tenant, &labels),
        labels,
        kind: MetricKind::Counter,
        unit: String::new(),
        help: String::new(),
    }
}

fn series(store: &Store, tenant: &TenantId, name: &str) -> (SeriesRef, SeriesId) {
    let entry = entry(tenant, name);
    let id = entry.id;
    (store.series(tenant).intern(entry), id)
}

/// All rows, by series and time; of equal ones, in the order of reading.
async fn rows(snapshot: &Snapshot) -> Vec<Row> {
    let mut rows = Vec::new();
    for batch in snapshot.read(Table::Samples).await.unwrap() {
        let column = |name| batch.column_by_name(name).unwrap();
        let ids = column("series_id").as_binary::<i32>();
        let times = column("time").as_primitive::<Int64Type>();
        let values = column("value").as_primitive::<Float64Type>();
        let starts = column("start_time").as_primitive::<Int64Type>();
        for at in 0..batch.num_rows() {
            rows.push((
                SeriesId::from_bytes(ids.value(at)).unwrap(),
                times.value(at),
                values.value(at).to_bits(),
                starts.is_valid(at).then(|| starts.value(at)),
            ));
        }
    }
    rows.sort_by_key(|(id, time, ..)| (*id, *time));
    rows
}

#[tokio::test]
async fn columns_survive_the_log_the_head_and_files() {
    let dir = tempfile::tempdir().unwrap();
    let tenant = tenant("tax");
    let store = open(dir.path()).await;
    let (a, a_id) = series(&store, &tenant, "a_total");
    let (b, b_id) = series(&store, &tenant, "b_total");
    assert!(
        store
            .snapshot(&tenant)
            .select(&[], None)
            .unwrap()
            .is_empty()
    );
    assert!(
        store.tenants().is_empty(),
        "a series without samples is no row"
    );
    let mut samples = Samples::default();
    samples.push(b, Millis(DAY_MS + 2), 2.0);
    samples.push_started(a, Millis(DAY_MS - 9), Millis(DAY_MS + 1), 1.0);
    samples.push(b, Millis(DAY_MS - 1), f64::from_bits(0x7ff0_0000_0000_0002));
    let rest = Rows {
        metrics: vec![gauge("up", "x", &[(3, 1.0)])],
        ..Rows::default()
    };
    store.append_columns(&tenant, samples, rest).await.unwrap();
    let mut expected = vec![
        (a_id, DAY_MS + 1, 1.0_f64.to_bits(), Some(DAY_MS - 9)),
        (b_id, DAY_MS - 1, 0x7ff0_0000_0000_0002, None),
        (b_id, DAY_MS + 2, 2.0_f64.to_bits(), None),
    ];
    let up = Labels::from_pairs([("__name__", "up"), ("job", "x")]);
    expected.push((
        SeriesId::of(&tenant, &up),
        DAY_MS + 3,
        1.0_f64.to_bits(),
        None,
    ));
    expected.sort_by_key(|(id, time, ..)| (*id, *time));
    assert_eq!(rows(&store.snapshot(&tenant)).await, expected);
    drop(store);

    let store = open(dir.path()).await;
    assert_eq!(rows(&store.snapshot(&tenant)).await, expected);
    store.flush().await.unwrap();
    let snapshot = store.snapshot(&tenant);
    assert!(snapshot.head(Table::Samples).is_empty());
    assert_eq!(rows(&snapshot).await, expected);
    let dates: Vec<String> = snapshot
        .files(Table::Samples)
        .into_iter()
        .map(|file| file.date)
        .collect();
    assert_eq!(dates, ["2026-11-22", "2026-11-23"]);
    // One row of b for each of its days.
    let listed = snapshot.read(Table::Series).await.unwrap();
    assert_eq!(row_count(&listed), 4);
    let found = snapshot
        .select(&[Matcher::equal("__name__", "b_total")], None)
        .unwrap();
    assert_eq!(*found[0], entry(&tenant, "b_total"));
}

#[tokio::test]
async fn the_head_answers_for_some_series_and_times() {
    let dir = tempfile::tempdir().unwrap();
    let tenant = tenant("a");
    let store = open(dir.path()).await;
    let all: Vec<_> = (0..50)
        .map(|n| series(&store, &tenant, &format!("m{n}")))
        .collect();
    for time in 0..40 {
        let mut samples = Samples::with_capacity(all.len());
        for (series, _) in &all {
            samples.push(*series, Millis(time), time as f64);
        }
        let none = Rows::default();
        store.append_columns(&tenant, samples, none).await.unwrap();
    }
    let snapshot = store.snapshot(&tenant);
    let (_, id) = all[7];
    let range = (Millis(3), Millis(5));
    let found = snapshot.head_series(id, range);
    assert_eq!(found, [(3, 3.0), (4, 4.0), (5, 5.0)]);
    let filter = SampleFilter {
        series: Some(vec![id, all[8].1, SeriesId(0)]),
        range: Some(range),
    };
    assert_eq!(row_count(&snapshot.head_samples(&filter)), 6);
    assert!(snapshot.head_series(SeriesId(0), range).is_empty());
}

/// Any number, and the odd ones often.
fn any_bits() -> impl Strategy<Value = u64> {
    let odd = [
        0_u64,
        (-0.0_f64).to_bits(),
        f64::INFINITY.to_bits(),
        f64::NEG_INFINITY.to_bits(),
        f64::NAN.to_bits(),
        0x7ff0_0000_0000_0002,
        0xfff8_dead_beef_0001,
        1,
        f64::MAX.to_bits(),
        0.1_f64.to_bits(),
        123_456.789_f64.to_bits(),
        (i64::MAX as f64).to_bits(),
    ];
    let decimal = (any::<i32>(), 0_i32..20)
        .prop_map(|(digits, places)| (f64::from(digits) / 10_f64.powi(places)).to_bits());
    prop_oneof![
        any::<u64>(),
        proptest::sample::select(odd.to_vec()),
        decimal
    ]
}

async fn written_and_read(values: &[(u8, i16, u64, bool)]) -> (Vec<Row>, Vec<Row>) {
    let dir = tempfile::tempdir().unwrap();
    let tenant = tenant("a");
    let store: Arc<Store> = open(dir.path()).await;
    let mut samples = Samples::default();
    let mut expected = Vec::new();
    for (at, (number, time, bits, is_started)) in values.iter().enumerate() {
        let (one, id) = series(&store, &tenant, &format!("m{}", number % 3));
        // Times are distinct, so that the order is.
        let time = DAY_MS + i64::from(*time) * 1000 + at as i64;
        let start = is_started.then_some(time - 5);
        let value = f64::from_bits(*bits);
        match start {
            Some(start) => samples.push_started(one, Millis(start), Millis(time), value),
            None => samples.push(one, Millis(time), value),
        }
        expected.push((id, time, *bits, start));
    }
    store
        .append_columns(&tenant, samples, Rows::default())
        .await
        .unwrap();
    store.flush().await.unwrap();
    expected.sort_by_key(|(id, time, ..)| (*id, *time));
    (rows(&store.snapshot(&tenant)).await, expected)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn every_bit_of_every_value_survives_a_flush(
        values in prop::collection::vec((any::<u8>(), any::<i16>(), any_bits(), any::<bool>()), 1..200),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let (read, expected) = runtime.block_on(written_and_read(&values));
        prop_assert_eq!(read, expected);
    }
}
