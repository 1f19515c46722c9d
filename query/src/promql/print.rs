//! Expressions back to text, on one line, as Prometheus prints them.

use std::fmt::{self, Write};

use demarc_proto::{METRIC_NAME, MatchOp, Matcher};

use super::{
    ast::{
        Aggregate, At, Binary, Call, Cardinality, Edges, Expr, Grouping, Length, LengthExpr,
        MatchBy, Number, RangeSelector, Selector, Subquery, Timing,
    },
    length,
};

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => write!(f, "{}", quoted(&text.bytes)),
            Self::Paren(paren) => write!(f, "({})", paren.expr),
            Self::Unary(unary) => write!(f, "{}{}", unary.op.text(), unary.expr),
            Self::Binary(binary) => {
                write!(f, "{} {} {}", binary.left, Head(binary), binary.right)
            }
            Self::Aggregate(aggregate) => {
                write!(f, "{}(", AggregateHead(aggregate))?;
                if let Some(parameter) = &aggregate.parameter {
                    write!(f, "{parameter}, ")?;
                }
                write!(f, "{})", aggregate.expr)
            }
            Self::Call(call) => call.fmt(f),
            Self::Selector(selector) => selector.fmt(f),
            Self::Range(range) => range.fmt(f),
            Self::Subquery(subquery) => subquery.fmt(f),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_duration {
            let millis = (self.value.abs() * 1000.0).round() as u64;
            let sign = if self.value < 0.0 { "-" } else { "" };
            return write!(f, "{sign}{}", length::format(millis));
        }
        f.write_str(&number(self.value))
    }
}

/// A number as Go prints it with `%v`: the shortest text that reads back the same.
pub(crate) fn number(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let exponent = if value == 0.0 {
        0
    } else {
        let text = format!("{value:e}");
        let exponent = text.split_once('e').map_or("0", |(_, exponent)| exponent);
        exponent.parse::<i32>().unwrap_or_default()
    };
    if (-4..21).contains(&exponent) {
        return format!("{value}");
    }
    let text = format!("{value:e}");
    let (digits, _) = text.split_once('e').unwrap_or((&text, ""));
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// Bytes as Go quotes them with `%q`.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => text.push_str("\\\""),
                '\\' => text.push_str("\\\\"),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                '\u{7}' => text.push_str("\\a"),
                '\u{8}' => text.push_str("\\b"),
                '\u{b}' => text.push_str("\\v"),
                '\u{c}' => text.push_str("\\f"),
                c if (c as u32) < 0x20 || c == '\u{7f}' => {
                    text.push_str(&format!("\\x{:02x}", c as u32));
                }
                c => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text.push('"');
    text
}

/// The operator of a binary expression with its modifiers.
pub(super) struct Head<'a>(pub(super) &'a Binary);

impl fmt::Display for Head<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(binary) = self;
        f.write_str(binary.op.text())?;
        if binary.returns_bool {
            f.write_str(" bool")?;
        }
        let matching = &binary.matching;
        let is_grouped = matches!(
            matching.cardinality,
            Cardinality::ManyToOne | Cardinality::OneToMany
        );
        if !matching.labels.is_empty() || matching.by == MatchBy::On || is_grouped {
            let by = match matching.by {
                MatchBy::On => "on",
                MatchBy::Ignoring => "ignoring",
            };
            write!(f, " {by} ({})", label_list(&matching.labels))?;
        }
        if is_grouped {
            let side = match matching.cardinality {
                Cardinality::OneToMany => "group_right",
                _ => "group_left",
            };
            write!(f, " {side} ({})", label_list(&matching.include))?;
        }
        match (matching.fill_left, matching.fill_right) {
            (Some(left), Some(right)) if left.to_bits() == right.to_bits() => {
                write!(f, " fill ({})", number(left))
            }
            (left, right) => {
                if let Some(value) = left {
                    write!(f, " fill_left ({})", number(value))?;
                }
                if let Some(value) = right {
                    write!(f, " fill_right ({})", number(value))?;
                }
                Ok(())
            }
        }
    }
}

/// An aggregation up to its parentheses.
pub(super) struct AggregateHead<'a>(pub(super) &'a Aggregate);

