//! Series that an expression selects, made from its selectors.

use std::collections::{BTreeMap, BTreeSet};

use demarc_proto::{Labels, METRIC_NAME, MatchOp, Matcher, Millis};
use demarc_query::promql::ast::{Expr, Grouping, Length, MatchBy, Selector};
use demarc_store::{Buckets, Histogram, MetricRows, Sample};
use regex::Regex;
use regex_syntax::hir::{Class, Hir, HirKind};

/// What the values of the series are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Values {
    /// They rise by one a second.
    Rising,
    /// They stay at this.
    Constant(i32),
    /// They go up and down.
    Waves,
    /// Native histograms whose counts rise.
    Histograms,
    /// They stay at a value that is smaller for each further series.
    Stairs,
    /// They stay at the number with which the expression compares them; others rise.
    Compared,
    /// They rise, but for the series that stands for a variable with a number: it stays at this and has no labels.
    Switched(i32),
    /// The same with native histograms.
    SwitchedHistograms(i32),
}

/// The name of series that stand for a variable.
const VARIABLE: &str = "x1";

impl Values {
    /// The number at which a selector's series stay where others do not.
    fn fixed(self, selector: &Selector, compared: &BTreeMap<usize, f64>) -> Option<f64> {
        let is_variable = selector.metric() == Some(VARIABLE);
        match self {
            Self::Compared => compared.get(&selector.span.start).copied(),
            Self::Switched(value) | Self::SwitchedHistograms(value) if is_variable => {
                Some(f64::from(value))
            }
            _ => None,
        }
    }

    fn has_variables(self) -> bool {
        matches!(self, Self::Switched(_) | Self::SwitchedHistograms(_))
    }
}

/// When samples are needed: from one time to another, so often.
#[derive(Clone, Copy, Debug)]
struct Window {
    start: i64,
    end: i64,
    step: i64,
}

/// What an instant selector looks back, in milliseconds.
const LOOKBACK: i64 = 300_000;
const MAX_POINTS: i64 = 3000;

/// Rows that an expression finds when it is evaluated at `at`.
pub(crate) fn rows(expr: &Expr, at: i64, values: Values) -> Vec<MetricRows> {
    let shared = shared(expr);
    let mut constants = BTreeMap::new();
    compared(expr, &mut constants);
    let mut found: BTreeMap<Labels, Wanted> = BTreeMap::new();
    walk(expr, (0, at), &mut |selector, window| {
        let fixed = values.fixed(selector, &constants);
        let is_bare = values.has_variables() && selector.metric() == Some(VARIABLE);
        let shared = if is_bare { &BTreeMap::new() } else { &shared };
        for labels in series(selector, shared) {
            let wanted = found.entry(labels).or_default();
            wanted.windows.push(window);
            wanted.fixed = wanted.fixed.or(fixed);
        }
    });
    let rows = found.into_iter().enumerate();
    rows.map(|(number, (labels, wanted))| row(number, labels, &wanted, at, values))
        .collect()
}

/// What is wanted of a series.
#[derive(Default)]
struct Wanted {
    windows: Vec<Window>,
    /// The number at which it stays, whatever others do.
    fixed: Option<f64>,
}

/// The numbers with which selectors are compared, by where the selectors begin.
fn compared(expr: &Expr, found: &mut BTreeMap<usize, f64>) {
    if let Expr::Binary(binary) = expr
        && let (Expr::Selector(selector), Expr::Number(number)) = (&binary.left, &binary.right)
        && binary.op.is_comparison()
    {
        found.insert(selector.span.start, number.value);
    }
    for child in expr.children() {
        compared(child, found);
    }
}

