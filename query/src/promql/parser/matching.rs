//! What stands between a binary operator and its right operand: `bool`, `on`, `ignoring`, `group_left`, `fill` and their like.

use super::Parser;
use crate::promql::{
    ast::{BinaryOp, Cardinality, MatchBy, Matching},
    error::ParseError,
    lexer::{Kind, unquote},
};

impl Parser<'_> {
    /// Reads the modifiers into `matching`; whether `bool` is among them.
    pub(super) fn matching(
        &mut self,
        op: BinaryOp,
        matching: &mut Matching,
    ) -> Result<bool, ParseError> {
        let returns_bool = self.peek() == Kind::Keyword("bool");
        if returns_bool {
            if !op.is_comparison() {
                let message = "bool modifier can only be used on comparison operators";
                return Err(self.error(self.token().span, message));
            }
            self.next();
        }
        let by = match self.peek() {
            Kind::Keyword("on") => Some(MatchBy::On),
            Kind::Keyword("ignoring") => Some(MatchBy::Ignoring),
            _ => None,
        };
        if let Some(by) = by {
            self.next();
            matching.by = by;
            matching.labels = self.label_list()?;
            self.group(op, matching)?;
        }
        self.fill(op, matching)?;
        Ok(returns_bool)
    }

    fn group(&mut self, op: BinaryOp, matching: &mut Matching) -> Result<(), ParseError> {
        let cardinality = match self.peek() {
            Kind::Keyword("group_left") => Cardinality::ManyToOne,
            Kind::Keyword("group_right") => Cardinality::OneToMany,
            _ => return Ok(()),
        };
        let token = self.next();
        if op.is_set() {
            let message = format!("no grouping allowed for {:?} operation", op.text());
            return Err(self.error(token.span, message));
        }
        matching.cardinality = cardinality;
        if self.is_next('(') {
            matching.include = self.label_list()?;
        }
        if matching.by == MatchBy::On {
            let twice = matching
                .include
                .iter()
                .find(|label| matching.labels.contains(label));
            if let Some(label) = twice {
                let message =
                    format!("label {label:?} must not occur in ON and GROUP clause at once");
                return Err(self.error(token.span, message));
            }
        }
        Ok(())
    }

    fn fill(&mut self, op: BinaryOp, matching: &mut Matching) -> Result<(), ParseError> {
        while let Kind::Keyword(word @ ("fill" | "fill_left" | "fill_right")) = self.peek() {
            // Without parentheses it is a metric's name.
            if self.peek_after() != Kind::Punctuation('(') {
                return Ok(());
            }
            let token = self.next();
            if op.is_set() {
                let message = "filling in missing series not allowed for set operators";
                return Err(self.error(token.span, message));
            }
            self.expect('(', "fill modifier")?;
            let value = self.signed_number("fill modifier")?;
            self.expect(')', "fill modifier")?;
            if word != "fill_right" {
                matching.fill_left = Some(value);
            }
            if word != "fill_left" {
                matching.fill_right = Some(value);
            }
        }
        Ok(())
    }

    /// A number or a duration with or without a sign.
    pub(super) fn signed_number(&mut self, context: &str) -> Result<f64, ParseError> {
        let is_negative = match self.peek() {
            Kind::Operator(sign @ ("+" | "-")) => {
                self.next();
                sign == "-"
            }
            _ => false,
        };
        if !matches!(self.peek(), Kind::Number | Kind::Duration) {
            return Err(self.unexpected(context, "number"));
        }
        let value = self.number()?.value;
        Ok(if is_negative { -value } else { value })
    }

    /// `(a, b, "c d")`
    pub(super) fn label_list(&mut self) -> Result<Vec<String>, ParseError> {
        let context = "grouping opts";
        self.expect('(', context)?;
        let mut labels = Vec::new();
        while !self.take_if(Kind::Punctuation(')')) {
            labels.push(self.label_name(context)?);
            if !self.is_next(')') && !self.take_if(Kind::Punctuation(',')) {
                return Err(self.unexpected(context, "\",\" or \")\""));
            }
        }
        Ok(labels)
    }

    fn label_name(&mut self, context: &str) -> Result<String, ParseError> {
        let token = self.token();
        let text = token.text(self.query);
        let name = match token.kind {
            Kind::Identifier
            | Kind::Keyword(_)
            | Kind::Aggregator(_)
            | Kind::Operator("and" | "or" | "unless" | "atan2") => text.to_owned(),
            Kind::Number if text.starts_with(|c: char| c.is_ascii_alphabetic()) => text.to_owned(),
            Kind::Text => {
                let bytes = unquote(text).and_then(|bytes| String::from_utf8(bytes).ok());
                bytes
                    .filter(|name| !name.is_empty())
                    .ok_or_else(|| self.error(token.span, format!("invalid label name {text}")))?
            }
            _ => return Err(self.unexpected(context, "label")),
        };
        self.next();
        Ok(name)
    }
}
