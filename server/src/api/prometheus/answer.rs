//! Answers to PromQL as JSON.
//!
//! Source: Prometheus, "HTTP API: Expression query result formats".

use axum::response::{IntoResponse, Response};
use demarc_proto::{Labels, Millis};
use demarc_query::{Point, PointValue, Reply, Stats, Value, promql::Histogram};
use serde_json::json;

use crate::api::{
    document::{Document, text},
    number::{write_number, write_seconds},
};

/// What an answer tells beside its value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Detail {
    Plain,
    /// What the query took.
    Totals,
    /// As well how many samples it read at each time.
    PerStep,
}

/// The warning of a list that was cut. Source: Prometheus, `web/api/v1`.
pub(super) const TRUNCATED: &str = "results truncated due to limit";

/// The whole answer; of more than `limit` series only the first.
pub(super) fn respond(mut reply: Reply, limit: Option<usize>, detail: Detail) -> Response {
    if let Some(limit) = limit
        && truncate(&mut reply.answer.value, limit)
    {
        reply.answer.warnings.push(TRUNCATED.to_owned());
    }
    let stats = match detail {
        Detail::Plain => String::new(),
        detail => format!(r#","stats":{}"#, stats(&reply.stats, detail)),
    };
    let infos = notes("infos", &reply.answer.infos);
    let notes = notes("warnings", &reply.answer.warnings) + &infos;
    let tail = format!("{stats}}}{notes}}}");
    match reply.answer.value {
        Value::Scalar(at, value) => single("scalar", |out| write_float(out, at, value), &tail),
        Value::Text(at, value) => single("string", |out| write_text(out, at, &value), &tail),
        Value::Vector(items) => Document {
            head: head("vector", "["),
            items,
            write: write_vector_row,
            tail: format!("]{tail}"),
        }
        .into_response(),
        Value::Matrix(items) => Document {
            head: head("matrix", "["),
            items,
            write: write_matrix_row,
            tail: format!("]{tail}"),
        }
        .into_response(),
    }
}

/// Whether something was cut off.
fn truncate(value: &mut Value, limit: usize) -> bool {
    let before = match value {
        Value::Vector(rows) => {
            let before = rows.len();
            rows.truncate(limit);
            before
        }
        Value::Matrix(rows) => {
            let before = rows.len();
            rows.truncate(limit);
            before
        }
        Value::Scalar(..) | Value::Text(..) => 0,
    };
    before > limit
}

fn head(kind: &str, open: &str) -> String {
    format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":{open}"#)
}

/// An answer that is no list.
fn single(kind: &str, write: impl Fn(&mut Vec<u8>), tail: &str) -> Response {
    let mut value = Vec::new();
    write(&mut value);
    let value = String::from_utf8_lossy(&value);
    Document {
        head: head(kind, &value),
        items: Vec::new(),
        write: |_: &mut Vec<u8>, (): &()| {},
        tail: tail.to_owned(),
    }
    .into_response()
}

/// `,"name":[...]`, or nothing when there is nothing to note.
pub(super) fn notes(name: &str, notes: &[String]) -> String {
    if notes.is_empty() {
        return String::new();
    }
    format!(r#","{name}":{}"#, json!(notes))
}

/// What a query took. Source: Prometheus, `util/stats`.
fn stats(stats: &Stats, detail: Detail) -> serde_json::Value {
    let (evaluation, queue) = (stats.evaluation.as_secs_f64(), stats.queue.as_secs_f64());
    let total: u64 = stats.per_step.iter().map(|(_, count)| count).sum();
    let mut samples = json!({"totalQueryableSamples": total, "peakSamples": stats.loaded});
    if let Detail::PerStep = detail {
        let seconds = |at: Millis| {
            let mut out = Vec::new();
            write_seconds(&mut out, at);
            serde_json::from_slice(&out).unwrap_or(serde_json::Value::Null)
        };
        let steps = stats.per_step.iter();
        let steps: Vec<_> = steps.map(|(at, n)| json!([seconds(*at), n])).collect();
        samples["totalQueryableSamplesPerStep"] = json!(steps);
    }
    json!({
        "timings": {
            "evalTotalTime": evaluation, "resultSortTime": 0.0, "queryPreparationTime": 0.0,
            "innerEvalTime": evaluation, "execQueueTime": queue, "execTotalTime": evaluation + queue,
        },
        "samples": samples,
    })
}

fn write_vector_row(out: &mut Vec<u8>, (labels, point): &(Labels, Point)) {
    out.extend_from_slice(br#"{"metric":"#);
    write_labels(out, labels);
    match &point.value {
        PointValue::Float(value) => {
            out.extend_from_slice(br#","value":"#);
            write_float(out, point.time, *value);
        }
        PointValue::Histogram(histogram) => {
            out.extend_from_slice(br#","histogram":"#);
            write_histogram(out, point.time, histogram);
        }
    }
    out.push(b'}');
}

fn write_matrix_row(out: &mut Vec<u8>, (labels, points): &(Labels, Vec<Point>)) {
    out.extend_from_slice(br#"{"metric":"#);
    write_labels(out, labels);
    let mut before: &[u8] = br#","values":["#;
    for point in points {
        if let PointValue::Float(value) = &point.value {
            out.extend_from_slice(before);
            write_float(out, point.time, *value);
            before = b",";
        }
    }
    if before == b"," {
        out.push(b']');
    }
    before = br#","histograms":["#;
    for point in points {
        if let PointValue::Histogram(histogram) = &point.value {
            out.extend_from_slice(before);
            write_histogram(out, point.time, histogram);
            before = b",";
        }
    }
    if before == b"," {
        out.push(b']');
    }
    out.push(b'}');
}

/// `{"name":"value",...}`
pub(super) fn write_labels(out: &mut Vec<u8>, labels: &Labels) {
    out.push(b'{');
    for (at, (name, value)) in labels.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        text(out, name);
        out.push(b':');
        text(out, value);
    }
    out.push(b'}');
}

fn write_float(out: &mut Vec<u8>, at: Millis, value: f64) {
    out.push(b'[');
    write_seconds(out, at);
    out.push(b',');
    write_quoted(out, value);
    out.push(b']');
}

fn write_quoted(out: &mut Vec<u8>, value: f64) {
    out.push(b'"');
    write_number(out, value);
    out.push(b'"');
}

/// `[t, {"count", "sum", "buckets"}]`; a bucket is `[boundaries, lower, upper, count]`, empty ones are left out.
///
/// Source: Prometheus, `util/jsonutil` `MarshalHistogram`.
fn write_histogram(out: &mut Vec<u8>, at: Millis, histogram: &Histogram) {
    out.push(b'[');
    write_seconds(out, at);
    out.extend_from_slice(br#",{"count":"#);
    write_quoted(out, histogram.count);
    out.extend_from_slice(br#","sum":"#);
    write_quoted(out, histogram.sum);
    let mut before: &[u8] = br#","buckets":["#;
    for bucket in histogram.buckets() {
        if bucket.count == 0.0 {
            continue;
        }
        out.extend_from_slice(before);
        before = b",";
        out.push(b'[');
        out.push(match (bucket.lower_inclusive, bucket.upper_inclusive) {
            (false, true) => b'0',
            (true, false) => b'1',
            (false, false) => b'2',
            (true, true) => b'3',
        });
        for value in [bucket.lower, bucket.upper, bucket.count] {
            out.push(b',');
            write_quoted(out, value);
        }
        out.push(b']');
    }
    if before == b"," {
        out.push(b']');
    }
    out.extend_from_slice(b"}]");
}

fn write_text(out: &mut Vec<u8>, at: Millis, value: &str) {
    out.push(b'[');
    write_seconds(out, at);
    out.push(b',');
    text(out, value);
    out.push(b']');
}