fn row(number: usize, labels: Labels, wanted: &Wanted, at: i64, values: Values) -> MetricRows {
    let mut times = BTreeSet::new();
    for window in &wanted.windows {
        let step = window.step.max((window.end - window.start) / MAX_POINTS);
        let mut time = window.end;
        while time >= window.start {
            times.insert(time);
            time -= step;
        }
    }
    // Higher buckets hold more.
    let factor = match labels.get("le") {
        "" | "0.1" => 1.0,
        "1" => 2.0,
        _ => 3.0,
    };
    let mut row = MetricRows {
        labels,
        ..MetricRows::default()
    };
    for time in times {
        let seconds = (time - at) as f64 / 1e3 + 1e7;
        if let Some(fixed) = wanted.fixed {
            row.samples.push(Sample::new(Millis(time), fixed));
            continue;
        }
        let value = match values {
            Values::Rising | Values::Compared | Values::Switched(_) => factor * seconds,
            Values::Stairs => 1e3 - number as f64,
            Values::Constant(value) => factor * f64::from(value),
            Values::Waves => factor * (50.0 + 40.0 * (seconds / 60.0 + number as f64).sin()),
            Values::Histograms | Values::SwitchedHistograms(_) => {
                row.histograms.push((Millis(time), histogram(seconds)));
                continue;
            }
        };
        row.samples.push(Sample::new(Millis(time), value));
    }
    row
}

fn histogram(count: f64) -> Histogram {
    Histogram {
        count,
        sum: count * 1.5,
        positive: Buckets {
            offset: 0,
            counts: vec![count / 2.0, count / 2.0],
        },
        ..Histogram::default()
    }
}

/// The labels that every series of the expression has, so that operators between them find partners: what any selector
/// asks for, and what the expression joins, groups or rewrites by.
fn shared(expr: &Expr) -> BTreeMap<String, String> {
    let mut names = BTreeSet::new();
    mentioned(expr, &mut names);
    let mut shared: BTreeMap<String, String> = BTreeMap::new();
    for selector in expr.selectors() {
        for (name, matchers) in by_label(selector) {
            let value = value(&matchers);
            if !value.is_empty() {
                shared.entry(name.to_owned()).or_insert(value);
            }
        }
    }
    for name in names {
        shared.entry(name).or_insert_with(|| "x1".to_owned());
    }
    // What is summed away on one side of an operator is missing on the other.
    let mut dropped = BTreeSet::new();
    summed_away(expr, &mut dropped);
    shared.retain(|name, _| name != METRIC_NAME && name != "le" && !dropped.contains(name));
    shared
}

/// Names of labels that `without` leaves out.
fn summed_away(expr: &Expr, found: &mut BTreeSet<String>) {
    if let Expr::Aggregate(one) = expr
        && one.grouping == Grouping::Without
    {
        found.extend(one.labels.iter().cloned());
    }
    for child in expr.children() {
        summed_away(child, found);
    }
}

fn by_label(selector: &Selector) -> BTreeMap<&str, Vec<&Matcher>> {
    let mut by_label: BTreeMap<&str, Vec<&Matcher>> = BTreeMap::new();
    for matcher in &selector.matchers {
        by_label.entry(&matcher.name).or_default().push(matcher);
    }
    by_label
}

/// Names of labels that the expression joins, groups or rewrites by.
fn mentioned(expr: &Expr, found: &mut BTreeSet<String>) {
    match expr {
        Expr::Aggregate(one) if one.grouping == Grouping::By => {
            found.extend(one.labels.iter().cloned());
        }
        Expr::Binary(one) => {
            if one.matching.by == MatchBy::On {
                found.extend(one.matching.labels.iter().cloned());
            }
            found.extend(one.matching.include.iter().cloned());
        }
        Expr::Call(call) if call.function.name == "label_replace" => {
            if let Some(Expr::Text(source)) = call.arguments.get(3) {
                found.insert(source.value().into_owned());
            }
        }
        Expr::Call(call) if call.function.name == "label_join" => {
            for argument in call.arguments.iter().skip(3) {
                if let Expr::Text(source) = argument {
                    found.insert(source.value().into_owned());
                }
            }
        }
        _ => {}
    }
    for child in expr.children() {
        mentioned(child, found);
    }
}

/// Calls `see` with each selector and when its samples are needed; `extra` is what outer ranges add, `end` where they end.
fn walk(expr: &Expr, (extra, end): (i64, i64), see: &mut impl FnMut(&Selector, Window)) {
    let fixed = |length: Option<&Length>| match length {
        Some(Length::Fixed(millis)) => *millis,
        _ => 0,
    };
    let mut selected = |selector: &Selector, range: i64| {
        let end = end - fixed(selector.timing.offset.as_ref());
        let start = end - extra - range.max(LOOKBACK);
        let step = if range > 0 { range / 6 } else { LOOKBACK / 10 };
        let step = step.clamp(5_000, 150_000);
        see(selector, Window { start, end, step });
    };
    match expr {
        Expr::Selector(selector) => selected(selector, 0),
        Expr::Range(range) => selected(&range.selector, fixed(Some(&range.range))),
        Expr::Subquery(one) => {
            let end = end - fixed(one.timing.offset.as_ref());
            walk(&one.expr, (extra + fixed(Some(&one.range)), end), see);
        }
        other => {
            for child in other.children() {
                walk(child, (extra, end), see);
            }
        }
    }
}

