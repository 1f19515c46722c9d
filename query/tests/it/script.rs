//! Prometheus' test scripts: `load`, `clear`, `eval`.
//!
//! Source of the notation: Prometheus, `promql/promqltest/README.md`.

use std::{path::Path, time::Duration};

use demarc_proto::{Labels, METRIC_NAME, Millis, TenantId};
use demarc_query::{Answer, RangeParams, Value};
use demarc_store::{MetricRows, Rows, Sample};
use promql_parser::{label::MatchOp, parser::Expr};

use crate::fixture::{Bed, tenant};

/// The bits of the NaN that ends a series.
const STALE: u64 = 0x7ff0_0000_0000_0002;

/// One `eval` with what is expected of it.
struct Eval {
    line: usize,
    query: String,
    when: When,
    expected: Expected,
}

enum When {
    Instant(Millis),
    Range(RangeParams),
}

#[derive(Default)]
struct Expected {
    series: Vec<(String, Vec<Option<f64>>)>,
    scalar: Option<f64>,
    text: Option<String>,
    fails: bool,
    ordered: bool,
    warns: Option<bool>,
    /// Something that this runner cannot compare.
    other: bool,
}

/// Runs a script; returns the line and the fault of each `eval` that does not hold, and how many there are in all.
pub(crate) async fn run(bed: &Bed, path: &Path) -> (Vec<(usize, String)>, usize) {
    let text = std::fs::read_to_string(path).unwrap();
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    let mut lines = text
        .lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line.trim()))
        .peekable();
    let (mut faults, mut count, mut generation) = (Vec::new(), 0, 0);
    let mut current = tenant(&format!("{name}-0"));
    while let Some((at, line)) = lines.next() {
        let mut block = Vec::new();
        let is_command = |line: &str| line.starts_with("load") || line.starts_with("eval");
        if is_command(line) {
            while let Some((_, next)) =
                lines.next_if(|(_, next)| !next.is_empty() && !next.starts_with('#'))
            {
                block.push(next);
            }
        }
        if line.starts_with("clear") {
            generation += 1;
            current = tenant(&format!("{name}-{generation}"));
        } else if line.starts_with("load") {
            let step = line.split_whitespace().nth(1).unwrap();
            load(bed, &current, duration(step), &block).await;
        } else if line.starts_with("eval") {
            count += 1;
            if let Err(fault) = check(bed, &current, &eval(at, line, &block)).await {
                faults.push((at, fault));
            }
        }
    }
    (faults, count)
}

fn duration(text: &str) -> Duration {
    match text.parse::<f64>() {
        Ok(seconds) => Duration::from_secs_f64(seconds),
        Err(_) => promql_parser::util::parse_duration(text).unwrap_or_default(),
    }
}

/// Like a duration, but before the epoch as well.
fn time(text: &str) -> Millis {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |text| (-1, text));
    Millis(sign * i64::try_from(duration(text).as_millis()).unwrap())
}

async fn load(bed: &Bed, tenant: &TenantId, step: Duration, block: &[&str]) {
    let mut rows = Rows::default();
    for line in block {
        let Some((labels, points)) = series_line(line) else {
            continue;
        };
        let mut samples = Vec::new();
        for (at, value) in points.into_iter().enumerate() {
            let time = Millis(at as i64 * i64::try_from(step.as_millis()).unwrap());
            samples.extend(value.map(|value| Sample::new(time, value)));
        }
        rows.metrics.push(MetricRows {
            labels,
            samples,
            ..MetricRows::default()
        });
    }
    bed.append(tenant, rows).await;
}

/// A series and its points; `None` for native histograms and start timestamps, which this runner does not load.
fn series_line(line: &str) -> Option<(Labels, Vec<Option<f64>>)> {
    let (series, points) = split(line);
    if points.contains("{{") || series.ends_with("@st") {
        return None;
    }
    Some((labels(series)?, expand(points)?))
}

/// Splits behind the series: its braces, or its name.
fn split(line: &str) -> (&str, &str) {
    let (mut depth, mut quoted, mut escaped) = (0, None, false);
    for (at, c) in line.char_indices() {
        match (quoted, c) {
            _ if escaped => escaped = false,
            (Some('"' | '\''), '\\') => escaped = true,
            (Some(quote), _) if c == quote => quoted = None,
            (None, '"' | '\'' | '`') => quoted = Some(c),
            (None, '{') => depth += 1,
            (None, '}') => depth -= 1,
            (None, _) if depth == 0 && c.is_whitespace() => {
                return (&line[..at], line[at..].trim());
            }
            _ => {}
        }
    }
    (line, "")
}

