//! `info`: labels of info metrics, such as `target_info`, added to the series that they describe.
//!
//! Source: Prometheus 3.14, "Querying: functions", `info()`.

use std::collections::{BTreeMap, HashMap};

use demarc_proto::{Labels, METRIC_NAME, MatchOp, Matcher};
use regex::Regex;

use super::{
    ast::{Call, Expr, Selector},
    eval::Eval,
    selector::{Newest, Shift},
    value::{Series, Steps, merge_same},
};
use crate::QueryError;

/// The labels that say which target a series is of.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

/// What the second argument of `info` says.
struct Asked {
    names: Vec<Matcher>,
    data: Vec<Matcher>,
}

/// An info series with the time of its newest sample at each step.
struct Info {
    labels: Labels,
    times: Vec<Option<i64>>,
}

/// Values of the identifying labels.
type Target = Vec<String>;

impl Eval<'_> {
    pub(super) fn info(&self, call: &Call, steps: Steps) -> Result<Vec<Series>, QueryError> {
        let base = self.vector(&call.arguments[0], steps)?;
        let asked = Asked::of(call.arguments.get(1));
        let shift = self.reference(&call.arguments[0], Shift::default())?;
        let infos = self.infos(&asked, shift.unwrap_or_default(), steps)?;
        let is_info = asked.names_regex()?;
        let mut found = Vec::new();
        for one in base {
            self.check_alive()?;
            if is_info.iter().all(|test| test(one.labels.metric())) {
                found.push(one);
                continue;
            }
            found.extend(asked.enriched(one, &infos, steps)?);
        }
        merge_same(found)
    }

    /// Where the times of the first selector within `expr` are moved.
    fn reference(&self, expr: &Expr, shift: Shift) -> Result<Option<Shift>, QueryError> {
        let inner = |timing| Ok::<_, QueryError>(shift.then(Shift::new(timing, self.asked)?));
        match expr {
            Expr::Selector(selector) => inner(&selector.timing).map(Some),
            Expr::Range(range) => inner(&range.selector.timing).map(Some),
            Expr::Subquery(subquery) => self.reference(&subquery.expr, inner(&subquery.timing)?),
            other => {
                for child in other.children() {
                    if let Some(found) = self.reference(child, shift)? {
                        return Ok(Some(found));
                    }
                }
                Ok(None)
            }
        }
    }

    /// The info series, by target.
    fn infos(
        &self,
        asked: &Asked,
        shift: Shift,
        steps: Steps,
    ) -> Result<HashMap<Target, Vec<Info>>, QueryError> {
        let selector = Selector {
            name: None,
            matchers: asked.names.iter().chain(&asked.data).cloned().collect(),
            timing: Default::default(),
            edges: Default::default(),
            span: Default::default(),
        };
        let found = self.each_newest_at(&selector, steps, shift, |raw, newest| {
            let labels = (*raw.labels).clone();
            let mut times = Vec::with_capacity(newest.len());
            for one in newest {
                times.push(match one {
                    Some(Newest::Float(at)) => Some(raw.floats[*at].0),
                    Some(Newest::Histogram(_)) => {
                        return Err(QueryError::Evaluation(format!(
                            "this should be an info metric, with float samples: {labels}"
                        )));
                    }
                    None => None,
                });
            }
            Ok(Info { labels, times })
        })?;
        let mut infos: HashMap<Target, Vec<Info>> = HashMap::new();
        for info in found {
            let info = info?;
            infos.entry(target(&info.labels)).or_default().push(info);
        }
        Ok(infos)
    }
}

fn target(labels: &Labels) -> Target {
    IDENTIFYING
        .iter()
        .map(|name| labels.get(name).to_owned())
        .collect()
}

type Test = Box<dyn Fn(&str) -> bool>;

