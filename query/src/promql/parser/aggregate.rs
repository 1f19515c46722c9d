//! Aggregations: `sum by (a) (x)`, `sum(x) by (a)`, `topk(5, x)`.

use super::Parser;
use crate::promql::{
    ast::{Aggregate, AggregateOp, Expr, Grouping},
    error::ParseError,
    lexer::Kind,
};

pub(super) fn read(parser: &mut Parser<'_>, op: AggregateOp) -> Result<Expr, ParseError> {
    let start = parser.next().span;
    let mut clause = clause(parser)?;
    let mut arguments = parser.arguments()?;
    if clause.is_none() {
        clause = self::clause(parser)?;
    }
    let span = start.to(parser.last_span());
    let wanted = if op.takes_parameter() { 2 } else { 1 };
    if arguments.is_empty() {
        return Err(parser.error(span, "no arguments for aggregate expression provided"));
    }
    if arguments.len() != wanted {
        let message = format!(
            "wrong number of arguments for aggregate expression provided, expected {wanted}, got {}",
            arguments.len()
        );
        return Err(parser.error(span, message));
    }
    let expr = arguments.pop().expect("there are one or two arguments");
    let (grouping, labels) = clause.unwrap_or_default();
    Ok(Expr::Aggregate(Box::new(Aggregate {
        op,
        expr,
        parameter: arguments.pop(),
        grouping,
        labels,
        span,
    })))
}

fn clause(parser: &mut Parser<'_>) -> Result<Option<(Grouping, Vec<String>)>, ParseError> {
    let grouping = match parser.peek() {
        Kind::Keyword("by") => Grouping::By,
        Kind::Keyword("without") => Grouping::Without,
        _ => return Ok(None),
    };
    parser.next();
    Ok(Some((grouping, parser.label_list()?)))
}