fn labels(series: &str) -> Option<Labels> {
    if series == "{}" {
        return Some(Labels::default());
    }
    let Ok(Expr::VectorSelector(selector)) = promql_parser::parser::parse(series) else {
        return None;
    };
    let mut pairs: Vec<(String, String)> = selector
        .name
        .iter()
        .map(|name| (METRIC_NAME.to_owned(), name.clone()))
        .collect();
    for matcher in &selector.matchers.matchers {
        if matcher.op == MatchOp::Equal {
            pairs.push((matcher.name.clone(), matcher.value.clone()));
        }
    }
    Some(Labels::from_pairs(pairs))
}

fn number(text: &str) -> Option<f64> {
    match text.trim_start_matches('+') {
        "Inf" | "inf" => Some(f64::INFINITY),
        "-Inf" | "-inf" => Some(f64::NEG_INFINITY),
        "NaN" | "nan" => Some(f64::NAN),
        "stale" => Some(f64::from_bits(STALE)),
        text => text.parse().ok().or_else(|| {
            let hex = text.strip_prefix("0x")?;
            i64::from_str_radix(hex, 16)
                .ok()
                .map(|number| number as f64)
        }),
    }
}

/// `1 2 _ 3+1x4 _x2 stale`
fn expand(points: &str) -> Option<Vec<Option<f64>>> {
    let mut values = Vec::new();
    for word in points.split_whitespace() {
        let Some((head, times)) = word
            .rsplit_once('x')
            .filter(|(head, _)| !head.is_empty() && *head != "0")
        else {
            values.push(if word == "_" {
                None
            } else {
                Some(number(word)?)
            });
            continue;
        };
        let times: usize = times.parse().ok()?;
        if head == "_" {
            values.extend(std::iter::repeat_n(None, times));
            continue;
        }
        // A sign that begins the number, or stands in its exponent, is no operator.
        let operator = head
            .char_indices()
            .skip(1)
            .find(|(at, c)| matches!(c, '+' | '-') && !head[..*at].ends_with(['e', 'E', '+', '-']));
        let (start, delta) = match operator {
            None => (number(head)?, 0.0),
            Some((at, _)) => (number(&head[..at])?, number(&head[at..])?),
        };
        values.extend((0..=times).map(|at| Some(start + at as f64 * delta)));
    }
    Some(values)
}

fn eval(line: usize, command: &str, block: &[&str]) -> Eval {
    let mut expected = Expected::default();
    let head = command.split_whitespace().next().unwrap();
    expected.fails = head == "eval_fail";
    expected.ordered = head == "eval_ordered";
    expected.warns = match head {
        "eval_warn" | "eval_info" => Some(true),
        _ => None,
    };
    let words: Vec<&str> = command.split_whitespace().collect();
    let after = |words: usize| {
        let mut rest = command;
        for _ in 0..words {
            rest = rest
                .trim_start()
                .split_once(char::is_whitespace)
                .map_or("", |(_, rest)| rest);
        }
        rest.trim().to_owned()
    };
    let (when, query) = if words[1] == "range" {
        let start = time(words[3]);
        let (end, step) = (time(words[5]), duration(words[7]));
        (When::Range(RangeParams { start, end, step }), after(8))
    } else if words[2] == "at" {
        (When::Instant(time(words[3])), after(4))
    } else {
        (When::Instant(Millis(0)), after(2))
    };
    for line in block {
        expect(line, &mut expected);
    }
    Eval {
        line,
        query,
        when,
        expected,
    }
}

fn expect(line: &str, expected: &mut Expected) {
    if let Some(rest) = line.strip_prefix("expect ") {
        let rest = rest.trim();
        match rest.split_whitespace().next().unwrap_or_default() {
            "fail" => expected.fails = true,
            "ordered" => expected.ordered = true,
            "warn" | "info" => expected.warns = Some(true),
            "no_warn" | "no_info" => {
                expected.warns.get_or_insert(false);
            }
            "string" => {
                let text = rest.trim_start_matches("string").trim();
                expected.text = Some(text.trim_matches(['"', '`', '\'']).to_owned());
            }
            _ => expected.other = true,
        }
        return;
    }
    if line.contains("{{") {
        expected.other = true;
        return;
    }
    if let Some(value) = number(line) {
        expected.scalar = Some(value);
        return;
    }
    let (series, points) = split(line);
    match (labels(series), expand(points)) {
        (Some(labels), Some(points)) => expected.series.push((labels.to_string(), points)),
        _ => expected.other = true,
    }
}

