//! PromQL side by side with Debian's `prometheus` 2.42 over the same data: the query templates of Prometheus' compliance suite.
//!
//! That release has windows that are closed at both ends and knows nothing newer than itself. Samples lie between the steps here,
//! so that no window has a sample at its edge, and the other differences are listed by query and reason.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use demarc_proto::{Labels, METRIC_NAME, Millis};
use demarc_query::{PointValue, RangeParams, Value};
use demarc_store::{MetricRows, Rows, Sample};
use serde_json::Value as Json;

use crate::fixture::{Bed, tenant};

/// Seconds; the samples lie a little behind every multiple of their distance.
const START: i64 = 1_600_000_000;
const SAMPLES: i64 = 480;
const DISTANCE_MS: i64 = 15_000;
const SHIFT_MS: i64 = 1_234;
/// What is asked: 20 minutes at the end, by the half minute.
const FROM: i64 = START + 5_400;
const UNTIL: i64 = START + 6_600;
const STEP: i64 = 30;

#[derive(serde::Deserialize)]
struct Templates {
    test_cases: Vec<Template>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Template {
    query: String,
    variant_args: Vec<String>,
    should_fail: bool,
    skip_comparison: bool,
}

fn variants(name: &str) -> &'static [&'static str] {
    match name {
        "range" => &["1s", "15s", "1m", "5m", "15m", "1h"],
        "offset" => &["1m", "5m", "10m"],
        "simpleAggrOp" => &["sum", "avg", "max", "min", "count", "stddev", "stdvar"],
        "simpleTimeAggrOp" => &[
            "sum", "avg", "max", "min", "count", "stddev", "stdvar", "absent", "last",
        ],
        "topBottomOp" => &["topk", "bottomk"],
        "quantile" => &[
            "-0.5", "0.1", "0.5", "0.75", "0.95", "0.90", "0.99", "1", "1.5",
        ],
        "arithBinOp" => &["+", "-", "*", "/", "%", "^"],
        "compBinOp" => &["==", "!=", "<", ">", "<=", ">="],
        "binOp" => &[
            "+", "-", "*", "/", "%", "^", "==", "!=", "<", ">", "<=", ">=",
        ],
        "simpleMathFunc" => &[
            "abs", "ceil", "floor", "exp", "sqrt", "ln", "log2", "log10", "round",
        ],
        "extrapolatedRateFunc" => &["delta", "rate", "increase"],
        "instantRateFunc" => &["idelta", "irate"],
        "clampFunc" => &["clamp_min", "clamp_max"],
        "dateFunc" => &[
            "day_of_month",
            "day_of_week",
            "days_in_month",
            "hour",
            "minute",
            "month",
            "year",
        ],
        other => panic!("variant {other} is not known"),
    }
}

fn expanded(template: &Template) -> Vec<String> {
    let mut queries = vec![template.query.clone()];
    for name in &template.variant_args {
        let place = format!("{{{{.{name}}}}}");
        queries = queries
            .iter()
            .flat_map(|query| variants(name).iter().map(|one| query.replace(&place, one)))
            .collect();
    }
    queries
}

