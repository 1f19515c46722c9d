//! Label sets of series, and the matchers that select them.

use std::{
    cmp::Ordering,
    fmt::{self, Write as _},
    sync::Arc,
};

/// The label that holds a metric's name.
pub const METRIC_NAME: &str = "__name__";

/// A label set: sorted by name, no name twice, no empty value (Prometheus: an empty value is the same as no label). One
/// stretch of memory, shared by its clones.
// Per label: length of the name, the name, length of the value, the value; lengths are written as characters, so that all
// of it is text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Labels(Arc<str>);

/// Lengths from here on take two characters. Characters below it are all valid, and so are those up to twice of it.
const LONG: u32 = 0x6000;

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
        let pairs = pairs.iter();
        Self::packed(pairs.map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// `pairs`: sorted, no name twice.
    fn packed<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut text = String::new();
        for (name, value) in pairs.filter(|(_, value)| !value.is_empty()) {
            push(&mut text, name);
            push(&mut text, value);
        }
        Self(text.into())
    }

    /// The value of `name`; empty when there is no such label.
    pub fn get(&self, name: &str) -> &str {
        let mut labels = self.pairs();
        labels
            .find(|(known, _)| *known == name)
            .map_or("", |(_, value)| value)
    }

    /// The metric's name; empty when there is none.
    pub fn metric(&self) -> &str {
        self.get(METRIC_NAME)
    }

    /// Sets a label, or removes it when `value` is empty.
    pub fn set(&mut self, name: &str, value: &str) {
        let mut pairs: Vec<(&str, &str)> = self.pairs().collect();
        match pairs.binary_search_by(|(known, _)| (*known).cmp(name)) {
            Ok(at) => pairs[at].1 = value,
            Err(at) => pairs.insert(at, (name, value)),
        }
        *self = Self::packed(pairs.into_iter());
    }

    /// The labels whose name `keep` accepts.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        *self = Self::packed(self.pairs().filter(|(name, _)| keep(name)));
    }

    /// Name and value of each label, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        Sized {
            left: self.len(),
            pairs: self.pairs(),
        }
    }

    /// How many labels there are.
    pub fn len(&self) -> usize {
        self.pairs().count()
    }

    /// Whether there is no label at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn pairs(&self) -> Pairs<'_> {
        Pairs(&self.0)
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self(Arc::from(""))
    }
}

impl Ord for Labels {
    /// By the first label in which they differ: its name, then its value.
    fn cmp(&self, other: &Self) -> Ordering {
        self.pairs().cmp(other.pairs())
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Appends `part` with its length before it.
fn push(text: &mut String, part: &str) {
    let digit =
        |number: u32| char::from_u32(number).expect("numbers below twice LONG are characters");
    let len = u32::try_from(part.len()).expect("labels are shorter than 4 GiB");
    if len >= LONG {
        // Lengths beyond LONG times LONG, 600 MB, are refused long before they get here.
        text.push(digit(LONG + (len / LONG).min(LONG - 1)));
    }
    text.push(digit(len % LONG));
    text.push_str(part);
}

/// Takes a part off the front of `text`.
fn take<'a>(text: &mut &'a str) -> Option<&'a str> {
    let mut digits = text.chars();
    let first = u32::from(digits.next()?);
    let len = if first < LONG {
        first
    } else {
        (first - LONG) * LONG + u32::from(digits.next()?)
    };
    let (part, rest) = digits.as_str().split_at_checked(len as usize)?;
    *text = rest;
    Some(part)
}

/// Labels as they come out of the text.
struct Pairs<'a>(&'a str);

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        Some((take(&mut self.0)?, take(&mut self.0)?))
    }
}

/// Labels of which it is known how many are left.
struct Sized<'a> {
    left: usize,
    pairs: Pairs<'a>,
}

impl<'a> Iterator for Sized<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.pairs.next()?;
        self.left -= 1;
        Some(next)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Sized<'_> {}

impl fmt::Display for Labels {
    /// `metric{name="value",...}` as Prometheus prints series: values are escaped as Go does, and names that PromQL could not
    /// read otherwise are quoted, that of the metric within the braces.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let metric = self.metric();
        let is_outside = is_plain_metric(metric);
        if is_outside {
            f.write_str(metric)?;
        }
        let mut others = self
            .iter()
            .filter(|(name, _)| *name != METRIC_NAME)
            .peekable();
        if others.peek().is_none() && is_outside {
            return Ok(());
        }
        f.write_str("{")?;
        let mut comma = "";
        if !is_outside && !metric.is_empty() {
            quote(metric, f)?;
            comma = ", ";
        }
        for (name, value) in others {
            f.write_str(comma)?;
            comma = ", ";
            if is_plain(name) {
                f.write_str(name)?;
            } else {
                quote(name, f)?;
            }
            f.write_str("=")?;
            quote(value, f)?;
        }
        f.write_str("}")
    }
}

/// Whether a label's name needs no quotes. Source: Prometheus, "Data model".
fn is_plain(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let mut bytes = name.bytes();
    bytes.next().is_some_and(is_letter) && bytes.all(|b| is_letter(b) || b.is_ascii_digit())
}

/// The same of a metric's name, in which there may be colons.
fn is_plain_metric(name: &str) -> bool {
    is_plain(&name.replace(':', "_"))
}

/// Writes `text` as Go quotes it with `%q`.
fn quote(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            '\u{7}' => f.write_str("\\a")?,
            '\u{8}' => f.write_str("\\b")?,
            '\u{b}' => f.write_str("\\v")?,
            '\u{c}' => f.write_str("\\f")?,
            _ if c.is_ascii_control() => write!(f, "\\x{:02x}", u32::from(c))?,
            _ => f.write_char(c)?,
        }
    }
    f.write_str("\"")
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
    fn labels_of_any_length_come_back_whole_and_in_order() {
        let long = "税".repeat(30_000);
        let pairs = [("a", "1"), ("b", long.as_str()), ("c", "x"), ("税", "务")];
        let mut labels = Labels::from_pairs(pairs);
        assert!(labels.iter().eq(pairs));
        assert_eq!(labels.iter().len(), 4);
        assert_eq!(labels.get("b").len(), 90_000);
        labels.set("b", "2");
        labels.set("aa", "3");
        labels.retain(|name| name != "c");
        let expected = [("a", "1"), ("aa", "3"), ("b", "2"), ("税", "务")];
        assert!(labels.iter().eq(expected));
        assert_eq!(labels, Labels::from_pairs(expected));
        assert_eq!(labels.get("absent"), "");
    }

    #[test]
    fn order_is_that_of_names_then_values() {
        let labels = |pairs: &[(&str, &str)]| Labels::from_pairs(pairs.iter().copied());
        let sorted = [
            labels(&[]),
            labels(&[("a", "long value")]),
            labels(&[("a", "z")]),
            labels(&[("a", "z"), ("b", "1")]),
            labels(&[("long", "1")]),
            labels(&[("z", "1")]),
        ];
        assert!(sorted.is_sorted());
    }

    #[test]
    fn shown_as_prometheus_shows_series() {
        let labels = Labels::from_pairs([(METRIC_NAME, "up"), ("job", "a\"b")]);
        assert_eq!(labels.to_string(), r#"up{job="a\"b"}"#);
        assert_eq!(Labels::default().to_string(), "{}");
        let labels = Labels::from_pairs([(METRIC_NAME, "a.b"), ("c.d", "é\u{1}\n"), ("e", "f")]);
        assert_eq!(labels.to_string(), r#"{"a.b", "c.d"="é\x01\n", e="f"}"#);
    }
}
