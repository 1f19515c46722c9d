//! What there is to ask for: series, labels, metrics, exemplars.

use std::collections::{BTreeMap, BTreeSet};

use demarc_proto::{Labels, Matcher, TimeRange};
use demarc_store::{MetricKind, MetricMetadata};

use super::Reader;
use crate::{
    QueryError, promql,
    reading::{Reading, TENANT_LABEL, matches},
};

/// A list, and whether it was cut short.
#[derive(Clone, Debug)]
pub struct Found<T> {
    /// What was found, sorted.
    pub items: Vec<T>,
    /// Whether there was more than was asked for.
    pub truncated: bool,
}

/// What is known of a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Its kind.
    pub kind: MetricKind,
    /// What it means; empty when unknown.
    pub help: String,
    /// Its unit; empty when unknown.
    pub unit: String,
}

/// Which series are meant: those that any of `selectors` selects, all when there is none; with values in `range`.
#[derive(Clone, Debug, Default)]
pub struct Where {
    /// Series selectors.
    pub selectors: Vec<String>,
    /// When they must have had values.
    pub range: Option<TimeRange>,
    /// Most that are returned; `None` for all.
    pub limit: Option<usize>,
}

/// How many series there are, and of what. Lists are sorted by count, the largest first.
#[derive(Clone, Debug, Default)]
pub struct Census {
    /// Series.
    pub series: usize,
    /// Pairs of a label and a value.
    pub label_pairs: usize,
    /// Series by metric.
    pub by_metric: Vec<(String, usize)>,
    /// Values by label.
    pub values_by_label: Vec<(String, usize)>,
    /// Bytes of the values by label.
    pub bytes_by_label: Vec<(String, usize)>,
    /// Series by pair, written `label=value`.
    pub by_pair: Vec<(String, usize)>,
}

impl Reader<'_> {
    /// How many series there are, and of what; the `limit` largest of each list.
    pub async fn census(&self, limit: usize) -> Result<Census, QueryError> {
        let work = move |reading: Reading| async move {
            let found = reading.select(&[], None)?;
            let mut metrics = BTreeMap::new();
            let mut pairs: BTreeMap<(&str, &str), usize> = BTreeMap::new();
            for one in &found {
                reading.budget.check()?;
                *metrics.entry(one.entry.labels.metric()).or_default() += 1;
                for pair in one.entry.labels.iter() {
                    *pairs.entry(pair).or_default() += 1;
                }
            }
            let (mut values, mut bytes) = (BTreeMap::new(), BTreeMap::new());
            for (name, value) in pairs.keys() {
                *values.entry(*name).or_default() += 1;
                *bytes.entry(*name).or_default() += value.len();
            }
            let by_pair = pairs
                .iter()
                .map(|((name, value), count)| (format!("{name}={value}"), *count));
            Ok(Census {
                series: found.len(),
                label_pairs: pairs.len(),
                by_metric: largest(metrics, limit),
                values_by_label: largest(values, limit),
                bytes_by_label: largest(bytes, limit),
                by_pair: largest(by_pair, limit),
            })
        };
        self.run("discover", work).await
    }

    /// Label sets of series.
    pub async fn series(&self, wanted: Where) -> Result<Found<Labels>, QueryError> {
        self.gather(wanted, |reading, matchers, range| {
            let found = reading.select(matchers, range)?;
            Ok(found.iter().map(|one| one.labels()).collect())
        })
        .await
    }

    /// Names of the labels of series.
    pub async fn label_names(&self, wanted: Where) -> Result<Found<String>, QueryError> {
        self.gather(wanted, |reading, matchers, range| {
            let mut names = Vec::new();
            for (snapshot, matchers) in reading.matched(matchers)? {
                names.extend(snapshot.label_names(&matchers, range)?);
            }
            if reading.is_federated() && !names.is_empty() {
                names.push(TENANT_LABEL.to_owned());
            }
            Ok(names)
        })
        .await
    }

    /// Values of one label among series.
    pub async fn label_values(
        &self,
        name: &str,
        wanted: Where,
    ) -> Result<Found<String>, QueryError> {
        let name = name.to_owned();
        self.gather(wanted, move |reading, matchers, range| {
            let mut values = Vec::new();
            for (snapshot, matchers) in reading.matched(matchers)? {
                if reading.is_federated() && name == TENANT_LABEL {
                    let has_series = !snapshot.select(&matchers, range)?.is_empty();
                    values.extend(has_series.then(|| snapshot.tenant().to_string()));
                } else {
                    values.extend(snapshot.label_values(&name, &matchers, range)?);
                }
            }
            Ok(values)
        })
        .await
    }

    /// What is known of one metric, or of all. The parts of a histogram or summary are one metric.
    pub async fn metadata(
        &self,
        metric: Option<&str>,
    ) -> Result<BTreeMap<String, Vec<Metadata>>, QueryError> {
        let metric = metric.map(str::to_owned);
        let work = |reading: Reading| async move {
            let mut found: BTreeMap<String, Vec<Metadata>> = BTreeMap::new();
            for snapshot in &reading.snapshots {
                reading.budget.check()?;
                for (name, all) in snapshot.metadata(None) {
                    for one in all {
                        let family = family(&name, one.kind);
                        if metric.as_deref().is_none_or(|wanted| wanted == family) {
                            add(found.entry(family.to_owned()).or_default(), one);
                        }
                    }
                }
            }
            Ok(found)
        };
        self.run("discover", work).await
    }

    /// What `find` finds for each set of matchers, together: sorted, each once, cut to the limit.
    async fn gather<T: Ord + Send + 'static>(
        &self,
        wanted: Where,
        find: impl Fn(&Reading, &[Matcher], Option<TimeRange>) -> Result<Vec<T>, QueryError>
        + Send
        + 'static,
    ) -> Result<Found<T>, QueryError> {
        for selector in &wanted.selectors {
            self.checked(selector)?;
        }
        let work = move |reading: Reading| async move {
            let mut found = BTreeSet::new();
            for matchers in matcher_sets(&wanted.selectors)? {
                reading.budget.check()?;
                found.extend(find(&reading, &matchers, wanted.range)?);
            }
            let limit = wanted.limit.unwrap_or(usize::MAX);
            Ok(Found {
                truncated: found.len() > limit,
                items: found.into_iter().take(limit).collect(),
            })
        };
        self.run("discover", work).await
    }
}