async fn check(bed: &Bed, tenant: &TenantId, eval: &Eval) -> Result<(), String> {
    let answer = match &eval.when {
        When::Instant(at) => bed.engine.instant(tenant, &eval.query, *at).await,
        When::Range(range) => bed.engine.range(tenant, &eval.query, *range).await,
    };
    let expected = &eval.expected;
    let place = format!("line {}: {}", eval.line, eval.query);
    let answer = match (answer, expected.fails) {
        (Err(_), true) => return Ok(()),
        (Ok(_), true) => return Err(format!("{place}: must fail")),
        (Err(error), false) => return Err(format!("{place}: {error}")),
        (Ok(answer), false) => answer,
    };
    if expected.other {
        return Err(format!("{place}: expects what this runner cannot compare"));
    }
    if expected
        .warns
        .is_some_and(|warns| warns == answer.warnings.is_empty())
    {
        return Err(format!("{place}: warnings are {:?}", answer.warnings));
    }
    compare(&answer, eval).map_err(|fault| format!("{place}: {fault}"))
}

fn compare(answer: &Answer, eval: &Eval) -> Result<(), String> {
    let expected = &eval.expected;
    let mut got: Vec<(String, Vec<Option<f64>>)> = match (&answer.value, &eval.when) {
        (Value::Scalar(sample), _) => {
            let wanted = expected.scalar.ok_or("a scalar was not expected")?;
            return if is_close(sample.value, wanted) {
                Ok(())
            } else {
                Err(format!("{} is not {wanted}", sample.value))
            };
        }
        (Value::Text(_, text), _) => {
            return if Some(text) == expected.text.as_ref() {
                Ok(())
            } else {
                Err(format!("got {text:?}"))
            };
        }
        (Value::Vector(vector), _) => vector
            .iter()
            .map(|(labels, sample)| (labels.to_string(), vec![Some(sample.value)]))
            .collect(),
        (Value::Matrix(_), When::Instant(_)) => return Err("a range vector".to_owned()),
        (Value::Matrix(matrix), When::Range(range)) => matrix
            .iter()
            .map(|(labels, samples)| (labels.to_string(), on_steps(samples, *range)))
            .collect(),
    };
    let mut wanted = expected.series.clone();
    // A scalar over a range is written as the series without labels.
    if let (Some(value), When::Range(_), true) = (expected.scalar, &eval.when, wanted.is_empty()) {
        wanted.push(("{}".to_owned(), vec![Some(value)]));
    }
    if !expected.ordered {
        got.sort_by(|a, b| a.0.cmp(&b.0));
        wanted.sort_by(|a, b| a.0.cmp(&b.0));
    }
    let is_same = got.len() == wanted.len()
        && got
            .iter()
            .zip(&wanted)
            .all(|(got, wanted)| got.0 == wanted.0 && same_values(&got.1, &wanted.1));
    if is_same {
        Ok(())
    } else {
        Err(format!("got {got:?}, wanted {wanted:?}"))
    }
}

fn on_steps(samples: &[Sample], range: RangeParams) -> Vec<Option<f64>> {
    let step = i64::try_from(range.step.as_millis()).unwrap();
    let steps = (range.end.0 - range.start.0) / step;
    (0..=steps)
        .map(|at| {
            let time = range.start.0 + at * step;
            samples
                .iter()
                .find(|sample| sample.time.0 == time)
                .map(|sample| sample.value)
        })
        .collect()
}

/// The same values; what is not there at the end need not be written.
fn same_values(got: &[Option<f64>], wanted: &[Option<f64>]) -> bool {
    let length = got.len().max(wanted.len());
    (0..length).all(|at| {
        match (
            got.get(at).copied().flatten(),
            wanted.get(at).copied().flatten(),
        ) {
            (None, None) => true,
            (Some(got), Some(wanted)) => is_close(got, wanted),
            _ => false,
        }
    })
}

fn is_close(got: f64, wanted: f64) -> bool {
    if got.is_nan() || wanted.is_nan() {
        return got.is_nan() && wanted.is_nan();
    }
    got == wanted || (got - wanted).abs() <= 1e-6 * got.abs().max(wanted.abs())
}
