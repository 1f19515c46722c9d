//! Text to tokens.

mod quote;

use std::fmt;

pub(crate) use quote::unquote;

use super::{
    ast::{AggregateOp, Span},
    error::ParseError,
};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A name without a colon.
    Identifier,
    /// A name with a colon.
    MetricIdentifier,
    Number,
    Duration,
    Text,
    /// A word with a meaning, in lower case.
    Keyword(&'static str),
    Aggregator(AggregateOp),
    /// An operator or a comparison within braces.
    Operator(&'static str),
    /// `(`, `)`, `{`, `}`, `[`, `]`, `,`, `=`, `:`
    Punctuation(char),
    End,
}

/// A word of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) span: Span,
}

const WORD_OPERATORS: [&str; 4] = ["and", "or", "unless", "atan2"];
const KEYWORDS: [&str; 19] = [
    "offset",
    "smoothed",
    "anchored",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "bool",
    "fill",
    "fill_left",
    "fill_right",
    "start",
    "end",
    "step",
    "range",
    "min_of",
    "max_of",
];

/// Splits a query into tokens, the last of which is [`Kind::End`].
pub(crate) fn tokens(text: &str) -> Result<Vec<Token>, ParseError> {
    let mut lexer = Lexer {
        text,
        at: 0,
        parens: 0,
        in_braces: false,
        in_brackets: false,
        found: Vec::new(),
    };
    while lexer.next()? {}
    Ok(lexer.found)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    parens: usize,
    in_braces: bool,
    in_brackets: bool,
    found: Vec<Token>,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn fail<T>(&self, start: usize, message: impl Into<String>) -> Result<T, ParseError> {
        let span = Span {
            start,
            end: self.at,
        };
        Err(ParseError::new(self.text, span, message))
    }

    /// Takes the next `length` bytes as a token.
    fn take(&mut self, kind: Kind, length: usize) {
        let span = Span {
            start: self.at,
            end: self.at + length,
        };
        self.at = span.end;
        self.found.push(Token { kind, span });
    }

    fn next(&mut self) -> Result<bool, ParseError> {
        self.skip_space();
        let start = self.at;
        let Some(c) = self.rest().chars().next() else {
            return self.end();
        };
        match c {
            '"' | '\'' | '`' => self.text_token(c)?,
            '(' | ')' | '{' | '}' | '[' | ']' | ',' => self.bracket(c)?,
            _ if self.in_braces => self.within_braces(c)?,
            ':' if self.in_brackets => self.take(Kind::Punctuation(':'), 1),
            '0'..='9' | '.' => self.number()?,
            _ if c.is_ascii_alphabetic() || c == '_' || c == ':' => self.word(),
            _ => match operator(self.rest()) {
                Some(operator) => self.take(Kind::Operator(operator), operator.len()),
                None if c == '=' => self.take(Kind::Punctuation('='), 1),
                None if c == '!' => {
                    self.at += 1;
                    let next = self
                        .rest()
                        .chars()
                        .next()
                        .map_or_else(|| "end of input".to_owned(), |next| format!("{next:?}"));
                    return self.fail(start, format!("unexpected character after '!': {next}"));
                }
                None => return self.fail(start, format!("unexpected character: {c:?}")),
            },
        }
        Ok(true)
    }

    fn skip_space(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r']);
            let mut skipped = rest.len() - trimmed.len();
            if trimmed.starts_with('#') {
                skipped += trimmed.find('\n').unwrap_or(trimmed.len());
            }
            if skipped == 0 {
                return;
            }
            self.at += skipped;
        }
    }

    fn end(&mut self) -> Result<bool, ParseError> {
        let start = self.at;
        if self.in_braces {
            return self.fail(start, "unexpected end of input inside braces");
        }
        if self.parens > 0 {
            return self.fail(start, "unclosed left parenthesis");
        }
        if self.in_brackets {
            return self.fail(start, "unexpected end of input in duration expression");
        }
        self.take(Kind::End, 0);
        Ok(false)
    }

    fn bracket(&mut self, c: char) -> Result<(), ParseError> {
        let start = self.at;
        match c {
            '(' if !self.in_braces => self.parens += 1,
            ')' if !self.in_braces && self.parens > 0 => self.parens -= 1,
            ')' if !self.in_braces => {
                return self.fail(start, "unexpected right parenthesis ')'");
            }
            '{' if !self.in_braces => self.in_braces = true,
            '}' if self.in_braces => self.in_braces = false,
            '}' => return self.fail(start, "unexpected right bracket '}'"),
            '[' if !self.in_braces && !self.in_brackets => self.in_brackets = true,
            '[' if self.in_brackets => return self.fail(start, "unexpected left bracket '['"),
            ']' if self.in_brackets => self.in_brackets = false,
            ']' if !self.in_braces => return self.fail(start, "unexpected right bracket ']'"),
            ',' => {}
            _ => return self.fail(start, format!("unexpected character inside braces: {c:?}")),
        }
        self.take(Kind::Punctuation(c), 1);
        Ok(())
    }

    fn within_braces(&mut self, c: char) -> Result<(), ParseError> {
        if c.is_ascii_alphabetic() || c == '_' {
            let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let length = self.rest().find(|c| !is_part(c));
            self.take(Kind::Identifier, length.unwrap_or(self.rest().len()));
            return Ok(());
        }
        for operator in ["=~", "!~", "!="] {
            if self.rest().starts_with(operator) {
                self.take(Kind::Operator(operator), 2);
                return Ok(());
            }
        }
        if c == '=' {
            self.take(Kind::Punctuation('='), 1);
            return Ok(());
        }
        self.fail(
            self.at,
            format!("unexpected character inside braces: {c:?}"),
        )
    }

    fn word(&mut self) {
        let in_brackets = self.in_brackets;
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || (c == ':' && !in_brackets);
        let rest = self.rest();
        let word = &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())];
        let length = word.len();
        let kind = word_kind(word);
        self.take(kind, length);
    }

    /// A number, or a duration, which is a number with a unit.
    fn number(&mut self) -> Result<(), ParseError> {
        let start = self.at;
        let rest = self.rest();
        let length = number_length(rest);
        let after = rest[length..].chars().next();
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if length > 0 && !after.is_some_and(is_word) {
            self.take(Kind::Number, length);
            return Ok(());
        }
        let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len()).max(1);
        let word = &rest[..length];
        if super::length::parse(word).is_some() {
            self.take(Kind::Duration, length);
            return Ok(());
        }
        let word = word.to_owned();
        self.at += length;
        self.fail(start, format!("bad number or duration syntax: {word:?}"))
    }

    fn text_token(&mut self, quote: char) -> Result<(), ParseError> {
        let start = self.at;
        let mut is_escaped = false;
        for (at, c) in self.rest().char_indices().skip(1) {
            match c {
                _ if is_escaped => is_escaped = false,
                '\\' if quote != '`' => is_escaped = true,
                '\n' if quote != '`' => break,
                _ if c == quote => {
                    self.take(Kind::Text, at + 1);
                    return Ok(());
                }
                _ => {}
            }
        }
        let name = if quote == '`' { "raw" } else { "quoted" };
        self.fail(start, format!("unterminated {name} string"))
    }
}

