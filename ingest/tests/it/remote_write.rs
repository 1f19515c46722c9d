//! Remote-write: both versions, good values beside bad ones, and what was refused leaves no trace.

use std::time::Duration;

use demarc_ingest::{IngestConfig, IngestError, Limits, RemoteWrite, Written};
use demarc_proto::TenantId;
use demarc_store::Table;

use crate::{
    bed::{Bed, NOW},
    message::{Message, text},
};

/// Now, in milliseconds.
pub(crate) const NOW_MS: i64 = NOW.0 / 1_000_000;

pub(crate) async fn send(
    bed: &Bed,
    version: RemoteWrite,
    request: &Message,
) -> Result<Written, IngestError> {
    let body = snap::raw::Encoder::new()
        .compress_vec(request.bytes())
        .unwrap();
    bed.ingest
        .remote_write(
            &TenantId::default(),
            version,
            body.into(),
            bed.ingest.admission(),
        )
        .await
}

/// A series of version 1.
pub(crate) fn series(labels: &[(&str, &str)], samples: &[(i64, f64)]) -> Message {
    let mut series = Message::default();
    for (name, value) in labels {
        series.message(1, &text(1, name).and_text(2, value));
    }
    for (time, value) in samples {
        let mut sample = Message::default();
        sample.double(1, *value);
        sample.varint(2, time.cast_unsigned());
        series.message(2, &sample);
    }
    series
}

pub(crate) fn request(all: &[Message]) -> Message {
    let mut request = Message::default();
    for series in all {
        request.message(1, series);
    }
    request
}

/// A request of version 2 with one series: its labels, its metadata, and what else it has.
fn request_v2(labels: &[(&str, &str)], more: &Message) -> Message {
    let mut symbols = vec![String::new()];
    let mut references = Vec::new();
    for (name, value) in labels {
        for one in [name, value] {
            references.push(symbols.len() as u64);
            symbols.push((*one).to_owned());
        }
    }
    symbols.push("Jobs done.".to_owned());
    let mut metadata = Message::default();
    metadata.varint(1, 1);
    metadata.varint(3, symbols.len() as u64 - 1);
    let mut series = Message::default();
    series.packed(1, &references);
    series.append(more);
    series.message(5, &metadata);
    let mut request = Message::default();
    for symbol in &symbols {
        request.append(&text(4, symbol));
    }
    request.message(5, &series);
    request
}

fn sample_v2(time: i64, value: f64, start: i64) -> Message {
    let mut sample = Message::default();
    sample.double(1, value);
    sample.varint(2, time.cast_unsigned());
    sample.varint(3, start.cast_unsigned());
    let mut field = Message::default();
    field.message(2, &sample);
    field
}

fn reasons(written: &Written) -> Vec<(&str, u64)> {
    let rejected = written.rejected.iter();
    rejected.map(|one| (one.reason, one.count)).collect()
}

const UP: &[(&str, &str)] = &[("__name__", "up"), ("job", "node")];

#[tokio::test]
async fn samples_of_version_1_are_written_and_metadata_is_joined_by_family() {
    let bed = Bed::new().await;
    let mut metadata = Message::default();
    metadata.varint(1, 1);
    metadata.append(&text(2, "jobs_total").and_text(4, "Jobs done."));
    let jobs = series(&[("__name__", "jobs_total")], &[(NOW_MS, 3.0)]);
    let mut all = request(&[
        series(UP, &[(NOW_MS - 1000, 1.0), (NOW_MS, f64::NAN)]),
        jobs,
    ]);
    all.message(3, &metadata);
    let written = send(&bed, RemoteWrite::V1, &all).await.unwrap();
    assert_eq!((written.samples, reasons(&written)), (3, vec![]));
    let shown = bed.shown(Table::Samples);
    assert!(shown.contains("NaN") && shown.contains("3.0"), "{shown}");
    // What is known of a family by the next request is told to the store with the next value.
    let again = request(&[series(&[("__name__", "jobs_total")], &[(NOW_MS + 1, 4.0)])]);
    send(&bed, RemoteWrite::V1, &again).await.unwrap();
}

