//! SQL over a snapshot: head and files as one, limits, isolation.

use std::sync::Arc;

use arrow::util::pretty::pretty_format_batches;
use demarc_proto::{AttrValue, Attributes, Labels, METRIC_NAME, Millis, Nanos, SpanId, TraceId};
use demarc_query::{QueryConfig, QueryError};
use demarc_store::{MetricRows, Rows, Sample, SpanKind, SpanRow, SpanStatus};

use crate::fixture::{Bed, tenant};

fn span(number: u8, service: &str) -> SpanRow {
    let attributes: Attributes = [("http.route", AttrValue::from("/declare"))]
        .into_iter()
        .collect();
    SpanRow {
        trace_id: TraceId::from_bytes(&[number; 16]).unwrap(),
        span_id: SpanId::from_bytes(&[number; 8]).unwrap(),
        parent_span_id: None,
        trace_state: String::new(),
        name: "GET".to_owned(),
        kind: SpanKind::Server,
        start: Nanos(i64::from(number) * 1_000_000_000),
        duration_ns: i64::from(number) * 1_000_000,
        status: SpanStatus::Unset,
        status_message: String::new(),
        service: service.to_owned(),
        scope: String::new(),
        resource: Arc::new(Attributes::default()),
        attributes,
        events: Vec::new(),
        links: Vec::new(),
    }
}

fn spans(rows: Vec<SpanRow>) -> Rows {
    Rows {
        spans: rows,
        ..Rows::default()
    }
}

async fn table(bed: &Bed, name: &str, sql: &str) -> String {
    let frame = bed.engine.sql(&tenant(name), sql).await.unwrap();
    pretty_format_batches(&frame.batches).unwrap().to_string()
}

#[tokio::test]
async fn head_and_files_are_one_table() {
    let bed = Bed::new().await;
    bed.append(&tenant("a"), spans(vec![span(1, "api"), span(2, "api")]))
        .await;
    bed.store.flush().await.unwrap();
    bed.append(&tenant("a"), spans(vec![span(3, "web")])).await;
    let shown = table(
        &bed,
        "a",
        "SELECT service, count(*) AS n, max(duration) AS longest, max(attributes['http.route']) AS route \
         FROM spans GROUP BY service ORDER BY service",
    )
    .await;
    let wanted = "\
+---------+---+---------+----------+
| service | n | longest | route    |
+---------+---+---------+----------+
| api     | 2 | 2000000 | /declare |
| web     | 1 | 3000000 | /declare |
+---------+---+---------+----------+";
    assert_eq!(shown, wanted);
    let trace = bed
        .engine
        .trace(&tenant("a"), TraceId::from_bytes(&[2; 16]).unwrap())
        .await
        .unwrap();
    assert_eq!(trace, vec![span(2, "api")]);
}

#[tokio::test]
async fn tenants_do_not_see_each_other_in_head_or_files() {
    let bed = Bed::new().await;
    bed.append(&tenant("a"), spans(vec![span(1, "api")])).await;
    bed.store.flush().await.unwrap();
    bed.append(&tenant("a"), spans(vec![span(2, "api")])).await;
    bed.append(&tenant("b"), spans(vec![span(3, "other")]))
        .await;
    let shown = table(&bed, "b", "SELECT service FROM spans").await;
    assert!(shown.contains("other") && !shown.contains("api"), "{shown}");
    let trace = bed
        .engine
        .trace(&tenant("b"), TraceId::from_bytes(&[1; 16]).unwrap())
        .await
        .unwrap();
    assert!(trace.is_empty());
}

#[tokio::test]
async fn a_query_that_asks_for_too_much_is_stopped() {
    let config = QueryConfig {
        max_rows: 10,
        timeout_seconds: 1,
        ..QueryConfig::default()
    };
    let bed = Bed::with(config).await;
    let rows: Vec<SpanRow> = (1..=20).map(|number| span(number, "api")).collect();
    bed.append(&tenant("a"), spans(rows)).await;
    let error = bed
        .engine
        .sql(&tenant("a"), "SELECT * FROM spans")
        .await
        .unwrap_err();
    assert!(
        matches!(error, QueryError::Limit { limit: 10, .. }),
        "{error}"
    );
    let endless = "SELECT count(*) FROM range(4000000000) a, range(4000000000) b";
    let error = bed.engine.sql(&tenant("a"), endless).await.unwrap_err();
    assert!(
        matches!(error, QueryError::Timeout(_) | QueryError::Execution(_)),
        "{error}"
    );
}

#[tokio::test]
async fn a_series_is_read_across_a_flush() {
    let bed = Bed::new().await;
    let labels = Labels::from_pairs([(METRIC_NAME, "jobs_total")]);
    for minute in 0..10 {
        let sample = Sample::new(Millis(minute * 60_000), minute as f64);
        let one = MetricRows {
            labels: labels.clone(),
            samples: vec![sample],
            ..MetricRows::default()
        };
        bed.append(
            &tenant("a"),
            Rows {
                metrics: vec![one],
                ..Rows::default()
            },
        )
        .await;
        if minute == 5 {
            bed.store.flush().await.unwrap();
        }
    }
    let answer = bed
        .engine
        .instant(&tenant("a"), "increase(jobs_total[9m])", Millis(540_000))
        .await
        .unwrap();
    assert!(
        format!("{:?}", answer.value).contains("Float(9.0)"),
        "{:?}",
        answer.value
    );
}

