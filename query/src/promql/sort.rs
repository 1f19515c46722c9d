//! In which order an instant query's vector is answered.

use std::cmp::Ordering;

use super::{
    annotation::Note,
    ast::{AggregateOp, Call, Expr},
    eval::{Eval, Outcome},
    value::{Series, Steps},
};
use crate::QueryError;

impl Eval<'_> {
    /// `sort` and its like: only an instant query's answer has an order, and only its outermost expression gives it.
    pub(super) fn sorted(&self, call: &Call, steps: Steps) -> Result<Outcome, QueryError> {
        if self.asked.is_range {
            self.note(&Note::SortInRange, "", call.span);
        }
        let mut series = self.vector(&call.arguments[0], steps)?;
        if call.function.name == "sort" || call.function.name == "sort_desc" {
            // Histograms have no order.
            for one in &mut series {
                one.histograms = None;
            }
            series.retain(|one| !one.is_empty());
        }
        Ok(Outcome::Vector(series))
    }
}

/// Puts series in the order that `expr` asks for; `None` when it asks for none.
pub(super) fn order(series: &mut [Series], expr: &Expr) -> Option<()> {
    match expr {
        Expr::Call(call) => match call.function.name {
            "sort" => series.sort_by(values),
            "sort_desc" => series.sort_by(descending),
            "sort_by_label" => series.sort_by(|a, b| labels(call, a, b)),
            "sort_by_label_desc" => series.sort_by(|a, b| labels(call, b, a)),
            _ => return None,
        },
        Expr::Aggregate(aggregate) => match aggregate.op {
            AggregateOp::Topk | AggregateOp::Bottomk => {
                let direction = if aggregate.op == AggregateOp::Topk {
                    descending
                } else {
                    values
                };
                let key = |one: &Series| super::aggregate::group_labels(aggregate, &one.labels);
                series.sort_by(|a, b| key(a).cmp(&key(b)).then_with(|| direction(a, b)));
            }
            _ => return None,
        },
        _ => return None,
    }
    Some(())
}

fn values(a: &Series, b: &Series) -> Ordering {
    nan_last(a.floats[0], b.floats[0], Ordering::is_lt)
}

fn descending(a: &Series, b: &Series) -> Ordering {
    nan_last(a.floats[0], b.floats[0], Ordering::is_gt)
}

/// Numbers in the order that `is_first` says, what is no number behind them.
fn nan_last(a: f64, b: f64, is_first: fn(Ordering) -> bool) -> Ordering {
    match a.partial_cmp(&b) {
        Some(Ordering::Equal) => Ordering::Equal,
        Some(ordering) if is_first(ordering) => Ordering::Less,
        Some(_) => Ordering::Greater,
        None => a.is_nan().cmp(&b.is_nan()),
    }
}

fn labels(call: &Call, a: &Series, b: &Series) -> Ordering {
    for argument in &call.arguments[1..] {
        let Expr::Text(name) = argument.without_parens() else {
            continue;
        };
        let name = name.value();
        let ordering = natural(a.labels.get(&name), b.labels.get(&name));
        if ordering != Ordering::Equal {
            return ordering;
        }
    }
    a.labels.cmp(&b.labels)
}

/// Text order in which runs of digits count as numbers: `a9` is before `a10`.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (first, second) = (chunk(a), chunk(b));
        if first.is_empty() || second.is_empty() {
            return a.len().cmp(&b.len());
        }
        let is_number = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
        let ordering = if is_number(first) && is_number(second) {
            let (x, y) = (
                first.trim_start_matches('0'),
                second.trim_start_matches('0'),
            );
            x.len().cmp(&y.len()).then_with(|| x.cmp(y))
        } else {
            first.cmp(second)
        };
        if ordering != Ordering::Equal {
            return ordering;
        }
        (a, b) = (&a[first.len()..], &b[second.len()..]);
    }
}

/// The first run of digits, or of other characters.
fn chunk(text: &str) -> &str {
    let is_digit = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != is_digit);
    &text[..end.unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_within_text_count_as_numbers() {
        assert_eq!(natural("a9", "a10"), Ordering::Less);
        assert_eq!(natural("4m5", "4m1000"), Ordering::Less);
        assert_eq!(natural("a", "a1"), Ordering::Less);
        assert_eq!(natural("007", "7"), Ordering::Equal);
    }
}