/// Whether any of `selectors` selects `labels`; all labels are selected when there is none.
pub fn selects(selectors: &[String], labels: &Labels) -> Result<bool, QueryError> {
    'sets: for set in matcher_sets(selectors)? {
        for matcher in &set {
            if !matches(matcher, labels.get(&matcher.name))? {
                continue 'sets;
            }
        }
        return Ok(true);
    }
    Ok(false)
}

fn add(known: &mut Vec<Metadata>, one: MetricMetadata) {
    let (kind, help, unit) = (one.kind, one.help, one.unit);
    let one = Metadata { kind, help, unit };
    if !known.contains(&one) {
        known.push(one);
    }
}

/// The metric that a series of that name is part of.
fn family(name: &str, kind: MetricKind) -> &str {
    let parts: &[&str] = match kind {
        MetricKind::Histogram => &["_bucket", "_sum", "_count"],
        MetricKind::Summary => &["_sum", "_count"],
        _ => &[],
    };
    let base = parts.iter().find_map(|part| name.strip_suffix(part));
    base.unwrap_or(name)
}

fn largest<K: Into<String>>(
    counts: impl IntoIterator<Item = (K, usize)>,
    limit: usize,
) -> Vec<(String, usize)> {
    let mut counts: Vec<(K, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.truncate(limit);
    let counts = counts.into_iter();
    counts.map(|(name, count)| (name.into(), count)).collect()
}

/// The matchers of each selector; one empty set, which selects everything, when there is none.
pub(super) fn matcher_sets(selectors: &[String]) -> Result<Vec<Vec<Matcher>>, QueryError> {
    if selectors.is_empty() {
        return Ok(vec![Vec::new()]);
    }
    let mut sets = Vec::new();
    for selector in selectors {
        sets.push(selective(promql::parse_selector(selector)?.matchers)?);
    }
    Ok(sets)
}

/// A set of matchers, unless it selects everything. Source: Prometheus, `parseMatchersParam`.
fn selective(set: Vec<Matcher>) -> Result<Vec<Matcher>, QueryError> {
    for matcher in &set {
        if !matches(matcher, "")? {
            return Ok(set);
        }
    }
    Err(QueryError::Parameter(
        "match[] must contain at least one non-empty matcher".to_owned(),
    ))
}
