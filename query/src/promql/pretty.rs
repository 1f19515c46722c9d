//! Expressions over several lines, as `/api/v1/format_query` of Prometheus prints them.

use super::{
    ast::{Aggregate, Binary, Call, Expr, Subquery},
    print::{AggregateHead, Bracket, Head},
};

/// Expressions that are longer than this, in characters, are split.
const MAX_WIDTH: usize = 100;

/// The expression, split over several lines where it is long.
pub fn pretty(expr: &Expr) -> String {
    at_level(expr, 0)
}

fn at_level(expr: &Expr, level: usize) -> String {
    stacker::maybe_grow(64 << 10, 2 << 20, || match expr {
        Expr::Aggregate(aggregate) => split(expr, level, || self::aggregate(aggregate, level)),
        Expr::Binary(binary) => split(expr, level, || self::binary(binary, level)),
        Expr::Call(call) => split(expr, level, || self::call(call, level)),
        Expr::Paren(paren) => split(expr, level, || {
            let inner = at_level(&paren.expr, level + 1);
            format!("{}(\n{inner}\n{})", indent(level), indent(level))
        }),
        Expr::Subquery(subquery) => split(expr, level, || self::subquery(subquery, level)),
        Expr::Unary(unary) => {
            let inner = at_level(&unary.expr, level);
            let inner = inner.trim_start();
            format!("{}{}{inner}", indent(level), unary.op.text())
        }
        other => format!("{}{other}", indent(level)),
    })
}

fn split(expr: &Expr, level: usize, lines: impl Fn() -> String) -> String {
    let text = expr.to_string();
    if text.chars().count() > MAX_WIDTH {
        lines()
    } else {
        format!("{}{text}", indent(level))
    }
}

fn indent(level: usize) -> String {
    "  ".repeat(level)
}

fn aggregate(aggregate: &Aggregate, level: usize) -> String {
    let mut text = format!("{}{}(\n", indent(level), AggregateHead(aggregate));
    if let Some(parameter) = &aggregate.parameter {
        text.push_str(&format!("{},\n", at_level(parameter, level + 1)));
    }
    text.push_str(&format!("{}\n", at_level(&aggregate.expr, level + 1)));
    text.push_str(&format!("{})", indent(level)));
    text
}

fn binary(binary: &Binary, level: usize) -> String {
    format!(
        "{}\n{}{}\n{}",
        at_level(&binary.left, level + 1),
        indent(level),
        Head(binary),
        at_level(&binary.right, level + 1)
    )
}

fn call(call: &Call, level: usize) -> String {
    let arguments: Vec<String> = call
        .arguments
        .iter()
        .map(|argument| at_level(argument, level + 1))
        .collect();
    format!(
        "{}{}(\n{}\n{})",
        indent(level),
        call.function.name,
        arguments.join(",\n"),
        indent(level)
    )
}

fn subquery(subquery: &Subquery, level: usize) -> String {
    format!("{}{}", at_level(&subquery.expr, level), Bracket(subquery))
}
