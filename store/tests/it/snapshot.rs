//! A snapshot shows one moment.

use demarc_proto::{MatchOp, Matcher};
use demarc_store::{MetricKind, MetricRows, Rows, Table};

use crate::fixture::{gauge, open, row_count, tenant};

fn rows(metrics: Vec<MetricRows>) -> Rows {
    Rows {
        metrics,
        ..Rows::default()
    }
}

#[tokio::test]
async fn later_rows_series_and_flushes_do_not_show_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let id = tenant("a");
    store
        .append(&id, rows(vec![gauge("up", "one", &[(0, 1.0)])]))
        .await
        .unwrap();
    let snapshot = store.snapshot(&id);
    store
        .append(&id, rows(vec![gauge("up", "two", &[(0, 1.0)])]))
        .await
        .unwrap();
    store.flush().await.unwrap();
    assert_eq!(snapshot.select(&[], None).unwrap().len(), 1);
    assert_eq!(row_count(&snapshot.head(Table::Samples)), 1);
    assert!(snapshot.files(Table::Samples).is_empty());
    let later = store.snapshot(&id);
    assert_eq!(later.select(&[], None).unwrap().len(), 2);
    assert!(later.head(Table::Samples).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_snapshot_has_each_row_once_while_flushes_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let id = tenant("a");
    let flushing = {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..10 {
                store.flush().await.unwrap();
            }
        })
    };
    let mut appended = 0;
    while !flushing.is_finished() {
        store
            .append(&id, rows(vec![gauge("up", "one", &[(appended, 1.0)])]))
            .await
            .unwrap();
        appended += 1;
        let snapshot = store.snapshot(&id);
        let in_files: u64 = snapshot
            .files(Table::Samples)
            .iter()
            .map(|file| file.rows)
            .sum();
        let in_head = row_count(&snapshot.head(Table::Samples)) as u64;
        assert_eq!(in_files + in_head, appended as u64);
    }
    flushing.await.unwrap();
}

#[tokio::test]
async fn labels_and_metadata_are_those_of_the_selected_series() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let id = tenant("a");
    let series = vec![
        gauge("up", "one", &[(0, 1.0)]),
        gauge("down", "two", &[(0, 1.0)]),
    ];
    store.append(&id, rows(series)).await.unwrap();
    let snapshot = store.snapshot(&id);
    let up = [Matcher::equal("__name__", "up")];
    assert_eq!(
        snapshot.label_names(&[], None).unwrap(),
        ["__name__", "job"]
    );
    assert_eq!(
        snapshot.label_values("job", &[], None).unwrap(),
        ["one", "two"]
    );
    assert_eq!(snapshot.label_values("job", &up, None).unwrap(), ["one"]);
    assert!(
        snapshot
            .label_values("nothing", &[], None)
            .unwrap()
            .is_empty()
    );
    let metadata = snapshot.metadata(Some("up"));
    assert_eq!(metadata.len(), 1);
    assert_eq!(metadata["up"][0].kind, MetricKind::Gauge);
    assert_eq!(metadata["up"][0].help, "What it means");
    assert_eq!(snapshot.metadata(None).len(), 2);
    let bad = Matcher {
        name: "job".to_owned(),
        op: MatchOp::Regex,
        value: "(".to_owned(),
    };
    assert!(snapshot.select(&[bad], None).is_err());
}
