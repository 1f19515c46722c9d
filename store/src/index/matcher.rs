//! Matchers made ready to test values.

use demarc_proto::{MatchOp, Matcher};
use regex::Regex;

use crate::StoreError;

/// A matcher whose regular expression, if any, is compiled.
#[derive(Debug)]
pub(super) struct Compiled<'a> {
    /// The label that it tests.
    pub(super) name: &'a str,
    test: Test<'a>,
}

#[derive(Debug)]
enum Test<'a> {
    Equal(&'a str),
    NotEqual(&'a str),
    Regex(Regex),
    NotRegex(Regex),
}

impl<'a> Compiled<'a> {
    /// Compiles the expression of `matcher`.
    pub(super) fn new(matcher: &'a Matcher) -> Result<Self, StoreError> {
        let value = matcher.value.as_str();
        let test = match matcher.op {
            MatchOp::Equal => Test::Equal(value),
            MatchOp::NotEqual => Test::NotEqual(value),
            MatchOp::Regex => Test::Regex(anchored(value)?),
            MatchOp::NotRegex => Test::NotRegex(anchored(value)?),
        };
        Ok(Self {
            name: &matcher.name,
            test,
        })
    }

    /// Whether `value` satisfies the matcher; an absent label has the empty value.
    pub(super) fn matches(&self, value: &str) -> bool {
        match &self.test {
            Test::Equal(wanted) => value == *wanted,
            Test::NotEqual(unwanted) => value != *unwanted,
            Test::Regex(regex) => regex.is_match(value),
            Test::NotRegex(regex) => !regex.is_match(value),
        }
    }

    /// The only value that can satisfy it, where there is just one.
    pub(super) fn only_value(&self) -> Option<&'a str> {
        match self.test {
            Test::Equal(wanted) => Some(wanted),
            _ => None,
        }
    }
}

/// Source: Prometheus, `FastRegexMatcher`: anchored at both ends, and the dot matches line breaks.
fn anchored(pattern: &str) -> Result<Regex, StoreError> {
    // Compiled alone first: "a)|(b" is no expression, but would be one between the anchors.
    Regex::new(pattern)
        .and_then(|_| Regex::new(&format!("^(?s:{pattern})$")))
        .map_err(|source| StoreError::Regex {
            pattern: pattern.to_owned(),
            source: Box::new(source),
        })
}