#[tokio::test]
async fn version_2_brings_metadata_and_start_times() {
    let bed = Bed::new().await;
    let labels = [("__name__", "jobs_total"), ("job", "定")];
    let all = request_v2(&labels, &sample_v2(NOW_MS, 7.0, NOW_MS - 60_000));
    let written = send(&bed, RemoteWrite::V2, &all).await.unwrap();
    assert_eq!((written.samples, reasons(&written)), (1, vec![]));
    let shown = bed.shown(Table::Series);
    for part in ["counter", "Jobs done.", "job: 定"] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    let shown = bed.shown(Table::Samples);
    assert!(shown.contains(&(NOW_MS - 60_000).to_string()), "{shown}");
}

#[tokio::test]
async fn both_versions_name_the_same_series() {
    let bed = Bed::new().await;
    let all = request(&[series(UP, &[(NOW_MS - 1, 1.0)])]);
    send(&bed, RemoteWrite::V1, &all).await.unwrap();
    let all = request_v2(UP, &sample_v2(NOW_MS, 0.0, 0));
    send(&bed, RemoteWrite::V2, &all).await.unwrap();
    let shown = bed.shown(Table::Samples);
    let ids: std::collections::BTreeSet<_> = shown
        .lines()
        .filter(|line| line.contains("up"))
        .filter_map(|line| line.split('|').nth(1))
        .collect();
    assert_eq!(ids.len(), 1, "{shown}");
}

#[tokio::test]
async fn what_comes_twice_is_written_once_and_what_comes_late_within_the_window() {
    let bed = Bed::new().await;
    let at = |offset_s: i64, value| request(&[series(UP, &[(NOW_MS + offset_s * 1000, value)])]);
    let cases = [
        (at(0, 1.0), 1, 0, 0, vec![]),
        (at(0, 1.0), 1, 1, 0, vec![]),
        (at(0, 2.0), 0, 0, 0, vec![("duplicate_timestamp", 1)]),
        (at(-3599, 1.0), 1, 0, 1, vec![]),
        (at(-3601, 1.0), 0, 0, 0, vec![("too_old", 1)]),
        (at(599, 1.0), 1, 0, 0, vec![]),
        (at(86_400, 1.0), 0, 0, 0, vec![("too_far_in_the_future", 1)]),
        // The one in the future does not keep the present out.
        (at(1, 1.0), 1, 0, 1, vec![]),
    ];
    for (number, (all, samples, duplicates, out_of_order, refused)) in cases.into_iter().enumerate()
    {
        let written = send(&bed, RemoteWrite::V1, &all).await.unwrap();
        let got = (written.samples, written.duplicates, written.out_of_order);
        assert_eq!(got, (samples, duplicates, out_of_order), "case {number}");
        assert_eq!(reasons(&written), refused, "case {number}");
    }
    assert_eq!(bed.rows(Table::Samples), 4);
}

#[tokio::test]
async fn a_bad_series_does_not_take_its_neighbours_along() {
    let bed = Bed::new().await;
    let one = |labels: &[(&str, &str)]| series(labels, &[(NOW_MS, 1.0)]);
    let long = "x".repeat(20_000);
    let many: Vec<(String, String)> = (0..300)
        .map(|n| (format!("l{n}"), "v".to_owned()))
        .collect();
    let mut many: Vec<(&str, &str)> = many.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    many.push(("__name__", "many"));
    let mut invalid = Message::default();
    invalid.message(1, &text(1, "__name__").and_bytes(2, b"a\xff"));
    invalid.append(&one(&[]));
    let all = request(&[
        one(UP),
        one(&[("job", "nameless")]),
        one(&[("__name__", "a"), ("", "b")]),
        one(&[("__name__", "a"), ("b", "1"), ("b", "2")]),
        one(&[("__name__", "a"), ("b", &long)]),
        one(&many),
        invalid,
        one(&[("__name__", "last")]),
    ]);
    let written = send(&bed, RemoteWrite::V1, &all).await.unwrap();
    assert_eq!(written.samples, 2);
    let expected = [
        ("bad_label", 1),
        ("duplicate_label", 1),
        ("invalid_utf8", 1),
        ("label_too_long", 1),
        ("no_metric_name", 1),
        ("too_many_attributes", 1),
    ];
    assert_eq!(reasons(&written), expected);
    for part in ["nameless", "max_value_bytes", "at most 16384"] {
        assert!(written.message().contains(part), "{}", written.message());
    }
}

