//! Whether what an expression says of a time is settled once the data up to that time is.

use super::ast::{Edges, Expr, Length, Timing};

/// Whether the value at a step depends on nothing but that step and the data up to it. Not so where times are fixed by `@`, lie
/// ahead, or depend on the range of the query.
pub(crate) fn is_settleable(expr: &Expr) -> bool {
    let is_own = match expr {
        Expr::Selector(selector) => {
            looks_back(&selector.timing) && selector.edges != Edges::Smoothed
        }
        Expr::Range(range) => {
            looks_back(&range.selector.timing)
                && range.selector.edges != Edges::Smoothed
                && is_fixed(&range.range)
        }
        Expr::Subquery(subquery) => {
            looks_back(&subquery.timing)
                && is_fixed(&subquery.range)
                && subquery.step.iter().all(is_fixed)
        }
        _ => true,
    };
    is_own
        && stacker::maybe_grow(64 << 10, 2 << 20, || {
            expr.children().into_iter().all(is_settleable)
        })
}

fn looks_back(timing: &Timing) -> bool {
    let offset = timing.offset.as_ref();
    timing.at.is_none() && offset.is_none_or(|offset| matches!(offset, Length::Fixed(0..)))
}

fn is_fixed(length: &Length) -> bool {
    matches!(length, Length::Fixed(_))
}
