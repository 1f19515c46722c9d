//! How long the queries of dashboards and rules take over the head and over files.

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use demarc_benches::{Bed, gauges};
use demarc_proto::{Clock, Millis, SystemClock};
use demarc_query::RangeParams;

const SERIES: u64 = 1_000;
const SCRAPES: u64 = 240;
const INTERVAL_NS: u64 = 15_000_000_000;

async fn fill(bed: &Bed) -> u64 {
    let end = SystemClock.now().0.unsigned_abs();
    for scrape in (0..SCRAPES).rev() {
        let request = gauges(SERIES, end - scrape * INTERVAL_NS);
        bed.ingest
            .metrics(&bed.tenant, request)
            .await
            .expect("accepted");
    }
    end
}

fn queries(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let bed = runtime.block_on(Bed::open());
    let end = runtime.block_on(fill(&bed));
    for place in ["head", "files"] {
        if place == "files" {
            runtime.block_on(bed.store.flush()).expect("flushes");
        }
        let mut group = criterion.benchmark_group(format!("query over {place}"));
        group.sample_size(20);
        let at = Millis((end / 1_000_000) as i64);
        for query in [
            "bench_queue_length{queue=\"q7\"}",
            "sum by (shard) (bench_queue_length)",
        ] {
            group.bench_function(format!("instant {query}"), |bencher| {
                bencher.iter(|| {
                    runtime
                        .block_on(bed.engine.instant(&bed.tenant, query, at))
                        .expect("answers")
                });
            });
        }
        let hour = RangeParams {
            start: Millis(at.0 - 3_600_000),
            end: at,
            step: Duration::from_secs(15),
        };
        group.bench_function("range sum by (shard), 1 h at 15 s", |bencher| {
            let query = "sum by (shard) (avg_over_time(bench_queue_length[1m]))";
            bencher.iter(|| {
                runtime
                    .block_on(bed.engine.range(&bed.tenant, query, hour))
                    .expect("answers")
            });
        });
        group.finish();
    }
}

criterion_group!(benches, queries);
criterion_main!(benches);