/// A histogram with exponential buckets, one with custom ones, one of an absurd scale.
pub(crate) fn histograms() -> Message {
    let mut exponential = Message::default();
    exponential.varint(1, 6);
    exponential.double(3, 12.5);
    exponential.zigzag(4, 3);
    exponential.double(5, 0.001);
    exponential.varint(6, 1);
    let mut span = Message::default();
    span.zigzag(1, -2);
    span.varint(2, 2);
    exponential.message(11, &span);
    exponential.packed(12, &[4, 2]);
    exponential.varint(15, NOW_MS.cast_unsigned());
    let mut custom = Message::default();
    custom.double(2, 3.0);
    custom.double(3, 4.5);
    custom.zigzag(4, -53);
    let mut span = Message::default();
    span.varint(2, 2);
    custom.message(11, &span);
    custom.doubles(13, &[1.0, 2.0]);
    custom.doubles(16, &[0.5]);
    custom.varint(15, NOW_MS.cast_unsigned());
    let mut absurd = Message::default();
    absurd.zigzag(4, 1000);
    absurd.varint(15, NOW_MS.cast_unsigned());
    let mut all = Message::default();
    for (name, histogram) in [
        ("exponential", &exponential),
        ("custom", &custom),
        ("absurd", &absurd),
    ] {
        let mut one = series(&[("__name__", name)], &[]);
        one.message(4, histogram);
        all.message(1, &one);
    }
    all
}

#[tokio::test]
async fn histograms_with_exponential_and_with_custom_buckets_are_written() {
    let bed = Bed::new().await;
    let all = histograms();
    let written = send(&bed, RemoteWrite::V1, &all).await.unwrap();
    assert_eq!(
        (written.histograms, reasons(&written)),
        (2, vec![("bad_scale", 1)])
    );
    let shown = bed.shown(Table::Histograms);
    for part in ["[2.0, 3.0]", "-53", "[1.0, 2.0]", "[0.5]"] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
}

#[tokio::test]
async fn an_exemplar_may_come_in_a_series_of_its_own() {
    let bed = Bed::new().await;
    let trace = "5b8efff798038103d269b633813fc60c";
    let mut exemplar = Message::default();
    exemplar.message(1, &text(1, "trace_id").and_text(2, trace));
    exemplar.message(1, &text(1, "user").and_text(2, "ann"));
    exemplar.double(2, 0.25);
    exemplar.varint(3, NOW_MS.cast_unsigned());
    let mut one = series(&[("__name__", "seconds_bucket"), ("le", "1")], &[]);
    one.message(3, &exemplar);
    let written = send(&bed, RemoteWrite::V1, &request(&[one])).await.unwrap();
    assert_eq!((written.exemplars, reasons(&written)), (1, vec![]));
    let shown = bed.shown(Table::Exemplars);
    assert!(
        shown.contains(trace) && shown.contains("user: ann"),
        "{shown}"
    );
    assert!(bed.shown(Table::Series).contains("seconds_bucket"));
}

#[tokio::test]
async fn version_2_refuses_what_it_forbids() {
    let bed = Bed::new().await;
    let written = send(&bed, RemoteWrite::V2, &request_v2(UP, &Message::default()))
        .await
        .unwrap();
    assert_eq!(reasons(&written), [("no_samples", 1)]);
    let mut series = Message::default();
    series.packed(1, &[1, 99]);
    series.append(&sample_v2(NOW_MS, 1.0, 0));
    let mut all = request_v2(UP, &sample_v2(NOW_MS, 1.0, 0));
    all.message(5, &series);
    let written = send(&bed, RemoteWrite::V2, &all).await.unwrap();
    assert_eq!(
        (written.samples, reasons(&written)),
        (1, vec![("bad_symbol", 1)])
    );
}

