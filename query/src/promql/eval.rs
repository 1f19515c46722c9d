//! The walk over the expression.
//!
//! It runs on a thread of its own, so that a long calculation stops nobody else. Leaves work on more threads where processors
//! are free.

use std::collections::BTreeSet;

use super::{
    annotation::{Note, Notes},
    ast::{Expr, Span, Unary, UnaryOp},
    value::{ABSENT, Asked, Series, Steps, is_absent},
};
use crate::{QueryConfig, QueryError, reading::Reading};

/// One evaluation: what it reads, what it may cost, what it found odd.
pub(super) struct Eval<'a> {
    pub(super) reading: &'a Reading,
    pub(super) config: &'a QueryConfig,
    pub(super) asked: Asked,
    /// The selectors, by where they begin, of whose histograms only count and sum are used.
    pub(super) counts_only: BTreeSet<usize>,
    pub(super) notes: Notes,
}

/// The value of an expression at all steps.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Scalar(Vec<f64>),
    Text(Vec<u8>),
    Vector(Vec<Series>),
}

impl<'a> Eval<'a> {
    pub(super) fn new(reading: &'a Reading, query: (&str, &Expr, Asked)) -> Self {
        let (text, expr, asked) = query;
        let mut counts_only = BTreeSet::new();
        find_counts_only(expr, Use::Whole, &mut counts_only);
        Self {
            reading,
            config: &reading.config,
            asked,
            counts_only,
            notes: Notes::new(text),
        }
    }

    pub(super) fn note(&self, note: &Note, metric: &str, span: Span) {
        self.notes.add(note, metric, span);
    }

    pub(super) fn lookback(&self) -> i64 {
        (self.config.lookback_seconds * 1000.0) as i64
    }

    /// Counts samples as they are loaded; fails when they are too many, and as [`Self::check_alive`] does.
    pub(super) fn count(&self, samples: usize) -> Result<(), QueryError> {
        self.reading.budget.take_samples(samples)
    }

    /// Counts the values that are held while evaluating, before there is room for them: one for each series and step.
    pub(super) fn hold(&self, cells: usize) -> Result<(), QueryError> {
        self.reading.budget.take_cells(cells)
    }

    /// Fails once nobody waits for the answer any more, or the time for it is over.
    pub(super) fn check_alive(&self) -> Result<(), QueryError> {
        self.reading.budget.check()
    }

    /// Evaluates an expression that is not a range vector.
    pub(super) fn eval(&self, expr: &Expr, steps: Steps) -> Result<Outcome, QueryError> {
        self.check_alive()?;
        stacker::maybe_grow(256 << 10, 4 << 20, || match expr {
            Expr::Paren(paren) => self.eval(&paren.expr, steps),
            Expr::Number(number) => Ok(Outcome::Scalar(vec![number.value; steps.count])),
            Expr::Text(text) => Ok(Outcome::Text(text.bytes.clone())),
            Expr::Selector(selector) => self.instant_selector(selector, steps).map(Outcome::Vector),
            Expr::Unary(unary) => self.unary(unary, steps),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate, steps),
            Expr::Binary(binary) => self.binary(binary, steps),
            Expr::Call(call) => self.call(call, steps),
            Expr::Range(_) | Expr::Subquery(_) => Err(QueryError::Evaluation(
                "a range vector must be the argument of a function such as rate()".to_owned(),
            )),
        })
    }

    /// Evaluates an expression that is an instant vector.
    pub(super) fn vector(&self, expr: &Expr, steps: Steps) -> Result<Vec<Series>, QueryError> {
        match self.eval(expr, steps)? {
            Outcome::Vector(series) => Ok(series),
            _ => Err(QueryError::Evaluation(format!(
                "{expr} is not an instant vector"
            ))),
        }
    }

    /// Evaluates an expression that is a scalar.
    pub(super) fn scalar(&self, expr: &Expr, steps: Steps) -> Result<Vec<f64>, QueryError> {
        match self.eval(expr, steps)? {
            Outcome::Scalar(values) => Ok(values),
            _ => Err(QueryError::Evaluation(format!("{expr} is not a scalar"))),
        }
    }

    /// Evaluates an expression that is a string.
    pub(super) fn text(&self, expr: &Expr) -> Result<String, QueryError> {
        let bytes = self.text_bytes(expr)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// As [`Self::text`], where the bytes need not be UTF-8.
    pub(super) fn text_bytes(&self, expr: &Expr) -> Result<Vec<u8>, QueryError> {
        match expr.without_parens() {
            Expr::Text(text) => Ok(text.bytes.clone()),
            other => Err(QueryError::Evaluation(format!("{other} is not a string"))),
        }
    }

    fn unary(&self, unary: &Unary, steps: Steps) -> Result<Outcome, QueryError> {
        let outcome = self.eval(&unary.expr, steps)?;
        if unary.op == UnaryOp::Plus {
            return Ok(outcome);
        }
        Ok(match outcome {
            Outcome::Scalar(values) => {
                Outcome::Scalar(values.into_iter().map(|value| -value).collect())
            }
            Outcome::Vector(series) => Outcome::Vector(series.into_iter().map(negated).collect()),
            Outcome::Text(text) => Outcome::Text(text),
        })
    }
}

fn negated(mut series: Series) -> Series {
    series.drop_name = true;
    for value in &mut series.floats {
        *value = if is_absent(*value) { ABSENT } else { -*value };
    }
    for histogram in series.histograms.iter_mut().flatten().flatten() {
        *histogram = std::sync::Arc::new(histogram.scaled(-1.0));
    }
    series
}

/// What an expression's parents use of its histograms.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Whole,
    CountAndSum,
}

fn find_counts_only(expr: &Expr, used: Use, found: &mut BTreeSet<usize>) {
    let used = match expr {
        Expr::Call(call) => match call.function.name {
            "histogram_count" | "histogram_sum" | "histogram_avg" => Use::CountAndSum,
            "histogram_quantile"
            | "histogram_quantiles"
            | "histogram_fraction"
            | "histogram_stddev"
            | "histogram_stdvar"
            | "changes" => Use::Whole,
            _ => used,
        },
        Expr::Binary(binary) if binary.op.is_comparison() || binary.op.is_trim() => Use::Whole,
        Expr::Aggregate(aggregate) if aggregate.parameter.is_some() => Use::Whole,
        _ => used,
    };
    if used == Use::CountAndSum {
        match expr {
            Expr::Selector(selector) => drop(found.insert(selector.span.start)),
            Expr::Range(range) => drop(found.insert(range.selector.span.start)),
            _ => {}
        }
    }
    stacker::maybe_grow(64 << 10, 2 << 20, || {
        for child in expr.children() {
            find_counts_only(child, used, found);
        }
    });
}