/// The label sets that stand for a selector: one, or one for each of some buckets.
fn series(selector: &Selector, shared: &BTreeMap<String, String>) -> Vec<Labels> {
    let by_label = by_label(selector);
    let mut labels = Labels::from_pairs(shared);
    for (name, matchers) in &by_label {
        if !matchers.iter().all(|one| is_match(one, labels.get(name)))
            || labels.get(name).is_empty()
        {
            labels.set(name, &value(matchers));
        }
    }
    let is_chosen = by_label.contains_key("le");
    if is_chosen || !labels.metric().ends_with("_bucket") {
        return vec![labels];
    }
    let bucket = |bound| {
        let mut labels = labels.clone();
        labels.set("le", bound);
        labels
    };
    ["0.1", "1", "+Inf"].map(bucket).to_vec()
}

/// A value that satisfies all matchers of one label; empty when only no value does.
fn value(matchers: &[&Matcher]) -> String {
    let mut candidates = Vec::new();
    for matcher in matchers {
        match matcher.op {
            MatchOp::Equal => candidates.push(matcher.value.clone()),
            MatchOp::Regex => candidates.extend(examples(&matcher.value)),
            MatchOp::NotEqual | MatchOp::NotRegex => {}
        }
    }
    candidates.extend(["x1", "x2", "something-else", "7"].map(str::to_owned));
    let fits = |value: &String| matchers.iter().all(|one| is_match(one, value));
    candidates.into_iter().find(fits).unwrap_or_default()
}

fn is_match(matcher: &Matcher, value: &str) -> bool {
    let wanted = &matcher.value;
    let regex = || {
        Regex::new(&format!("^(?s:{wanted})$"))
            .unwrap()
            .is_match(value)
    };
    match matcher.op {
        MatchOp::Equal => value == wanted,
        MatchOp::NotEqual => value != wanted,
        MatchOp::Regex => regex(),
        MatchOp::NotRegex => !regex(),
    }
}

/// Some texts that match the expression, one for each of its outermost alternatives.
fn examples(pattern: &str) -> Vec<String> {
    let Ok(hir) = regex_syntax::parse(pattern) else {
        return Vec::new();
    };
    match hir.kind() {
        HirKind::Alternation(parts) => parts.iter().map(example).collect(),
        _ => vec![example(&hir)],
    }
}

/// One text that matches; what may be repeated is there once.
fn example(hir: &Hir) -> String {
    match hir.kind() {
        HirKind::Literal(literal) => String::from_utf8_lossy(&literal.0).into_owned(),
        HirKind::Class(Class::Unicode(class)) => {
            let prefers = |c: &char| {
                class
                    .ranges()
                    .iter()
                    .any(|r| r.start() <= *c && *c <= r.end())
            };
            let found = ['x', '1', '-'].into_iter().find(prefers);
            let first = class.ranges().first().map(|range| range.start());
            found.or(first).map(String::from).unwrap_or_default()
        }
        HirKind::Class(Class::Bytes(class)) => {
            let first = class
                .ranges()
                .first()
                .map(|range| char::from(range.start()));
            first.map(String::from).unwrap_or_default()
        }
        HirKind::Repetition(repeated) => {
            let most = repeated.max.unwrap_or(u32::MAX);
            let count = repeated.min.max(1).min(most);
            example(&repeated.sub).repeat(count as usize)
        }
        HirKind::Capture(capture) => example(&capture.sub),
        HirKind::Concat(parts) => parts.iter().map(example).collect(),
        HirKind::Alternation(parts) => parts.first().map(example).unwrap_or_default(),
        HirKind::Empty | HirKind::Look(_) => String::new(),
    }
}
