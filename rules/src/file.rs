//! Rule files.
//!
//! Source: Prometheus, "Defining recording rules" and "Alerting rules".

use std::{collections::BTreeMap, time::Duration};

use demarc_proto::{METRIC_NAME, TenantId};

use crate::{RulesError, Timing, duration, template};

/// Whose data the rules are evaluated on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every tenant's, each on its own.
    EveryTenant,
    /// One tenant's.
    Tenant(TenantId),
}

/// The rules of one file.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleSet {
    /// Where they stand: a path, or a name for those that are built in.
    pub file: String,
    /// Whose data.
    pub scope: Scope,
    /// Evaluated on their own; the rules within one in order.
    pub groups: Vec<Group>,
}

/// Rules that are evaluated together.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Unique within its file.
    pub name: String,
    /// How often; `None` leaves it to the configuration.
    pub interval: Option<Duration>,
    /// Most alerts or series that one rule may make; 0 is no limit.
    pub limit: usize,
    /// In order.
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// Raises alerts.
    Alert(AlertRule),
    /// Writes series.
    Record(RecordRule),
}

/// A rule that raises one alert per series of its query's result.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertRule {
    /// `alertname`
    pub name: String,
    /// PromQL.
    pub expr: String,
    /// `for` and `keep_firing_for`
    pub timing: Timing,
    /// Labels to add; values are templates.
    pub labels: BTreeMap<String, String>,
    /// Texts for people; values are templates.
    pub annotations: BTreeMap<String, String>,
}

/// A rule that writes its query's result as series.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordRule {
    /// The name of the series.
    pub name: String,
    /// PromQL.
    pub expr: String,
    /// Labels to set.
    pub labels: BTreeMap<String, String>,
}

impl RuleSet {
    /// The rules that hold for every tenant unless the configuration says otherwise.
    pub fn defaults() -> Self {
        let text = include_str!("../defaults/red.yaml");
        let set = Self::from_yaml(Scope::EveryTenant, text).expect("the shipped rules are tested");
        set.in_file("defaults/red.yaml")
    }

    /// These rules, said to stand in `file`.
    pub fn in_file(mut self, file: impl Into<String>) -> Self {
        self.file = file.into();
        self
    }

    /// Reads a rule file's text. The error names group and rule.
    pub fn from_yaml(scope: Scope, text: &str) -> Result<Self, RulesError> {
        let read: FileText = serde_saphyr::from_str(first_document(text))
            .map_err(|error| RulesError::File(error.to_string()))?;
        let mut groups: Vec<Group> = Vec::new();
        for group in read.groups {
            if groups.iter().any(|known| known.name == group.name) {
                let sentence = format!("group {:?} is there twice", group.name);
                return Err(RulesError::File(sentence));
            }
            groups.push(group.checked().map_err(RulesError::File)?);
        }
        let file = String::new();
        Ok(Self {
            file,
            scope,
            groups,
        })
    }
}

/// Prometheus reads the first document of a file and leaves the others.
fn first_document(text: &str) -> &str {
    let mut begun = false;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if begun && line.trim_end() == "---" {
            return &text[..at];
        }
        let content = line.trim();
        begun |= !content.is_empty() && !content.starts_with('#') && content != "---";
        at += line.len();
    }
    text
}

#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct FileText {
    groups: Vec<GroupText>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupText {
    name: String,
    #[serde(default, deserialize_with = "duration::optional")]
    interval: Option<Duration>,
    #[serde(default, deserialize_with = "duration::optional")]
    query_offset: Option<Duration>,
    #[serde(default)]
    limit: usize,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    rules: Vec<RuleText>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    record: Option<String>,
    alert: Option<String>,
    #[serde(default)]
    expr: String,
    #[serde(default, rename = "for", deserialize_with = "duration::optional")]
    hold: Option<Duration>,
    #[serde(default, deserialize_with = "duration::optional")]
    keep_firing_for: Option<Duration>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl GroupText {
    fn checked(self) -> Result<Group, String> {
        if self.name.is_empty() {
            return Err("a group without a name".to_owned());
        }
        if self.query_offset.is_some_and(|offset| !offset.is_zero()) {
            return Err(format!(
                "group {:?}: query_offset is not supported",
                self.name
            ));
        }
        let mut rules = Vec::new();
        for (at, mut rule) in self.rules.into_iter().enumerate() {
            for (name, value) in &self.labels {
                rule.labels
                    .entry(name.clone())
                    .or_insert_with(|| value.clone());
            }
            let place = format!("group {:?}, rule {}", self.name, at + 1);
            rules.push(
                rule.checked()
                    .map_err(|fault| format!("{place}: {fault}"))?,
            );
        }
        let (name, interval, limit) = (self.name, self.interval, self.limit);
        Ok(Group {
            name,
            interval,
            limit,
            rules,
        })
    }
}

impl RuleText {
    fn checked(self) -> Result<Rule, String> {
        if self.expr.trim().is_empty() {
            return Err("expr is missing".to_owned());
        }
        demarc_query::promql::parse(&self.expr).map_err(|fault| format!("expr: {fault}"))?;
        for name in self.labels.keys() {
            if name.is_empty() || name == METRIC_NAME {
                return Err(format!(
                    "labels: {name:?} is not a label name that a rule may set"
                ));
            }
        }
        match (self.record, self.alert) {
            (Some(record), None) => {
                let has_timing = self.hold.is_some() || self.keep_firing_for.is_some();
                if has_timing || !self.annotations.is_empty() {
                    let only = "for, keep_firing_for and annotations are for alerting rules";
                    return Err(format!("record {record:?}: {only}"));
                }
                if record.is_empty() || record.contains(['{', '}']) {
                    return Err(format!("record {record:?} is not a metric name"));
                }
                Ok(Rule::Record(RecordRule {
                    name: record,
                    expr: self.expr,
                    labels: self.labels,
                }))
            }
            (None, Some(alert)) => {
                for (name, text) in self.labels.iter().chain(&self.annotations) {
                    template::check(text).map_err(|fault| format!("{name}: {fault}"))?;
                }
                let timing = Timing {
                    hold: self.hold.unwrap_or_default(),
                    keep: self.keep_firing_for.unwrap_or_default(),
                };
                let (expr, labels, annotations) = (self.expr, self.labels, self.annotations);
                Ok(Rule::Alert(AlertRule {
                    name: alert,
                    expr,
                    timing,
                    labels,
                    annotations,
                }))
            }
            _ => Err("one of record and alert must be set".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_rules_are_right() {
        assert_eq!(RuleSet::defaults().groups[0].rules.len(), 3);
    }

    #[test]
    fn an_error_names_group_and_rule() {
        let text = "groups: [{name: a, rules: [{record: x, expr: up}, {alert: y, expr: 'up >'}]}]";
        let error = RuleSet::from_yaml(Scope::EveryTenant, text)
            .unwrap_err()
            .to_string();
        assert!(error.contains("group \"a\", rule 2: expr"), "{error}");
    }
}