/// The series of three targets, each value made from its place alone.
fn data() -> Vec<(Labels, Vec<(i64, f64)>)> {
    let mut series = Vec::new();
    for target in 0..3_i64 {
        let instance = format!("demo.promlabs.com:1000{target}");
        let mut add = |name: &str, more: &[(&str, &str)], value: &dyn Fn(i64) -> Option<f64>| {
            let mut pairs = vec![
                (METRIC_NAME, name),
                ("instance", instance.as_str()),
                ("job", "demo"),
            ];
            pairs.extend(more);
            let at = |at: i64| Some((START * 1000 + at * DISTANCE_MS + SHIFT_MS, value(at)?));
            let samples = (0..SAMPLES).filter_map(at).collect();
            series.push((Labels::from_pairs(pairs), samples));
        };
        for (number, kind) in (0..).zip(["free", "used", "cached", "buffers"]) {
            add("demo_memory_usage_bytes", &[("type", kind)], &|at| {
                let wave = ((at * (3 + number) + target * 7) % 97) as f64;
                Some(1e6 * (number + 1) as f64 + wave * 1234.5)
            });
        }
        for (number, mode) in (1..).zip(["user", "system", "idle"]) {
            // A restart now and then.
            add("demo_cpu_usage_seconds_total", &[("mode", mode)], &|at| {
                Some(((at + target * 50) % 200) as f64 * 1.7 * number as f64)
            });
        }
        add("demo_num_cpus", &[], &|_| Some(4.0));
        add("demo_disk_usage_bytes", &[], &|at| {
            Some(1e9 + at as f64 * 1e4 + ((at * 13) % 11) as f64 * 100.0)
        });
        add("demo_intermittent_metric", &[], &|at| {
            (at % 60 < 30).then_some(at as f64)
        });
        for (number, le) in (1..).zip(["0.1", "0.25", "0.5", "1", "+Inf"]) {
            let more = [("le", le), ("path", "/api"), ("status", "200")];
            add("demo_api_request_duration_seconds_bucket", &more, &|at| {
                Some((at * number) as f64 * 1.5)
            });
        }
        let more = [("path", "/api"), ("status", "200")];
        add("demo_api_request_duration_seconds_count", &more, &|at| {
            Some((at * 5) as f64 * 1.5)
        });
        add("demo_api_request_duration_seconds_sum", &more, &|at| {
            Some(at as f64 * 0.4)
        });
    }
    series
}

