//! The walk over the expression.

use std::sync::atomic::{AtomicUsize, Ordering};

use demarc_proto::Labels;
use demarc_store::Snapshot;
use futures::{FutureExt, future::BoxFuture};
use parking_lot::Mutex;
use promql_parser::parser::{Expr, SubqueryExpr};

use super::{
    selector::{RangeVector, Shift},
    series::{RawSeries, Series, Steps, merge_same, without_name},
};
use crate::{QueryConfig, QueryError};

/// One evaluation: what it reads, what it may cost, what it found odd.
pub(crate) struct Eval<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) config: &'a QueryConfig,
    /// The times of the whole query: `@ start()` and `@ end()`.
    pub(super) query: Steps,
    samples: AtomicUsize,
    warnings: Mutex<Vec<String>>,
}

/// The value of an expression at all steps.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Scalar(Vec<f64>),
    Text(String),
    Vector(Vec<Series>),
}

impl<'a> Eval<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot, config: &'a QueryConfig, query: Steps) -> Self {
        Self {
            snapshot,
            config,
            query,
            samples: AtomicUsize::new(0),
            warnings: Mutex::default(),
        }
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = self.warnings.lock().clone();
        warnings.sort();
        warnings.dedup();
        warnings
    }

    pub(super) fn warn(&self, sentence: String) {
        self.warnings.lock().push(sentence);
    }

    /// Counts samples as they are loaded.
    pub(super) fn count(&self, rows: usize) -> Result<(), QueryError> {
        let before = self.samples.fetch_add(rows, Ordering::Relaxed);
        if before + rows > self.config.max_samples {
            return Err(QueryError::Limit {
                what: "samples",
                limit: self.config.max_samples,
            });
        }
        Ok(())
    }

    /// Evaluates an expression that is not a range vector.
    pub(crate) fn eval<'b>(
        &'b self,
        expr: &'b Expr,
        steps: Steps,
    ) -> BoxFuture<'b, Result<Outcome, QueryError>> {
        async move {
            match expr {
                Expr::Paren(paren) => self.eval(&paren.expr, steps).await,
                Expr::NumberLiteral(number) => Ok(Outcome::Scalar(vec![number.val; steps.count])),
                Expr::StringLiteral(text) => Ok(Outcome::Text(text.val.clone())),
                Expr::VectorSelector(vector) => self
                    .instant_selector(vector, steps)
                    .await
                    .map(Outcome::Vector),
                Expr::Unary(unary) => Ok(negate(self.eval(&unary.expr, steps).await?)?),
                Expr::Aggregate(aggregate) => self.aggregate(aggregate, steps).await,
                Expr::Binary(binary) => self.binary(binary, steps).await,
                Expr::Call(call) => self.call(call, steps).await,
                Expr::MatrixSelector(_) | Expr::Subquery(_) => Err(QueryError::Parse(
                    "a range vector must be the argument of a function such as rate()".to_owned(),
                )),
                Expr::Extension(_) => Err(QueryError::Unsupported {
                    what: "this syntax".to_owned(),
                }),
            }
        }
        .boxed()
    }

    /// Evaluates an expression that must be an instant vector.
    pub(super) async fn vector(
        &self,
        expr: &Expr,
        steps: Steps,
    ) -> Result<Vec<Series>, QueryError> {
        match self.eval(expr, steps).await? {
            Outcome::Vector(series) => Ok(series),
            _ => Err(QueryError::Parse(format!(
                "{expr} must be an instant vector"
            ))),
        }
    }

    /// Evaluates an expression that must be a scalar.
    pub(super) async fn scalar(&self, expr: &Expr, steps: Steps) -> Result<Vec<f64>, QueryError> {
        match self.eval(expr, steps).await? {
            Outcome::Scalar(values) => Ok(values),
            _ => Err(QueryError::Parse(format!("{expr} must be a scalar"))),
        }
    }

    /// Evaluates an expression that must be a string literal.
    pub(super) async fn text(&self, expr: &Expr, steps: Steps) -> Result<String, QueryError> {
        match self.eval(expr, steps).await? {
            Outcome::Text(text) => Ok(text),
            _ => Err(QueryError::Parse(format!("{expr} must be a string"))),
        }
    }

    /// Loads a range vector: a selector with a range, or a subquery.
    pub(super) async fn range_vector(
        &self,
        expr: &Expr,
        steps: Steps,
    ) -> Result<RangeVector, QueryError> {
        match expr {
            Expr::Paren(paren) => Box::pin(self.range_vector(&paren.expr, steps)).await,
            Expr::MatrixSelector(matrix) => self.range_selector(matrix, steps).await,
            Expr::Subquery(subquery) => self.subquery(subquery, steps).await,
            other => Err(QueryError::Parse(format!("{other} must be a range vector"))),
        }
    }

    /// Evaluates the inner expression at each multiple of the subquery's step that any window holds.
    async fn subquery(
        &self,
        subquery: &SubqueryExpr,
        steps: Steps,
    ) -> Result<RangeVector, QueryError> {
        let millis =
            |duration: std::time::Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let shift = Shift::new(subquery.at.as_ref(), subquery.offset.as_ref(), self.query);
        let range = millis(subquery.range);
        let default = self.config.subquery_step_seconds as i64 * 1000;
        let step = subquery.step.map_or(default, millis).max(1);
        let (first, last) = shift.span(steps);
        let start = (first.saturating_sub(range)).div_euclid(step) * step + step;
        if start > last {
            return Ok(RangeVector {
                series: Vec::new(),
                range,
                shift,
            });
        }
        let count = (last.abs_diff(start) / step.unsigned_abs() + 1) as usize;
        self.count(count)?;
        let inner = Steps { start, step, count };
        let series = match self.eval(&subquery.expr, inner).await? {
            Outcome::Vector(series) => series,
            Outcome::Scalar(values) => {
                let values = values.into_iter().map(Some).collect();
                vec![Series {
                    labels: Labels::default(),
                    values,
                }]
            }
            Outcome::Text(_) => {
                return Err(QueryError::Parse(
                    "a subquery cannot be of a string".to_owned(),
                ));
            }
        };
        let series = series
            .into_iter()
            .map(|one| RawSeries {
                samples: inner
                    .times()
                    .zip(one.values)
                    .filter_map(|(time, value)| Some((time, value?)))
                    .collect(),
                labels: one.labels,
            })
            .collect();
        Ok(RangeVector {
            series,
            range,
            shift,
        })
    }
}

fn negate(outcome: Outcome) -> Result<Outcome, QueryError> {
    match outcome {
        Outcome::Scalar(values) => Ok(Outcome::Scalar(
            values.into_iter().map(|value| -value).collect(),
        )),
        Outcome::Vector(series) => {
            let negated = series
                .into_iter()
                .map(|one| Series {
                    labels: without_name(&one.labels),
                    values: one
                        .values
                        .into_iter()
                        .map(|value| value.map(|v| -v))
                        .collect(),
                })
                .collect();
            merge_same(negated).map(Outcome::Vector)
        }
        Outcome::Text(_) => Err(QueryError::Parse("a string cannot be negated".to_owned())),
    }
}
