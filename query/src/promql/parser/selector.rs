//! Selectors, and what may stand behind an expression: a range, `offset`, `@`, `anchored`, `smoothed`.

use demarc_proto::{Labels, METRIC_NAME, MatchOp, Matcher};

use super::Parser;
use crate::promql::{
    ast::{At, Edges, Expr, RangeSelector, Selector, Span, Subquery, Timing},
    error::ParseError,
    lexer::{Kind, unquote},
};

impl Parser<'_> {
    /// `name`, `name{...}` or `{...}`
    pub(super) fn selector(&mut self) -> Result<Expr, ParseError> {
        let start = self.token().span;
        let mut name = None;
        if !self.is_next('{') {
            name = Some(self.next().text(self.query).to_owned());
        }
        let mut matchers = Vec::new();
        if self.is_next('{') {
            self.matchers(&mut name, &mut matchers)?;
        }
        let span = start.to(self.last_span());
        if let Some(name) = &name {
            matchers.push(Matcher::equal(METRIC_NAME, name));
        }
        Ok(Expr::Selector(Box::new(Selector {
            name,
            matchers,
            timing: Timing::default(),
            edges: Edges::Plain,
            span,
        })))
    }

    fn matchers(
        &mut self,
        name: &mut Option<String>,
        matchers: &mut Vec<Matcher>,
    ) -> Result<(), ParseError> {
        self.expect('{', "label matching")?;
        while !self.take_if(Kind::Punctuation('}')) {
            self.matcher(name, matchers)?;
            if !self.is_next('}') && !self.take_if(Kind::Punctuation(',')) {
                return Err(self.unexpected("label matching", "\",\" or \"}\""));
            }
        }
        Ok(())
    }

    fn matcher(
        &mut self,
        name: &mut Option<String>,
        matchers: &mut Vec<Matcher>,
    ) -> Result<(), ParseError> {
        let token = self.token();
        let label = match token.kind {
            Kind::Identifier => token.text(self.query).to_owned(),
            Kind::Text => self.quoted_name(token.text(self.query), token.span)?,
            _ => return Err(self.unexpected("label matching", "identifier or \"}\"")),
        };
        self.next();
        let is_alone = self.is_next(',') || self.is_next('}');
        if token.kind == Kind::Text && is_alone {
            if let Some(before) = name {
                let message = format!("metric name must not be set twice: {before:?} or {label:?}");
                return Err(self.error(token.span, message));
            }
            *name = Some(label);
            return Ok(());
        }
        let op = match self.peek() {
            Kind::Punctuation('=') => MatchOp::Equal,
            Kind::Operator("!=") => MatchOp::NotEqual,
            Kind::Operator("=~") => MatchOp::Regex,
            Kind::Operator("!~") => MatchOp::NotRegex,
            _ => return Err(self.unexpected("label matching", "label matching operator")),
        };
        self.next();
        if self.peek() != Kind::Text {
            return Err(self.unexpected("label matching", "string"));
        }
        let text = self.string()?;
        let value = text.value().into_owned();
        if matches!(op, MatchOp::Regex | MatchOp::NotRegex)
            && let Err(error) = regex::Regex::new(&value)
        {
            let message = format!("error parsing regexp: {error}");
            return Err(self.error(text.span, message));
        }
        matchers.push(Matcher {
            name: label,
            op,
            value,
        });
        Ok(())
    }

    fn quoted_name(&self, text: &str, span: Span) -> Result<String, ParseError> {
        unquote(text)
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(|| self.error(span, format!("invalid name {text}")))
    }

    /// Reads what stands behind `expr`.
    pub(super) fn postfix(&mut self, mut expr: Expr) -> Result<Expr, ParseError> {
        let mut count = 0;
        loop {
            expr = match self.peek() {
                Kind::Punctuation('[') => self.range(expr)?,
                Kind::Keyword("offset") => self.offset(expr)?,
                Kind::Operator("@") => self.at_modifier(expr)?,
                Kind::Keyword("anchored") => self.edges(expr, Edges::Anchored)?,
                Kind::Keyword("smoothed") => self.edges(expr, Edges::Smoothed)?,
                _ => return Ok(expr),
            };
            count += 1;
            if self.depth + count > super::MAX_DEPTH {
                let message = format!("expression nests deeper than {} levels", super::MAX_DEPTH);
                return Err(self.error(expr.span(), message));
            }
        }
    }

    fn range(&mut self, expr: Expr) -> Result<Expr, ParseError> {
        self.next();
        let range = self.length()?;
        if self.take_if(Kind::Punctuation(':')) {
            let step = if self.is_next(']') {
                None
            } else {
                Some(self.length()?)
            };
            let end = self.expect(']', "subquery selector")?;
            let span = expr.span().to(end);
            return Ok(Expr::Subquery(Box::new(Subquery {
                expr,
                range,
                step,
                timing: Timing::default(),
                span,
            })));
        }
        let end = self.expect(']', "subquery or range selector")?;
        let span = expr.span().to(end);
        let Expr::Selector(selector) = expr else {
            return Err(self.error(span, "ranges only allowed for vector selectors"));
        };
        if selector.timing.offset.is_some() {
            return Err(self.error(span, "no offset modifiers allowed before range"));
        }
        if selector.timing.at.is_some() {
            return Err(self.error(span, "no @ modifiers allowed before range"));
        }
        Ok(Expr::Range(Box::new(RangeSelector {
            selector: *selector,
            range,
            span,
        })))
    }

    fn offset(&mut self, mut expr: Expr) -> Result<Expr, ParseError> {
        let start = self.next().span;
        let offset = self.offset_length()?;
        let end = self.last_span();
        let span = expr.span();
        let Some((timing, whole)) = timing(&mut expr) else {
            let message = "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery; \
                           MetricsQL moves whole expressions, PromQL each selector: write it after each";
            return Err(self.error(span.to(start), message));
        };
        if timing.offset.is_some() {
            return Err(self.error(span, "offset may not be set multiple times"));
        }
        timing.offset = Some(offset);
        whole.end = end.end;
        Ok(expr)
    }

    fn at_modifier(&mut self, mut expr: Expr) -> Result<Expr, ParseError> {
        let start = self.next().span;
        let at = match self.peek() {
            Kind::Keyword(word @ ("start" | "end")) => {
                self.next();
                self.expect('(', "@")?;
                self.expect(')', "@")?;
                if word == "start" { At::Start } else { At::End }
            }
            _ => {
                let seconds = self.signed_number("@")?;
                let millis = (seconds * 1000.0).round();
                if millis.is_nan() || millis.abs() > 9.2e18 {
                    let message = format!("timestamp out of bounds for @ modifier: {seconds}");
                    return Err(self.error(start.to(self.last_span()), message));
                }
                At::Time(millis as i64)
            }
        };
        let end = self.last_span();
        let span = expr.span();
        let Some((timing, whole)) = timing(&mut expr) else {
            let message = "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery";
            return Err(self.error(span.to(start), message));
        };
        if timing.at.is_some() {
            return Err(self.error(span, "@ <timestamp> may not be set multiple times"));
        }
        timing.at = Some(at);
        whole.end = end.end;
        Ok(expr)
    }

    fn edges(&mut self, mut expr: Expr, edges: Edges) -> Result<Expr, ParseError> {
        let word = self.next();
        let name = word.text(self.query).to_ascii_lowercase();
        let (selector, whole) = match &mut expr {
            Expr::Selector(selector) => (selector.as_mut(), None),
            Expr::Range(range) => (&mut range.selector, Some(&mut range.span)),
            other => {
                let message = match other {
                    Expr::Subquery(_) => format!("{name} modifier is not supported for subqueries"),
                    _ => format!(
                        "{name} modifier must be preceded by an instant vector selector or range vector selector"
                    ),
                };
                return Err(self.error(other.span().to(word.span), message));
            }
        };
        if !matches!(selector.edges, Edges::Plain) && selector.edges != edges {
            let message = "anchored and smoothed modifiers cannot be used together";
            return Err(self.error(selector.span.to(word.span), message));
        }
        selector.edges = edges;
        whole.unwrap_or(&mut selector.span).end = word.span.end;
        Ok(expr)
    }
}