impl fmt::Display for AggregateHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(aggregate) = self;
        f.write_str(aggregate.op.text())?;
        let labels = label_list(&aggregate.labels);
        match aggregate.grouping {
            Grouping::Without => write!(f, " without ({labels}) "),
            Grouping::By if aggregate.labels.is_empty() => Ok(()),
            Grouping::By => write!(f, " by ({labels}) "),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.function.name)?;
        for (at, argument) in self.arguments.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{argument}")?;
        }
        f.write_char(')')
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Series(self))?;
        write!(f, "{}{}", Modifier(self.edges), self.timing)
    }
}

/// A selector without its modifiers.
struct Series<'a>(&'a Selector);

impl fmt::Display for Series<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(selector) = self;
        let is_plain = selector.name.as_deref().is_some_and(is_plain_metric);
        if is_plain {
            f.write_str(selector.name.as_deref().unwrap_or_default())?;
        }
        let mut parts: Vec<String> = Vec::new();
        if let Some(name) = selector.name.as_ref().filter(|_| !is_plain) {
            parts.push(quoted(name.as_bytes()));
        }
        for matcher in &selector.matchers {
            let is_name = matcher.name == METRIC_NAME
                && matcher.op == MatchOp::Equal
                && Some(&matcher.value) == selector.name.as_ref();
            if !is_name {
                parts.push(condition(matcher));
            }
        }
        if parts.is_empty() && is_plain {
            return Ok(());
        }
        write!(f, "{{{}}}", parts.join(","))
    }
}

fn condition(matcher: &Matcher) -> String {
    let op = match matcher.op {
        MatchOp::Equal => "=",
        MatchOp::NotEqual => "!=",
        MatchOp::Regex => "=~",
        MatchOp::NotRegex => "!~",
    };
    let value = quoted(matcher.value.as_bytes());
    format!("{}{op}{value}", label_name(&matcher.name))
}

impl fmt::Display for RangeSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let selector = &self.selector;
        write!(f, "{}[{}]", Series(selector), self.range)?;
        write!(f, "{}{}", Modifier(selector.edges), selector.timing)
    }
}

impl fmt::Display for Subquery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.expr, Bracket(self))
    }
}

/// The range of a subquery with its modifiers.
pub(super) struct Bracket<'a>(pub(super) &'a Subquery);

impl fmt::Display for Bracket<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(subquery) = self;
        write!(f, "[{}:", subquery.range)?;
        if let Some(step) = &subquery.step {
            write!(f, "{step}")?;
        }
        write!(f, "]{}", subquery.timing)
    }
}

struct Modifier(Edges);

impl fmt::Display for Modifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Edges::Plain => "",
            Edges::Anchored => " anchored",
            Edges::Smoothed => " smoothed",
        })
    }
}

impl fmt::Display for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(At::Time(millis)) => write!(f, " @ {:.3}", millis as f64 / 1000.0)?,
            Some(At::Start) => f.write_str(" @ start()")?,
            Some(At::End) => f.write_str(" @ end()")?,
            None => {}
        }
        match &self.offset {
            Some(Length::Fixed(0)) | None => Ok(()),
            Some(offset) => write!(f, " offset {offset}"),
        }
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(millis) => {
                let sign = if *millis < 0 { "-" } else { "" };
                write!(f, "{sign}{}", length::format(millis.unsigned_abs()))
            }
            Self::Expr(expr) => expr.fmt(f),
        }
    }
}

impl fmt::Display for LengthExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Step(_) => f.write_str("step()"),
            Self::Range(_) => f.write_str("range()"),
            Self::Unary(op, inner, _) => write!(f, "{}{inner}", op.text()),
            Self::Binary(op, left, right) => write!(f, "{left} {op} {right}"),
            Self::Paren(inner, _) => write!(f, "({inner})"),
            Self::Least(a, b, _) => write!(f, "min_of({a}, {b})"),
            Self::Greatest(a, b, _) => write!(f, "max_of({a}, {b})"),
        }
    }
}

fn label_list(labels: &[String]) -> String {
    let labels: Vec<String> = labels.iter().map(|label| label_name(label)).collect();
    labels.join(", ")
}

/// A label's name, quoted where it must be.
fn label_name(name: &str) -> String {
    let is_plain = is_plain_metric(name) && !name.contains(':');
    if is_plain {
        name.to_owned()
    } else {
        quoted(name.as_bytes())
    }
}

fn is_plain_metric(name: &str) -> bool {
    let is_start = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    name.starts_with(is_start) && name.chars().all(|c| is_start(c) || c.is_ascii_digit())
}
