//! How fast OTLP requests become durable rows: validate, append to the WAL, fsync, queryable.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use demarc_benches::{Bed, gauges, spans};
use demarc_proto::{Clock, SystemClock};

const SPANS_A_REQUEST: u64 = 1_000;
const SERIES: u64 = 5_000;

fn now_ns() -> u64 {
    SystemClock.now().0.unsigned_abs()
}

fn traces(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let bed = runtime.block_on(Bed::open());
    let mut group = criterion.benchmark_group("ingest");
    group.throughput(Throughput::Elements(SPANS_A_REQUEST));
    group.bench_function("otlp spans, one sender", |bencher| {
        bencher.iter_batched(
            || spans(SPANS_A_REQUEST, now_ns()),
            |request| {
                runtime
                    .block_on(bed.ingest.traces(&bed.tenant, request))
                    .expect("accepted")
            },
            BatchSize::SmallInput,
        );
    });
    group.throughput(Throughput::Elements(SERIES));
    group.bench_function("otlp gauge points, one sender", |bencher| {
        bencher.iter_batched(
            || gauges(SERIES, now_ns()),
            |request| {
                runtime
                    .block_on(bed.ingest.metrics(&bed.tenant, request))
                    .expect("accepted")
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, traces);
criterion_main!(benches);