/// The timing of what can have one, and the span that grows with it.
fn timing(expr: &mut Expr) -> Option<(&mut Timing, &mut Span)> {
    match expr {
        Expr::Selector(selector) => Some((&mut selector.timing, &mut selector.span)),
        Expr::Range(range) => Some((&mut range.selector.timing, &mut range.span)),
        Expr::Subquery(subquery) => Some((&mut subquery.timing, &mut subquery.span)),
        _ => None,
    }
}

/// Labels as scripts write them, and the text behind.
pub(super) fn series(text: &str) -> Result<(Labels, &str), ParseError> {
    let end = series_end(text);
    let (head, rest) = text.split_at(end);
    let mut parser = Parser::new(head)?;
    let Expr::Selector(selector) = parser.selector()? else {
        return Err(parser.unexpected("series description", ""));
    };
    if parser.peek() != Kind::End {
        return Err(parser.unexpected("series description", ""));
    }
    if selector.matchers.iter().any(|one| one.op != MatchOp::Equal) {
        return Err(parser.error(selector.span, "the labels of a series are written with ="));
    }
    let pairs = selector
        .matchers
        .into_iter()
        .map(|one| (one.name, one.value));
    Ok((Labels::from_pairs(pairs), rest))
}

/// Where the labels end: behind the braces, or at the first space or `@` behind the name.
fn series_end(text: &str) -> usize {
    let (mut depth, mut quote, mut escaped) = (0, None, false);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some('"' | '\''), '\\') => escaped = true,
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '{') => depth += 1,
            (None, '}') => return at + 1,
            (None, _) if depth == 0 && (c == '@' || is_end(text, at, c)) => return at,
            _ => {}
        }
    }
    text.len()
}

/// Whether a space ends the labels: braces may follow the name behind spaces.
fn is_end(text: &str, at: usize, c: char) -> bool {
    c.is_whitespace() && !text[at..].trim_start().starts_with('{')
        || c.is_whitespace() && text[at..].trim_start().starts_with("{{")
}
