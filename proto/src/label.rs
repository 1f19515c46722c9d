//! Label sets of series, and the matchers that select them.

use std::fmt;

/// The label that holds a metric's name.
pub const METRIC_NAME: &str = "__name__";

/// A label set: sorted by name, no name twice, no empty value (Prometheus: an empty value is the same as no label).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Vec<(String, String)>);

impl Labels {
    /// Sorts the pairs and drops empty values; of a name given twice the last one stays.
    pub fn from_pairs<N: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let mut pairs: Vec<(String, String)> = pairs
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        pairs.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                std::mem::swap(&mut later.1, &mut earlier.1);
            }
            same
        });
        pairs.retain(|(_, value)| !value.is_empty());
        Self(pairs)
    }

    /// The value of `name`; empty when there is no such label.
    pub fn get(&self, name: &str) -> &str {
        match self.0.binary_search_by(|(n, _)| n.as_str().cmp(name)) {
            Ok(at) => &self.0[at].1,
            Err(_) => "",
        }
    }

    /// The metric's name; empty when there is none.
    pub fn metric(&self) -> &str {
        self.get(METRIC_NAME)
    }

    /// Sets a label, or removes it when `value` is empty.
    pub fn set(&mut self, name: &str, value: &str) {
        match self.0.binary_search_by(|(n, _)| n.as_str().cmp(name)) {
            Ok(at) if value.is_empty() => drop(self.0.remove(at)),
            Ok(at) => self.0[at].1 = value.to_owned(),
            Err(_) if value.is_empty() => {}
            Err(at) => self.0.insert(at, (name.to_owned(), value.to_owned())),
        }
    }

    /// The labels whose name `keep` accepts.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.0.retain(|(name, _)| keep(name));
    }

    /// Name and value of each label, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// How many labels there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no label at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Labels {
    /// `metric{name="value",...}` with values escaped as Go does, as Prometheus prints series.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.metric())?;
        let mut others = self
            .iter()
            .filter(|(name, _)| *name != METRIC_NAME)
            .peekable();
        if others.peek().is_none() && !self.metric().is_empty() {
            return Ok(());
        }
        f.write_str("{")?;
        for (at, (name, value)) in others.enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{name}={value:?}")?;
        }
        f.write_str("}")
    }
}

/// How a [`Matcher`] compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, anchored at both ends.
    Regex,
    /// `!~`, anchored at both ends.
    NotRegex,
}

/// One condition on one label. A label that is absent counts as the empty text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Matcher {
    /// The label.
    pub name: String,
    /// The comparison.
    pub op: MatchOp,
    /// What it is compared with: a text, or a regular expression without its anchors.
    pub value: String,
}

impl Matcher {
    /// `name="value"`.
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            op: MatchOp::Equal,
            value: value.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_given_twice_keeps_its_last_value() {
        let labels = Labels::from_pairs([("b", "1"), ("a", "1"), ("b", "2")]);
        assert_eq!(labels.get("b"), "2");
        assert_eq!(labels.len(), 2);
    }

    #[test]
    fn an_empty_value_is_no_label() {
        let mut labels = Labels::from_pairs([("a", ""), ("b", "1")]);
        assert_eq!(labels.len(), 1);
        labels.set("b", "");
        assert!(labels.is_empty());
    }

    #[test]
    fn shown_as_prometheus_shows_series() {
        let labels = Labels::from_pairs([(METRIC_NAME, "up"), ("job", "a\"b")]);
        assert_eq!(labels.to_string(), r#"up{job="a\"b"}"#);
        assert_eq!(Labels::default().to_string(), "{}");
    }
}
