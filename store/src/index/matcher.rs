//! Matchers made ready to test values.

use demarc_proto::{MatchOp, Matcher};
use regex::Regex;
use regex_syntax::hir::{Hir, HirKind};

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
    Regex(Pattern),
    NotRegex(Pattern),
}

/// A regular expression, and what is known of the texts that it matches.
#[derive(Debug)]
struct Pattern {
    regex: Regex,
    /// All of them, sorted, where they are few.
    literals: Option<Vec<String>>,
    /// What they all begin with.
    prefix: String,
}

/// Which values a matcher can accept, as far as its form tells.
#[derive(Debug)]
pub(super) enum Reach<'m> {
    /// Only these.
    Values(Vec<&'m str>),
    /// Only those that begin so.
    Prefix(&'m str),
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
            Test::Regex(pattern) => pattern.is_match(value),
            Test::NotRegex(pattern) => !pattern.is_match(value),
        }
    }

    /// The values among which those are that it accepts, or, of a negative expression, refuses.
    pub(super) fn reach(&self) -> Reach<'_> {
        match &self.test {
            Test::Equal(value) | Test::NotEqual(value) => Reach::Values(vec![value]),
            Test::Regex(pattern) | Test::NotRegex(pattern) => match &pattern.literals {
                Some(literals) => Reach::Values(literals.iter().map(String::as_str).collect()),
                None => Reach::Prefix(&pattern.prefix),
            },
        }
    }

    /// Whether [`Self::reach`] is of the values that it refuses.
    pub(super) fn is_negative(&self) -> bool {
        matches!(self.test, Test::NotEqual(_) | Test::NotRegex(_))
    }

    /// The only value that can satisfy it, where there is just one.
    pub(super) fn only_value(&self) -> Option<&'a str> {
        match self.test {
            Test::Equal(wanted) => Some(wanted),
            _ => None,
        }
    }
}

impl Pattern {
    fn is_match(&self, value: &str) -> bool {
        match &self.literals {
            Some(literals) => literals
                .binary_search_by(|one| one.as_str().cmp(value))
                .is_ok(),
            None => value.starts_with(&self.prefix) && self.regex.is_match(value),
        }
    }
}

/// Source: Prometheus, `FastRegexMatcher`: anchored at both ends, and the dot matches line breaks.
fn anchored(pattern: &str) -> Result<Pattern, StoreError> {
    // Compiled alone first: "a)|(b" is no expression, but would be one between the anchors.
    let regex = Regex::new(pattern)
        .and_then(|_| Regex::new(&format!("^(?s:{pattern})$")))
        .map_err(|source| StoreError::Regex {
            pattern: pattern.to_owned(),
            source: Box::new(source),
        })?;
    let hir = regex_syntax::parse(&format!("(?s:{pattern})")).ok();
    Ok(Pattern {
        regex,
        literals: hir.as_ref().and_then(literals).map(|mut texts| {
            texts.sort();
            texts
        }),
        prefix: hir.as_ref().map(prefix).unwrap_or_default(),
    })
}

/// More alternatives than this are no gain over the expression.
const MAX_LITERALS: usize = 256;

/// All texts that `hir` matches, where it consists of literals and alternatives of them.
fn literals(hir: &Hir) -> Option<Vec<String>> {
    let texts = match hir.kind() {
        HirKind::Empty => vec![String::new()],
        HirKind::Literal(literal) => vec![String::from_utf8(literal.0.to_vec()).ok()?],
        HirKind::Capture(group) => literals(&group.sub)?,
        HirKind::Alternation(options) => {
            let options: Option<Vec<_>> = options.iter().map(literals).collect();
            options?.concat()
        }
        HirKind::Class(class) => class_literals(class)?,
        HirKind::Concat(parts) => {
            let mut texts = vec![String::new()];
            for part in parts {
                let ends = literals(part)?;
                if texts.len() * ends.len() > MAX_LITERALS {
                    return None;
                }
                let longer = |text: &String| {
                    ends.iter()
                        .map(|end| format!("{text}{end}"))
                        .collect::<Vec<_>>()
                };
                texts = texts.iter().flat_map(longer).collect();
            }
            texts
        }
        HirKind::Look(_) | HirKind::Repetition(_) => return None,
    };
    (texts.len() <= MAX_LITERALS).then_some(texts)
}

/// The characters of a small class, into which alternatives of one character are turned.
fn class_literals(class: &regex_syntax::hir::Class) -> Option<Vec<String>> {
    let regex_syntax::hir::Class::Unicode(class) = class else {
        return None;
    };
    let count: usize = class.ranges().iter().map(|range| range.len()).sum();
    let characters = class
        .ranges()
        .iter()
        .flat_map(|range| range.start()..=range.end());
    (count <= MAX_LITERALS).then(|| characters.map(String::from).collect())
}

/// What all texts that `hir` matches begin with.
fn prefix(hir: &Hir) -> String {
    match hir.kind() {
        HirKind::Literal(literal) => String::from_utf8(literal.0.to_vec()).unwrap_or_default(),
        HirKind::Capture(group) => prefix(&group.sub),
        HirKind::Concat(parts) => {
            let mut text = String::new();
            for part in parts {
                match literals(part).as_deref() {
                    Some([only]) => text.push_str(only),
                    _ => {
                        text.push_str(&prefix(part));
                        break;
                    }
                }
            }
            text
        }
        _ => String::new(),
    }
}