/// How many bytes of the text are a number: decimal with an exponent, or hexadecimal.
fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let run = |from: usize, is_digit: fn(&u8) -> bool| {
        bytes[from..]
            .iter()
            .take_while(|byte| is_digit(byte))
            .count()
    };
    let is_decimal: fn(&u8) -> bool = |byte| byte.is_ascii_digit() || *byte == b'_';
    if text.starts_with("0x") || text.starts_with("0X") {
        return 2 + run(2, |byte| byte.is_ascii_hexdigit() || *byte == b'_');
    }
    let mut at = run(0, is_decimal);
    let mut digits = at;
    if bytes.get(at) == Some(&b'.') {
        let fraction = run(at + 1, is_decimal);
        at += 1 + fraction;
        digits += fraction;
    }
    if digits == 0 {
        return 0;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let exponent = run(at + 1 + sign, is_decimal);
        if exponent > 0 {
            at += 1 + sign + exponent;
        }
    }
    at
}

fn operator(text: &str) -> Option<&'static str> {
    const OPERATORS: [&str; 17] = [
        "==", "=~", "!=", "!~", "<=", ">=", "</", ">/", "<", ">", "+", "-", "*", "/", "%", "^", "@",
    ];
    OPERATORS
        .into_iter()
        .find(|operator| text.starts_with(operator))
}

fn word_kind(word: &str) -> Kind {
    if word.contains(':') {
        return Kind::MetricIdentifier;
    }
    let lower = word.to_ascii_lowercase();
    if lower == "inf" || lower == "nan" {
        return Kind::Number;
    }
    if let Some(operator) = WORD_OPERATORS.into_iter().find(|one| *one == lower) {
        return Kind::Operator(operator);
    }
    if let Some(op) = AggregateOp::ALL.into_iter().find(|op| op.text() == lower) {
        return Kind::Aggregator(op);
    }
    match KEYWORDS.into_iter().find(|one| *one == lower) {
        Some(keyword) => Kind::Keyword(keyword),
        None => Kind::Identifier,
    }
}

impl Token {
    pub(crate) fn text<'a>(&self, query: &'a str) -> &'a str {
        &query[self.span.start..self.span.end]
    }

    /// As error messages name it.
    pub(crate) fn describe(&self, query: &str) -> String {
        let text = self.text(query);
        match self.kind {
            Kind::Identifier | Kind::MetricIdentifier => format!("identifier {text:?}"),
            Kind::Number => format!("number {}", Shortened(text)),
            Kind::Duration => format!("duration {}", Shortened(text)),
            Kind::Text => format!("string {}", Shortened(text)),
            Kind::Keyword(_) => format!("<{text}>"),
            Kind::Aggregator(_) => format!("<aggr:{text}>"),
            Kind::Operator(_) => format!("<op:{text}>"),
            Kind::Punctuation(_) => format!("{text:?}"),
            Kind::End => "end of input".to_owned(),
        }
    }
}

/// A quoted text, of which ten characters are shown at most.
struct Shortened<'a>(&'a str);

impl fmt::Display for Shortened<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut start: String = self.0.chars().take(10).collect();
        if start.len() == self.0.len() {
            return write!(f, "{start:?}");
        }
        start = format!("{start:?}");
        write!(f, "{start}...")
    }
}
