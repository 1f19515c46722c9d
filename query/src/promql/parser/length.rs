//! Lengths of time in ranges, steps and offsets.

use super::Parser;
use crate::promql::{
    ast::{BinaryOp, Length, LengthExpr, UnaryOp},
    error::ParseError,
    lexer::Kind,
};

impl Parser<'_> {
    /// The length of a range or a step: an expression of lengths, more than nothing.
    pub(super) fn length(&mut self) -> Result<Length, ParseError> {
        let expr = self.length_expr(0)?;
        let LengthExpr::Number(number) = expr else {
            return Ok(Length::Expr(expr));
        };
        if number.value.is_nan() || number.value <= 0.0 {
            return Err(self.error(number.span, "duration must be greater than 0"));
        }
        self.fixed(number.value).map(Length::Fixed)
    }

    /// The length of an offset: a number, a function, or parentheses, with or without a sign. `offset 1m + 2` adds 2 to the
    /// vector, not to the minute.
    pub(super) fn offset_length(&mut self) -> Result<Length, ParseError> {
        let expr = self.length_unary(Operand::Alone)?;
        match &expr {
            LengthExpr::Number(number) => self.fixed(number.value).map(Length::Fixed),
            LengthExpr::Unary(op, inner, _) => match (op, inner.as_ref()) {
                (UnaryOp::Minus, LengthExpr::Number(number)) => {
                    self.fixed(-number.value).map(Length::Fixed)
                }
                (UnaryOp::Plus, LengthExpr::Number(number)) => {
                    self.fixed(number.value).map(Length::Fixed)
                }
                _ => Ok(Length::Expr(expr)),
            },
            _ => Ok(Length::Expr(expr)),
        }
    }

    fn fixed(&self, seconds: f64) -> Result<i64, ParseError> {
        let millis = (seconds * 1000.0).round();
        // Prometheus counts nanoseconds in 63 bits.
        if millis.is_nan() || millis.abs() > 9_223_372_036_854.0 {
            return Err(self.error(self.last_span(), "duration out of range"));
        }
        Ok(millis as i64)
    }

    fn length_expr(&mut self, least: u8) -> Result<LengthExpr, ParseError> {
        self.deeper(|parser| {
            let mut left = parser.length_unary(Operand::Within)?;
            let mut chain = 0;
            while let Some(op) = parser.binary_op() {
                let is_arithmetic = matches!(
                    op,
                    BinaryOp::Add
                        | BinaryOp::Sub
                        | BinaryOp::Mul
                        | BinaryOp::Div
                        | BinaryOp::Mod
                        | BinaryOp::Pow
                );
                if !is_arithmetic || op.precedence() < least {
                    break;
                }
                chain += 1;
                if parser.depth + chain > super::MAX_DEPTH {
                    return Err(parser.unexpected("duration expression", "an end to it"));
                }
                parser.next();
                let is_right_binding = op == BinaryOp::Pow;
                let right = parser.length_expr(op.precedence() + u8::from(!is_right_binding))?;
                left = LengthExpr::Binary(op, Box::new(left), Box::new(right));
            }
            Ok(left)
        })
    }

    fn length_unary(&mut self, operand: Operand) -> Result<LengthExpr, ParseError> {
        let op = match self.peek() {
            Kind::Operator("+") => UnaryOp::Plus,
            Kind::Operator("-") => UnaryOp::Minus,
            _ => return self.length_primary(),
        };
        let start = self.next().span;
        let inner = match operand {
            Operand::Alone => self.length_primary()?,
            Operand::Within => self.length_expr(BinaryOp::Pow.precedence())?,
        };
        let span = start.to(inner.span());
        Ok(LengthExpr::Unary(op, Box::new(inner), span))
    }

    fn length_primary(&mut self) -> Result<LengthExpr, ParseError> {
        let context = "duration expression";
        let start = self.token().span;
        match self.peek() {
            Kind::Number | Kind::Duration => self.number().map(LengthExpr::Number),
            Kind::Punctuation('(') => {
                self.next();
                let inner = self.length_expr(0)?;
                let end = self.expect(')', context)?;
                Ok(LengthExpr::Paren(Box::new(inner), start.to(end)))
            }
            Kind::Keyword(word @ ("step" | "range")) => {
                self.next();
                self.expect('(', context)?;
                let span = start.to(self.expect(')', context)?);
                Ok(if word == "step" {
                    LengthExpr::Step(span)
                } else {
                    LengthExpr::Range(span)
                })
            }
            Kind::Keyword(word @ ("min_of" | "max_of")) => {
                self.next();
                self.expect('(', context)?;
                let a = Box::new(self.length_expr(0)?);
                self.expect(',', context)?;
                let b = Box::new(self.length_expr(0)?);
                let span = start.to(self.expect(')', context)?);
                Ok(if word == "min_of" {
                    LengthExpr::Least(a, b, span)
                } else {
                    LengthExpr::Greatest(a, b, span)
                })
            }
            _ => Err(self.unexpected(context, "number, duration, step(), or range()")),
        }
    }
}

/// Whether operators may follow.
#[derive(Clone, Copy)]
enum Operand {
    Alone,
    Within,
}
