//! An answer says what it lacks.

use demarc_proto::{Labels, Millis};
use demarc_store::{MetricKind, MetricRows, Rows, Sample, Table};

use crate::fixture::{Bed, tenant};

#[tokio::test(flavor = "multi_thread")]
async fn when_a_damaged_file_is_left_out_the_answer_carries_a_warning() {
    let bed = Bed::new().await;
    let tax = tenant("tax");
    let at = Millis(1_000_000_000);
    let series = MetricRows {
        labels: Labels::from_pairs([("__name__", "up")]),
        kind: MetricKind::Gauge,
        samples: vec![Sample::new(at, 1.0)],
        ..MetricRows::default()
    };
    for name in ["tax", "health"] {
        let rows = Rows {
            metrics: vec![series.clone()],
            ..Rows::default()
        };
        bed.append(&tenant(name), rows).await;
    }
    bed.store.flush().await.unwrap();
    let bed = bed.reopened().await;
    let intact = bed.engine.instant(&tax, "up", at).await.unwrap();
    assert!(intact.warnings.is_empty(), "{intact:?}");
    let file = bed.store.snapshot(&tax).files(Table::Samples)[0]
        .path
        .clone();
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes.push(0);
    std::fs::write(&file, bytes).unwrap();
    // The one that finds it, and those after the file was put aside.
    for _ in 0..2 {
        let answer = bed.engine.instant(&tax, "up", at).await.unwrap();
        let [warning] = answer.warnings.as_slice() else {
            panic!("{answer:?}");
        };
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(warning.contains("1970-01-12") && warning.contains(name));
        bed.store.maintain().await.unwrap();
    }
    let later = Millis(at.0 + 2 * 86_400_000);
    let elsewhen = bed.engine.instant(&tax, "up", later).await.unwrap();
    assert!(elsewhen.warnings.is_empty(), "{elsewhen:?}");
    let other = bed.engine.instant(&tenant("health"), "up", at).await;
    assert!(other.unwrap().warnings.is_empty());
}