#[tokio::test]
async fn series_beyond_the_limit_are_refused_until_others_are_idle() {
    let limits = Limits {
        max_active_series: 1,
        ..Limits::default()
    };
    let bed = Bed::with(IngestConfig {
        limits,
        ..IngestConfig::default()
    })
    .await;
    let name = |name, time| request(&[series(&[("__name__", name)], &[(time, 1.0)])]);
    let both = request(&[
        series(&[("__name__", "one")], &[(NOW_MS, 1.0)]),
        series(&[("__name__", "two")], &[(NOW_MS, 1.0)]),
    ]);
    let written = send(&bed, RemoteWrite::V1, &both).await.unwrap();
    assert_eq!(
        (written.samples, reasons(&written)),
        (1, vec![("too_many_series", 1)])
    );
    let written = send(&bed, RemoteWrite::V1, &name("one", NOW_MS + 1))
        .await
        .unwrap();
    assert_eq!(written.samples, 1);
    bed.clock.advance(Duration::from_secs(3700));
    bed.ingest.flush_span_metrics().await.unwrap();
    let written = send(&bed, RemoteWrite::V1, &name("two", NOW_MS + 2))
        .await
        .unwrap();
    assert_eq!((written.samples, reasons(&written)), (1, vec![]));
}

#[tokio::test]
async fn series_that_ended_count_for_as_long_as_the_store_knows_them() {
    let bed = Bed::with(IngestConfig {
        max_series: 1,
        ..IngestConfig::default()
    })
    .await;
    let name = |name, time| request(&[series(&[("__name__", name)], &[(time, 1.0)])]);
    let both = request(&[
        series(&[("__name__", "one")], &[(NOW_MS, 1.0)]),
        series(&[("__name__", "two")], &[(NOW_MS, 1.0)]),
    ]);
    let written = send(&bed, RemoteWrite::V1, &both).await.unwrap();
    let refused = vec![("too_many_series", 1)];
    assert_eq!((written.samples, reasons(&written)), (1, refused.clone()));
    bed.clock.advance(Duration::from_secs(3700));
    bed.ingest.flush_span_metrics().await.unwrap();
    for (series, wanted) in [("two", (0, refused)), ("one", (1, vec![]))] {
        let body = name(series, NOW_MS + 1);
        let written = send(&bed, RemoteWrite::V1, &body).await.unwrap();
        assert_eq!((written.samples, reasons(&written)), wanted, "{series}");
    }
}

#[tokio::test]
async fn a_tenant_that_sends_too_fast_is_told_when_to_come_back() {
    let limits = Limits {
        max_rows_per_second: 2,
        ..Limits::default()
    };
    let bed = Bed::with(IngestConfig {
        limits,
        ..IngestConfig::default()
    })
    .await;
    let at = |time| request(&[series(UP, &[(time, 1.0), (time + 1, 1.0), (time + 2, 1.0)])]);
    send(&bed, RemoteWrite::V1, &at(NOW_MS)).await.unwrap();
    let refusal = send(&bed, RemoteWrite::V1, &at(NOW_MS + 10))
        .await
        .unwrap_err();
    assert_eq!(
        refusal.retry_after(),
        Some(Duration::from_secs(1)),
        "{refusal}"
    );
    bed.clock.advance(Duration::from_secs(2));
    // What was refused left no trace: it is no duplicate now.
    let written = send(&bed, RemoteWrite::V1, &at(NOW_MS + 10)).await.unwrap();
    assert_eq!((written.samples, written.duplicates), (3, 0));
}

#[tokio::test]
async fn a_lie_about_its_length_costs_nothing() {
    let bed = Bed::new().await;
    let tenant = TenantId::default();
    let claims: [&[u8]; 4] = [
        b"\xff\xff\xff\xff\x0f\x00a",
        b"\x80\x80\x80\x10\x00a",
        b"\x10",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x00",
    ];
    for body in claims {
        let body = bytes::Bytes::copy_from_slice(body);
        let admission = bed.ingest.admission();
        let sent = bed
            .ingest
            .remote_write(&tenant, RemoteWrite::V1, body, admission);
        let refusal = sent.await.unwrap_err();
        assert!(!refusal.is_retryable(), "{refusal:?}");
    }
}