#[tokio::test]
async fn sql_sees_values_whole_in_head_and_files() {
    let bed = Bed::new().await;
    let values = [0.25, 1e300, f64::INFINITY, 7.0, 1.0 / 3.0, 12.5];
    for (minute, value) in values.into_iter().enumerate() {
        let one = MetricRows {
            labels: Labels::from_pairs([(METRIC_NAME, "load")]),
            samples: vec![Sample::new(Millis(minute as i64 * 60_000), value)],
            ..MetricRows::default()
        };
        let rows = Rows {
            metrics: vec![one],
            ..Rows::default()
        };
        bed.append(&tenant("a"), rows).await;
        if minute == 4 {
            bed.store.flush().await.unwrap();
        }
    }
    let ask = async |text: &str| {
        let frame = bed.engine.sql(&tenant("a"), text).await.unwrap();
        let table = pretty_format_batches(&frame.batches).unwrap();
        let lines = table.to_string();
        let cells = lines.lines().skip(3).filter(|line| line.starts_with("| "));
        cells
            .map(|line| line.trim_matches(['|', ' ']).to_owned())
            .collect::<Vec<_>>()
    };
    let all = ask("SELECT value FROM samples ORDER BY time").await;
    assert_eq!(
        all,
        ["0.25", "1e300", "inf", "7.0", "0.3333333333333333", "12.5"]
    );
    // Files hold these values in parts, by which they must not be sought.
    let some = ask("SELECT value FROM samples WHERE value > 5 AND value < 100 ORDER BY time").await;
    assert_eq!(some, ["7.0", "12.5"]);
    assert_eq!(
        ask("SELECT count(*) FROM samples WHERE value IS NULL").await,
        ["0"]
    );
    assert_eq!(
        ask("SELECT sum(time) FROM samples WHERE value = 12.5").await,
        ["300000"]
    );
    let one = ask("SELECT max(metric) FROM samples WHERE time = 180000").await;
    assert_eq!(one, ["load"]);
}

#[tokio::test]
async fn views_show_names_and_times() {
    let bed = Bed::new().await;
    let sample = |day: i64| Sample::new(Millis(day * 86_400_000 + 1500), day as f64);
    let one = MetricRows {
        labels: Labels::from_pairs([(METRIC_NAME, "fill"), ("job", "api")]),
        samples: (0..3).map(sample).collect(),
        ..MetricRows::default()
    };
    let mut rows = spans(vec![span(1, "api")]);
    rows.metrics.push(one);
    bed.append(&tenant("a"), rows).await;
    let shown = table(
        &bed,
        "a",
        "SELECT time, metric, labels['job'] AS job, value FROM metrics WHERE metric = 'fill' ORDER BY time",
    )
    .await;
    let wanted = "\
+-------------------------+--------+-----+-------+
| time                    | metric | job | value |
+-------------------------+--------+-----+-------+
| 1970-01-01T00:00:01.500 | fill   | api | 0.0   |
| 1970-01-02T00:00:01.500 | fill   | api | 1.0   |
| 1970-01-03T00:00:01.500 | fill   | api | 2.0   |
+-------------------------+--------+-----+-------+";
    assert_eq!(shown, wanted);
    let shown = table(
        &bed,
        "a",
        "SELECT time, span_id, service, operation, duration_ms FROM traces",
    )
    .await;
    let wanted = "\
+---------------------+------------------+---------+-----------+-------------+
| time                | span_id          | service | operation | duration_ms |
+---------------------+------------------+---------+-----------+-------------+
| 1970-01-01T00:00:01 | 0101010101010101 | api     | GET       | 1.0         |
+---------------------+------------------+---------+-----------+-------------+";
    assert_eq!(shown, wanted);
    let nothing = table(&bed, "b", "SELECT * FROM metrics").await;
    assert!(!nothing.contains("fill"), "{nothing}");
}

#[tokio::test]
async fn a_sort_that_does_not_fit_spills_to_the_disk() {
    let config = QueryConfig {
        memory_bytes: 24 << 20,
        ..QueryConfig::default()
    };
    let bed = Bed::with(config).await;
    let query = "SELECT max(n) AS n FROM (SELECT value, row_number() OVER (ORDER BY value DESC) AS n FROM range(0, 3000000))";
    let shown = table(&bed, "a", query).await;
    assert!(shown.contains("3000000"), "{shown}");
    let tight = QueryConfig {
        memory_bytes: 24 << 20,
        spill_bytes: 1 << 10,
        ..QueryConfig::default()
    };
    let bed = Bed::with(tight).await;
    let error = bed.engine.sql(&tenant("a"), query).await.unwrap_err();
    assert_eq!(error.kind(), "execution", "{error:?}");
}

#[tokio::test]
async fn functions_without_a_bound_are_not_there() {
    let bed = Bed::new().await;
    for query in [
        "SELECT repeat('x', 2000000000)",
        "SELECT range(0, 1000000000000)",
        "SELECT array_repeat(1, 1000000000000)",
    ] {
        let error = bed.engine.sql(&tenant("a"), query).await.unwrap_err();
        assert_eq!(error.kind(), "bad_data", "{query}: {error:?}");
    }
}