impl Asked {
    fn of(argument: Option<&Expr>) -> Self {
        let matchers = match argument {
            Some(Expr::Selector(selector)) => selector.matchers.clone(),
            _ => Vec::new(),
        };
        let (mut names, data): (Vec<Matcher>, Vec<Matcher>) = matchers
            .into_iter()
            .partition(|one| one.name == METRIC_NAME);
        if names.is_empty() {
            names.push(Matcher::equal(METRIC_NAME, "target_info"));
        } else if names
            .iter()
            .all(|one| matches!(one.op, MatchOp::NotEqual | MatchOp::NotRegex))
        {
            // Conditions that only exclude say nothing of what an info metric is called.
            names.push(Matcher {
                name: METRIC_NAME.to_owned(),
                op: MatchOp::Regex,
                value: ".+_info".to_owned(),
            });
        }
        Self { names, data }
    }

    fn names_regex(&self) -> Result<Vec<Test>, QueryError> {
        self.names.iter().map(test).collect()
    }

    /// Whether a series without any info series stays.
    fn allows_none(&self) -> Result<bool, QueryError> {
        for matcher in &self.data {
            if !test(matcher)?("") {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A series with the labels of its info series; in pieces where these change over time.
    fn enriched(
        &self,
        series: Series,
        infos: &HashMap<Target, Vec<Info>>,
        steps: Steps,
    ) -> Result<Vec<Series>, QueryError> {
        let nobody = Vec::new();
        let infos = infos.get(&target(&series.labels)).unwrap_or(&nobody);
        let keeps_plain = self.allows_none()?;
        let mut pieces: BTreeMap<Labels, Series> = BTreeMap::new();
        for step in 0..steps.count {
            let Some(cell) = series.cell(step) else {
                continue;
            };
            let current = current(infos, step)?;
            if current.is_empty() && !keeps_plain {
                continue;
            }
            let labels = self.joined(&series.labels, &current)?;
            let piece = pieces
                .entry(labels.clone())
                .or_insert_with(|| Series::empty(labels, series.drop_name, steps.count));
            piece.set(step, cell);
        }
        Ok(pieces.into_values().collect())
    }

    fn joined(&self, base: &Labels, infos: &[&Info]) -> Result<Labels, QueryError> {
        let mut added: BTreeMap<&str, &str> = BTreeMap::new();
        for info in infos {
            for (name, value) in info.labels.iter() {
                let is_wanted = name != METRIC_NAME
                    && !IDENTIFYING.contains(&name)
                    && (self.data.is_empty() || self.data.iter().any(|one| one.name == name));
                if !is_wanted || !base.get(name).is_empty() {
                    continue;
                }
                if let Some(other) = added.insert(name, value)
                    && other != value
                {
                    return Err(QueryError::Evaluation(format!("conflicting label: {name}")));
                }
            }
        }
        let mut labels = base.clone();
        for (name, value) in added {
            labels.set(name, value);
        }
        Ok(labels)
    }
}

/// The info series of each metric that are current at a step: of two of one metric, the newer.
fn current(infos: &[Info], step: usize) -> Result<Vec<&Info>, QueryError> {
    let mut newest: BTreeMap<&str, (i64, &Info)> = BTreeMap::new();
    for info in infos {
        let Some(time) = info.times[step] else {
            continue;
        };
        match newest.get(info.labels.metric()) {
            Some((other, _)) if *other > time => {}
            Some((other, known)) if *other == time => {
                return Err(QueryError::Evaluation(format!(
                    "found duplicate series for info metric: existing {} @ {other}, new {} @ {time}",
                    known.labels, info.labels
                )));
            }
            _ => {
                newest.insert(info.labels.metric(), (time, info));
            }
        }
    }
    Ok(newest.into_values().map(|(_, info)| info).collect())
}

fn test(matcher: &Matcher) -> Result<Test, QueryError> {
    let value = matcher.value.clone();
    let regex = || {
        Regex::new(&format!("^(?s:{})$", matcher.value))
            .map_err(|error| QueryError::Evaluation(error.to_string()))
    };
    Ok(match matcher.op {
        MatchOp::Equal => Box::new(move |text| text == value),
        MatchOp::NotEqual => Box::new(move |text| text != value),
        MatchOp::Regex => {
            let regex = regex()?;
            Box::new(move |text| regex.is_match(text))
        }
        MatchOp::NotRegex => {
            let regex = regex()?;
            Box::new(move |text| !regex.is_match(text))
        }
    })
}
