//! How fast the bytes of requests become durable rows: read, check, append to the write-ahead log, fsync, queryable.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use demarc_benches::{Bed, Traffic, gauges};
use demarc_ingest::{Compression, Encoding, Payload, Signal};
use demarc_proto::{Clock, SystemClock};
use prost::Message;

const ITEMS: usize = 2_000;
const SERIES: u64 = 5_000;
/// How long before now the traffic begins.
const AGO_NS: u64 = 1_800_000_000_000;

fn now_ns() -> u64 {
    SystemClock.now().0.unsigned_abs()
}

/// Measures requests of one signal, each made anew by `request`.
fn measure(
    criterion: &mut Criterion,
    (name, signal): (&str, Signal),
    items: u64,
    mut request: impl FnMut() -> Vec<u8>,
) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let bed = runtime.block_on(Bed::open());
    let mut group = criterion.benchmark_group("ingest");
    group.throughput(Throughput::Elements(items));
    group.bench_function(name, |bencher| {
        bencher.iter_batched(
            &mut request,
            |body| {
                let payload = Payload {
                    encoding: Encoding::Protobuf,
                    compression: Compression::Identity,
                    body: body.into(),
                    admission: bed.ingest.admission(),
                };
                runtime
                    .block_on(bed.ingest.otlp(&bed.tenant, signal, payload))
                    .expect("accepted")
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn traces(criterion: &mut Criterion) {
    let mut traffic = Traffic::new(1, now_ns() - AGO_NS);
    let name = ("otlp spans, one sender", Signal::Traces);
    measure(criterion, name, ITEMS as u64, || {
        traffic.spans(ITEMS).encode_to_vec()
    });
}

fn logs(criterion: &mut Criterion) {
    let mut traffic = Traffic::new(2, now_ns() - AGO_NS);
    let name = ("otlp log records, one sender", Signal::Logs);
    measure(criterion, name, ITEMS as u64, || {
        traffic.logs(ITEMS).encode_to_vec()
    });
}

fn points(criterion: &mut Criterion) {
    let name = ("otlp gauge points, one sender", Signal::Metrics);
    measure(criterion, name, SERIES, || {
        gauges(SERIES, now_ns()).encode_to_vec()
    });
}

criterion_group!(benches, traces, logs, points);
criterion_main!(benches);
