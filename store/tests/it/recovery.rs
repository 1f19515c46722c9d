//! A head as full as it may get comes back from the write-ahead log alone.

use std::time::Instant;

use demarc_store::{Rows, StoreConfig, Table};

use crate::fixture::{gauge, open_with, row_count, tenant};

const APPENDS: i64 = 200;
const SERIES: i64 = 500;
const SAMPLES: i64 = 10;

#[tokio::test]
async fn a_full_head_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let config = || StoreConfig {
        flush_rows: usize::MAX,
        flush_bytes: usize::MAX,
        ..StoreConfig::default()
    };
    let store = open_with(dir.path(), config()).await;
    for append in 0..APPENDS {
        let samples: Vec<(i64, f64)> = (0..SAMPLES)
            .map(|at| (append * SAMPLES + at, 0.5))
            .collect();
        let metrics = (0..SERIES).map(|series| gauge("load", &format!("job{series}"), &samples));
        let rows = Rows {
            metrics: metrics.collect(),
            ..Rows::default()
        };
        store.append(&tenant("a"), rows).await.unwrap();
    }
    drop(store);
    let started = Instant::now();
    let store = open_with(dir.path(), config()).await;
    let took = started.elapsed();
    let rows = row_count(&store.snapshot(&tenant("a")).head(Table::Samples)) as i64;
    assert_eq!(rows, APPENDS * SERIES * SAMPLES);
    eprintln!("{rows} samples recovered in {took:?}");
}
