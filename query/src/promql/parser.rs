//! Tokens to expressions: operators by precedence, everything else by descent.
//!
//! A parser of our own rather than a library: the newest syntax of Prometheus, annotations that name line and column, and the
//! printing of queries all need the places of the text in the tree.

mod aggregate;
mod dialect;
mod length;
mod matching;
mod selector;

use super::{
    ast::{
        AggregateOp, Binary, BinaryOp, Call, Cardinality, Expr, Matching, Number, Paren, Span,
        Text, Unary, UnaryOp, ValueType,
    },
    check,
    error::ParseError,
    lexer::{self, Kind, Token, unquote},
    signature::Signature,
};

/// Expressions nest this deep at most: a text of parentheses alone must not use up the stack.
const MAX_DEPTH: usize = 400;

/// Reads a query and checks its types.
pub fn parse(query: &str) -> Result<Expr, ParseError> {
    let mut parser = Parser::new(query)?;
    if parser.peek() == Kind::End {
        return Err(parser.error(parser.token().span, "no expression found in input"));
    }
    let expr = parser.expr(0)?;
    if parser.peek() != Kind::End {
        return Err(parser.unexpected("", ""));
    }
    check::check(query, &expr)?;
    Ok(expr)
}

/// Reads a selector such as `up{job="a"}` and nothing else.
pub fn parse_selector(query: &str) -> Result<super::ast::Selector, ParseError> {
    match parse(query)? {
        Expr::Selector(selector) => Ok(*selector),
        other => Err(ParseError::new(
            query,
            other.span(),
            format!("{query:?} is not a series selector"),
        )),
    }
}

/// Reads the labels of a series, such as `up{job="a"}` or `{}`, as scripts and rule tests write them; the rest of the text
/// is returned.
pub fn parse_series(text: &str) -> Result<(demarc_proto::Labels, &str), ParseError> {
    selector::series(text)
}