/// A running Prometheus that is stopped in the end.
struct Prometheus {
    process: Child,
    port: u16,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Prometheus {
    fn start(folder: &Path, series: &[(Labels, Vec<(i64, f64)>)]) -> Self {
        let mut text = String::new();
        for (labels, samples) in series {
            // OpenMetrics allows no space between labels.
            let labels = labels.to_string().replace(", ", ",");
            for (time, value) in samples {
                text.push_str(&format!("{labels} {value} {}\n", *time as f64 / 1000.0));
            }
        }
        text.push_str("# EOF\n");
        std::fs::write(folder.join("data.om"), text).unwrap();
        std::fs::write(folder.join("prometheus.yml"), "global: {}\n").unwrap();
        let made = Command::new("promtool")
            .args([
                "tsdb",
                "create-blocks-from",
                "openmetrics",
                "data.om",
                "data",
            ])
            .current_dir(folder)
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&made.stderr).into_owned();
        assert!(made.status.success(), "{error}");
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let process = Command::new("prometheus")
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .arg("--storage.tsdb.retention.time=100y")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .current_dir(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Self { process, port };
        for _ in 0..600 {
            if started
                .get("/-/ready")
                .is_some_and(|(status, _)| status == 200)
            {
                return started;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("prometheus does not get ready");
    }

    fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split_whitespace().nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    }

    /// `None` when the query fails.
    fn range(&self, query: &str) -> Option<BTreeMap<String, BTreeMap<i64, f64>>> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let path =
            format!("/api/v1/query_range?query={encoded}&start={FROM}&end={UNTIL}&step={STEP}");
        let (status, body) = self.get(&path).unwrap();
        if status != 200 {
            return None;
        }
        let body: Json = serde_json::from_str(&body).unwrap();
        let mut answer = BTreeMap::new();
        for one in body["data"]["result"].as_array().unwrap() {
            let labels = one["metric"].as_object().unwrap().iter();
            let labels = labels.map(|(name, value)| (name.as_str(), value.as_str().unwrap()));
            let values = one["values"].as_array().unwrap().iter().map(|pair| {
                let time = (pair[0].as_f64().unwrap() * 1000.0) as i64;
                let text = pair[1].as_str().unwrap();
                (time, text.trim_start_matches('+').parse::<f64>().unwrap())
            });
            answer.insert(Labels::from_pairs(labels).to_string(), values.collect());
        }
        Some(answer)
    }
}

async fn ours(bed: &Bed, query: &str) -> Option<BTreeMap<String, BTreeMap<i64, f64>>> {
    let range = RangeParams {
        start: Millis(FROM * 1000),
        end: Millis(UNTIL * 1000),
        step: Duration::from_secs(STEP.unsigned_abs()),
    };
    let answer = bed.engine.range(&tenant("demo"), query, range).await.ok()?;
    let Value::Matrix(matrix) = answer.value else {
        return None;
    };
    let series = matrix.into_iter().map(|(labels, points)| {
        let values = points.into_iter().map(|point| match point.value {
            PointValue::Float(value) => (point.time.0, value),
            PointValue::Histogram(_) => (point.time.0, f64::NAN),
        });
        (labels.to_string(), values.collect())
    });
    Some(series.collect())
}

fn is_close(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-5 * a.abs().max(b.abs())
}

type Answer = Option<BTreeMap<String, BTreeMap<i64, f64>>>;

fn difference(ours: &Answer, theirs: &Answer) -> Option<String> {
    let (ours, theirs) = match (ours, theirs) {
        (None, None) => return None,
        (Some(_), None) => return Some("only Prometheus fails".to_owned()),
        (None, Some(_)) => return Some("only Demarc fails".to_owned()),
        (Some(ours), Some(theirs)) => (ours, theirs),
    };
    if !ours.keys().eq(theirs.keys()) {
        return Some(format!(
            "series {:?}, theirs {:?}",
            ours.keys(),
            theirs.keys()
        ));
    }
    for (labels, values) in ours {
        let other = &theirs[labels];
        if !values.keys().eq(other.keys()) {
            return Some(format!("{labels}: other times"));
        }
        for (time, value) in values {
            if !is_close(*value, other[time]) {
                return Some(format!(
                    "{labels} at {time}: {value}, theirs {}",
                    other[time]
                ));
            }
        }
    }
    None
}

#[tokio::test]
async fn answers_are_those_of_prometheus_but_for_differences_of_version() {
    let templates = Path::new("../../shared/compat/promql/compliance-queries.yml");
    let has_prometheus = Command::new("prometheus").arg("--version").output().is_ok();
    let (true, Ok(templates)) = (has_prometheus, std::fs::read_to_string(templates)) else {
        let text = "skipped: needs the program prometheus and ../shared/compat/promql";
        writeln!(std::io::stderr(), "{text}").unwrap();
        return;
    };
    let templates: Templates = serde_saphyr::from_str(&templates).unwrap();
    let series = data();
    let bed = Bed::new().await;
    let rows = series.iter().map(|(labels, samples)| MetricRows {
        labels: labels.clone(),
        samples: samples
            .iter()
            .map(|(time, value)| Sample::new(Millis(*time), *value))
            .collect(),
        ..MetricRows::default()
    });
    let rows = Rows {
        metrics: rows.collect(),
        ..Rows::default()
    };
    bed.append(&tenant("demo"), rows).await;
    let folder = tempfile::tempdir().unwrap();
    let prometheus = Prometheus::start(folder.path(), &series);
    let (mut found, mut count) = (BTreeMap::new(), 0);
    for template in &templates.test_cases {
        for query in expanded(template) {
            count += 1;
            let theirs = prometheus.range(&query);
            let ours = ours(&bed, &query).await;
            assert!(!template.should_fail || ours.is_none(), "{query} must fail");
            let difference = difference(&ours, &theirs);
            if let (Some(difference), false) = (difference, template.skip_comparison) {
                found.insert(query, difference);
            }
        }
    }
    assert!(count > 300, "only {count} queries");
    let known = std::fs::read_to_string("tests/promql/differs_from_2_42.txt").unwrap();
    let known: Vec<&str> = known
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .collect();
    let new: Vec<_> = found
        .iter()
        .filter(|(query, _)| !known.contains(&query.as_str()))
        .collect();
    assert!(new.is_empty(), "{} of {count} differ: {new:#?}", new.len());
    let gone: Vec<_> = known
        .iter()
        .filter(|query| !found.contains_key(**query))
        .collect();
    assert!(gone.is_empty(), "these are the same now: {gone:?}");
}
