//! The store alone: samples appended as columns, and read back from memory.

use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use demarc_benches::Bed;
use demarc_proto::{Clock, Labels, METRIC_NAME, Millis, SeriesId, SystemClock};
use demarc_store::{
    MetricKind, Rows, SampleFilter, Samples, SeriesEntry, SeriesIndex, SeriesRef, StoreConfig,
};

const SERIES: usize = 5_000;
const ROUNDS: i64 = 100;
const STEP_MS: i64 = 15_000;

fn intern(bed: &Bed, index: &Arc<SeriesIndex>) -> Vec<(SeriesId, SeriesRef)> {
    let one = |at: usize| {
        let labels = Labels::from_pairs([
            (METRIC_NAME, format!("requests_{}_total", at % 50)),
            ("instance", format!("10.0.0.{}:9100", at / 50)),
        ]);
        let id = SeriesId::of(&bed.tenant, &labels);
        let series = index.intern(SeriesEntry {
            id,
            labels,
            kind: MetricKind::Counter,
            unit: String::new(),
            help: String::new(),
        });
        (id, series)
    };
    (0..SERIES).map(one).collect()
}

fn round(series: &[(SeriesId, SeriesRef)], time: Millis) -> Samples {
    let mut samples = Samples::with_capacity(series.len());
    for (at, (_, series)) in series.iter().enumerate() {
        samples.push(*series, time, at as f64);
    }
    samples
}

fn samples(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    // All of it stays in memory.
    let bed = runtime.block_on(Bed::with(StoreConfig {
        flush_rows: usize::MAX,
        flush_bytes: usize::MAX / 8,
        ..StoreConfig::default()
    }));
    let series = intern(&bed, &bed.store.series(&bed.tenant));
    let start = SystemClock.now().to_millis().0 - ROUNDS * STEP_MS;
    for at in 0..ROUNDS {
        let samples = round(&series, Millis(start + at * STEP_MS));
        let appended = bed
            .store
            .append_columns(&bed.tenant, samples, Rows::default());
        runtime.block_on(appended).expect("appended");
    }
    let mut group = criterion.benchmark_group("store");
    let filter = SampleFilter {
        series: Some(series.iter().step_by(50).map(|(id, _)| *id).collect()),
        range: None,
    };
    group.throughput(Throughput::Elements(ROUNDS.unsigned_abs() * 100));
    group.bench_function("scan 100 of 5,000 series in memory", |bencher| {
        bencher.iter(|| bed.store.snapshot(&bed.tenant).head_samples(&filter));
    });
    let mut time = start + ROUNDS * STEP_MS;
    group.throughput(Throughput::Elements(SERIES as u64));
    group.bench_function("append 5,000 samples, one sender", |bencher| {
        bencher.iter(|| {
            time += 1;
            let samples = round(&series, Millis(time));
            let appended = bed
                .store
                .append_columns(&bed.tenant, samples, Rows::default());
            runtime.block_on(appended).expect("appended");
        });
    });
    group.finish();
}

criterion_group!(benches, samples);
criterion_main!(benches);