struct Parser<'a> {
    query: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn new(query: &'a str) -> Result<Self, ParseError> {
        Ok(Self {
            query,
            tokens: lexer::tokens(query)?,
            at: 0,
            depth: 0,
        })
    }

    fn token(&self) -> Token {
        self.tokens[self.at]
    }

    fn peek(&self) -> Kind {
        self.token().kind
    }

    /// What follows the next token.
    fn peek_after(&self) -> Kind {
        let last = self.tokens.len() - 1;
        self.tokens[(self.at + 1).min(last)].kind
    }

    /// Takes the next token; the end stays.
    fn next(&mut self) -> Token {
        let token = self.token();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    /// The span of the token that was taken last.
    fn last_span(&self) -> Span {
        self.tokens[self.at.saturating_sub(1)].span
    }

    fn is_next(&self, c: char) -> bool {
        self.peek() == Kind::Punctuation(c)
    }

    fn take_if(&mut self, kind: Kind) -> bool {
        let is_next = self.peek() == kind;
        if is_next {
            self.next();
        }
        is_next
    }

    fn expect(&mut self, c: char, context: &str) -> Result<Span, ParseError> {
        if self.is_next(c) {
            return Ok(self.next().span);
        }
        let expected = format!("{:?}", c.to_string());
        Err(self.unexpected(context, &expected))
    }

    fn error(&self, span: Span, message: impl Into<String>) -> ParseError {
        ParseError::new(self.query, span, message)
    }

    /// The error that the next token does not belong here.
    fn unexpected(&self, context: &str, expected: &str) -> ParseError {
        let token = self.token();
        let mut message = format!("unexpected {}", token.describe(self.query));
        if !context.is_empty() {
            message.push_str(&format!(" in {context}"));
        }
        if !expected.is_empty() {
            message.push_str(&format!(", expected {expected}"));
        }
        message.push_str(&dialect::hint(token.text(self.query)));
        self.error(token.span, message)
    }

    /// Runs `read` one level deeper.
    fn deeper<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, ParseError>,
    ) -> Result<T, ParseError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let message = format!("expression nests deeper than {MAX_DEPTH} levels");
            return Err(self.error(self.token().span, message));
        }
        let result = stacker::maybe_grow(128 << 10, 4 << 20, || read(self));
        self.depth -= 1;
        result
    }

    /// An expression whose operators bind at least as tightly as `least`.
    fn expr(&mut self, least: u8) -> Result<Expr, ParseError> {
        self.deeper(|parser| {
            let mut left = parser.unary()?;
            let mut chain = 0;
            while let Some(op) = parser.binary_op() {
                let precedence = op.precedence();
                if precedence < least {
                    break;
                }
                // The tree of `a + b + c ...` is as deep as the chain is long.
                chain += 1;
                if parser.depth + chain > MAX_DEPTH {
                    let message = format!("expression nests deeper than {MAX_DEPTH} levels");
                    return Err(parser.error(parser.token().span, message));
                }
                left = parser.binary(op, left)?;
            }
            Ok(left)
        })
    }

    fn binary_op(&self) -> Option<BinaryOp> {
        let Kind::Operator(text) = self.peek() else {
            return None;
        };
        use BinaryOp as Op;
        let operators = [
            Op::Add,
            Op::Sub,
            Op::Mul,
            Op::Div,
            Op::Mod,
            Op::Pow,
            Op::Atan2,
            Op::Equal,
            Op::NotEqual,
            Op::Less,
            Op::LessEqual,
            Op::Greater,
            Op::GreaterEqual,
            Op::And,
            Op::Or,
            Op::Unless,
            Op::TrimUpper,
            Op::TrimLower,
        ];
        operators.into_iter().find(|op| op.text() == text)
    }

    fn binary(&mut self, op: BinaryOp, left: Expr) -> Result<Expr, ParseError> {
        self.next();
        let mut matching = Matching::default();
        let returns_bool = self.matching(op, &mut matching)?;
        let is_right_binding = op == BinaryOp::Pow;
        let least = op.precedence() + u8::from(!is_right_binding);
        let right = self.expr(least)?;
        let is_vector = |expr: &Expr| expr.value_type() == ValueType::Vector;
        if op.is_set() && is_vector(&left) && is_vector(&right) {
            matching.cardinality = match matching.cardinality {
                Cardinality::OneToOne => Cardinality::ManyToMany,
                other => other,
            };
        }
        Ok(Expr::Binary(Box::new(Binary {
            op,
            left,
            right,
            returns_bool,
            matching,
        })))
    }

    fn unary(&mut self) -> Result<Expr, ParseError> {
        let op = match self.peek() {
            Kind::Operator("+") => UnaryOp::Plus,
            Kind::Operator("-") => UnaryOp::Minus,
            _ => {
                let primary = self.primary()?;
                return self.postfix(primary);
            }
        };
        let start = self.next().span;
        // A sign binds as `*` does: `-a ^ b` is `-(a ^ b)`.
        let expr = self.expr(BinaryOp::Pow.precedence())?;
        let span = start.to(expr.span());
        if let Expr::Number(number) = &expr
            && !number.is_duration
        {
            let value = if op == UnaryOp::Minus {
                -number.value
            } else {
                number.value
            };
            return Ok(Expr::Number(Number {
                value,
                is_duration: false,
                span,
            }));
        }
        Ok(Expr::Unary(Box::new(Unary { op, expr, span })))
    }

    fn primary(&mut self) -> Result<Expr, ParseError> {
        match self.peek() {
            Kind::Number | Kind::Duration => self.number().map(Expr::Number),
            Kind::Text => self.string().map(Expr::Text),
            Kind::Punctuation('(') => self.paren(),
            Kind::Punctuation('{') => self.selector(),
            Kind::Identifier if self.peek_after() == Kind::Punctuation('(') => self.call(),
            Kind::Keyword("start" | "end" | "step" | "range" | "min_of" | "max_of")
                if self.peek_after() == Kind::Punctuation('(') =>
            {
                self.call()
            }
            Kind::Aggregator(op) if self.begins_aggregate() => self.aggregate(op),
            Kind::Identifier
            | Kind::MetricIdentifier
            | Kind::Aggregator(_)
            | Kind::Keyword(_)
            | Kind::Operator("and" | "or" | "unless" | "atan2") => self.selector(),
            _ => Err(self.unexpected("", "")),
        }
    }

    /// Whether the aggregator's name is followed by what follows an aggregator, and is not a metric's name.
    fn begins_aggregate(&self) -> bool {
        matches!(
            self.peek_after(),
            Kind::Punctuation('(') | Kind::Keyword("by" | "without")
        )
    }

    fn paren(&mut self) -> Result<Expr, ParseError> {
        let start = self.next().span;
        let expr = self.expr(0)?;
        let end = self.expect(')', "")?;
        Ok(Expr::Paren(Box::new(Paren {
            expr,
            span: start.to(end),
        })))
    }

    fn call(&mut self) -> Result<Expr, ParseError> {
        let token = self.next();
        let name = token.text(self.query);
        let name = match token.kind {
            Kind::Keyword(keyword) => keyword,
            _ => name,
        };
        let Some(function) = Signature::find(name) else {
            return Err(self.error(token.span, format!("unknown function with name {name:?}")));
        };
        let arguments = self.arguments()?;
        Ok(Expr::Call(Box::new(Call {
            function,
            arguments,
            span: token.span.to(self.last_span()),
        })))
    }

    /// `(a, b, c)`
    fn arguments(&mut self) -> Result<Vec<Expr>, ParseError> {
        self.expect('(', "")?;
        let mut arguments = Vec::new();
        if self.take_if(Kind::Punctuation(')')) {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.expr(0)?);
            if self.take_if(Kind::Punctuation(')')) {
                return Ok(arguments);
            }
            self.expect(',', "function call arguments")?;
            if self.is_next(')') {
                let message = "trailing commas not allowed in function call args";
                return Err(self.error(self.last_span(), message));
            }
        }
    }

    fn number(&mut self) -> Result<Number, ParseError> {
        let token = self.next();
        let text = token.text(self.query);
        if token.kind == Kind::Duration {
            let millis = super::length::parse(text).unwrap_or_default();
            return Ok(Number {
                value: millis as f64 / 1000.0,
                is_duration: true,
                span: token.span,
            });
        }
        let value = number_value(text)
            .ok_or_else(|| self.error(token.span, format!("error parsing number: {text:?}")))?;
        Ok(Number {
            value,
            is_duration: false,
            span: token.span,
        })
    }

    fn string(&mut self) -> Result<Text, ParseError> {
        let token = self.next();
        let text = token.text(self.query);
        let bytes = unquote(text)
            .ok_or_else(|| self.error(token.span, format!("invalid escape in string {text}")))?;
        Ok(Text {
            bytes,
            span: token.span,
        })
    }

    fn aggregate(&mut self, op: AggregateOp) -> Result<Expr, ParseError> {
        aggregate::read(self, op)
    }
}

/// The value of a number: decimal, hexadecimal, octal with a leading zero, `Inf`, `NaN`.
pub(crate) fn number_value(text: &str) -> Option<f64> {
    let plain = text.replace('_', "");
    let lower = plain.to_ascii_lowercase();
    match lower.as_str() {
        "inf" => return Some(f64::INFINITY),
        "nan" => return Some(f64::NAN),
        _ => {}
    }
    if let Some(hex) = lower.strip_prefix("0x") {
        return i64::from_str_radix(hex, 16).ok().map(|value| value as f64);
    }
    let is_octal = lower.len() > 1
        && lower.starts_with('0')
        && lower.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    if is_octal && let Ok(value) = i64::from_str_radix(&lower, 8) {
        return Some(value as f64);
    }
    lower.parse().ok()
}

#[cfg(test)]
mod tests;
