//! PromQL: one evaluator whose leaves are scans of the snapshot's samples.
//!
//! An expression is evaluated for all steps at once: a vector is a set of series with one optional value per step, so that a
//! selector is scanned once however many steps there are. One file per kind of expression.
//!
//! Source of semantics: Prometheus, "Querying: basics, operators, functions", release 3.

mod aggregate;
pub mod ast;
mod binary;
mod calendar;
mod check;
mod error;
mod eval;
mod function;
mod histogram;
mod label;
mod length;
mod lexer;
mod matching;
mod math;
mod over_time;
mod parser;
mod pretty;
mod print;
mod rate;
mod selector;
mod series;
mod set;
mod signature;
mod sort;

use demarc_proto::{Labels, Matcher, Millis};
use demarc_store::{Sample, Snapshot};
use promql_parser::parser::{Expr, VectorSelector};

use crate::{QueryConfig, QueryError};
use eval::{Eval, Outcome};

pub use error::ParseError;
pub use length::{format as format_duration, parse as parse_duration};
pub use parser::{parse, parse_selector, parse_series};
pub use pretty::pretty;
pub use signature::{Signature, Variadic};

pub(crate) use series::Steps;

/// What a PromQL query evaluates to.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The value.
    pub value: Value,
    /// What the asker should know of it.
    pub warnings: Vec<String>,
}

/// A value, by its type.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number at a time.
    Scalar(Sample),
    /// A text at a time.
    Text(Millis, String),
    /// Series with one value each; sorted by labels unless the query sorts.
    Vector(Vec<(Labels, Sample)>),
    /// Series with values over time, sorted by labels.
    Matrix(Vec<(Labels, Vec<Sample>)>),
}

/// Reads a query for the evaluator, whose tree is still another one.
pub(crate) fn parse_for_evaluation(query: &str) -> Result<Expr, QueryError> {
    promql_parser::parser::parse(query).map_err(QueryError::Parse)
}

/// The matchers of a series selector such as `up{job="a"}`; several sets where it says `or`.
pub(crate) fn matchers(text: &str) -> Result<Vec<Vec<Matcher>>, QueryError> {
    let selector = parse_selector(text).map_err(|error| QueryError::Parse(error.to_string()))?;
    Ok(vec![selector.matchers])
}

/// Evaluates at one time.
pub(crate) async fn instant(
    snapshot: &Snapshot,
    config: &QueryConfig,
    expr: &Expr,
    at: Millis,
) -> Result<Answer, QueryError> {
    let steps = Steps {
        start: at.0,
        step: 1,
        count: 1,
    };
    let eval = Eval::new(snapshot, config, steps);
    if let Expr::MatrixSelector(matrix) = without_parens(expr) {
        let series = eval.raw_matrix(matrix, steps).await?;
        return Ok(Answer {
            value: Value::Matrix(series),
            warnings: eval.warnings(),
        });
    }
    let value = match eval.eval(expr, steps).await? {
        Outcome::Scalar(values) => Value::Scalar(Sample::new(at, values[0])),
        Outcome::Text(text) => Value::Text(at, text),
        Outcome::Vector(series) => {
            let mut vector: Vec<(Labels, Sample)> = series
                .into_iter()
                .filter_map(|one| {
                    let value = one.values[0]?;
                    Some((one.labels, Sample::new(at, value)))
                })
                .collect();
            sort::order(&mut vector, without_parens(expr));
            Value::Vector(vector)
        }
    };
    Ok(Answer {
        value,
        warnings: eval.warnings(),
    })
}

/// Evaluates at each step.
pub(crate) async fn range(
    snapshot: &Snapshot,
    config: &QueryConfig,
    expr: &Expr,
    steps: Steps,
) -> Result<Answer, QueryError> {
    let eval = Eval::new(snapshot, config, steps);
    let series = match eval.eval(expr, steps).await? {
        Outcome::Vector(series) => series,
        Outcome::Scalar(values) => {
            let values = values.into_iter().map(Some).collect();
            vec![series::Series {
                labels: Labels::default(),
                values,
            }]
        }
        Outcome::Text(_) => {
            let sentence = "a range query must be a scalar or an instant vector, not a string";
            return Err(QueryError::Parameter(sentence.to_owned()));
        }
    };
    let mut matrix: Vec<(Labels, Vec<Sample>)> = Vec::new();
    for one in series {
        let samples: Vec<Sample> = steps
            .times()
            .zip(one.values)
            .filter_map(|(time, value)| Some(Sample::new(Millis(time), value?)))
            .collect();
        if !samples.is_empty() {
            matrix.push((one.labels, samples));
        }
    }
    matrix.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Answer {
        value: Value::Matrix(matrix),
        warnings: eval.warnings(),
    })
}

fn without_parens(mut expr: &Expr) -> &Expr {
    while let Expr::Paren(inner) = expr {
        expr = &inner.expr;
    }
    expr
}

/// The name in a selector, wherever it is written.
fn metric_of(vector: &VectorSelector) -> Option<&str> {
    vector.name.as_deref()
}
