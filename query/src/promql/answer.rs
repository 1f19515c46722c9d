//! From evaluated series to answers.

use std::sync::Arc;

use demarc_proto::{Labels, Millis};

use super::{
    ast::Expr,
    eval::{Eval, Outcome},
    native::Histogram,
    selector::{Bounds, RangeVector},
    sort,
    value::{Asked, Cell, Series, Steps, drop_names},
};
use crate::{QueryError, reading::Reading};

/// What a PromQL query evaluates to.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The value.
    pub value: Value,
    /// What makes the value doubtful, sorted.
    pub warnings: Vec<String>,
    /// What the asker may want to know of it, sorted.
    pub infos: Vec<String>,
}

/// A value, by its type.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number at a time.
    Scalar(Millis, f64),
    /// A text at a time.
    Text(Millis, String),
    /// Series with one value each; sorted by labels unless the query sorts.
    Vector(Vec<(Labels, Point)>),
    /// Series with values over time, sorted by labels.
    Matrix(Vec<(Labels, Vec<Point>)>),
}

/// A value at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// When.
    pub time: Millis,
    /// What.
    pub value: PointValue,
}

/// A number or a histogram.
#[derive(Clone, Debug, PartialEq)]
pub enum PointValue {
    /// A number.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<Histogram>),
}

impl Answer {
    /// No series at no time.
    pub(crate) fn empty_matrix() -> Self {
        Self {
            value: Value::Matrix(Vec::new()),
            warnings: Vec::new(),
            infos: Vec::new(),
        }
    }
}

impl Point {
    /// The number; `None` of a histogram.
    pub fn float(&self) -> Option<f64> {
        match &self.value {
            PointValue::Float(value) => Some(*value),
            PointValue::Histogram(_) => None,
        }
    }

    fn new(time: i64, cell: Cell) -> Self {
        Self {
            time: Millis(time),
            value: match cell {
                Cell::Float(value) => PointValue::Float(value),
                Cell::Histogram(histogram) => PointValue::Histogram(histogram),
            },
        }
    }
}

/// A query that is ready to run.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub(crate) text: String,
    pub(crate) expr: Expr,
    pub(crate) asked: Asked,
}

impl Prepared {
    /// The same query at other steps.
    pub(crate) fn at(&self, steps: Steps) -> Self {
        let is_range = self.asked.is_range;
        Self {
            asked: Asked { steps, is_range },
            ..self.clone()
        }
    }
}

/// Evaluates a query; must be called on a thread of a runtime that may be blocked.
pub(crate) fn evaluate(reading: &Reading, query: &Prepared) -> Result<Answer, QueryError> {
    tokio::task::block_in_place(|| run(reading, query))
}

fn run(reading: &Reading, query: &Prepared) -> Result<Answer, QueryError> {
    let Prepared { text, expr, asked } = query;
    let eval = Eval::new(reading, (text, expr, *asked));
    let value = if asked.is_range {
        range(&eval, expr, asked.steps)?
    } else {
        instant(&eval, expr, asked.steps)?
    };
    let (warnings, infos) = eval.notes.take();
    Ok(Answer {
        value,
        warnings,
        infos,
    })
}

fn instant(eval: &Eval<'_>, expr: &Expr, steps: Steps) -> Result<Value, QueryError> {
    let time = steps.start;
    match expr.without_parens() {
        Expr::Range(_) | Expr::Subquery(_) => {
            return matrix_of(&eval.range_vector(expr, steps)?, steps);
        }
        _ => {}
    }
    Ok(match eval.eval(expr, steps)? {
        Outcome::Scalar(values) => Value::Scalar(Millis(time), values[0]),
        Outcome::Text(text) => {
            Value::Text(Millis(time), String::from_utf8_lossy(&text).into_owned())
        }
        Outcome::Vector(mut series) => {
            // Sorting may need labels that are dropped.
            let order = sort::order(&mut series, expr.without_parens());
            if order.is_some() {
                series = in_order(series)?;
            } else {
                series = drop_names(series)?;
            }
            let points = series.into_iter().filter_map(|one| {
                let point = Point::new(time, one.cell(0)?);
                Some((one.labels.into_labels(), point))
            });
            Value::Vector(points.collect())
        }
    })
}

/// Drops names that no longer fit, without sorting.
fn in_order(series: Vec<Series>) -> Result<Vec<Series>, QueryError> {
    drop_names(series.clone())?;
    let dropped = series.into_iter().map(|mut one| {
        if one.drop_name {
            one.labels = super::value::without_metadata(&one.labels).into();
        }
        one
    });
    Ok(dropped.collect())
}

fn range(eval: &Eval<'_>, expr: &Expr, steps: Steps) -> Result<Value, QueryError> {
    let series = match eval.eval(expr, steps)? {
        Outcome::Vector(series) => drop_names(series)?,
        Outcome::Scalar(values) => vec![Series::of_floats(Labels::default(), false, values)],
        Outcome::Text(_) => {
            let sentence = "a range query must be a scalar or an instant vector, not a string";
            return Err(QueryError::Parameter(sentence.to_owned()));
        }
    };
    let mut matrix: Vec<(Labels, Vec<Point>)> = Vec::new();
    for one in series {
        let cells = steps.times().enumerate();
        let points: Vec<Point> = cells
            .filter_map(|(step, time)| Some(Point::new(time, one.cell(step)?)))
            .collect();
        if !points.is_empty() {
            matrix.push((one.labels.into_labels(), points));
        }
    }
    Ok(Value::Matrix(matrix))
}

/// A range vector as the answer itself.
fn matrix_of(vector: &RangeVector, steps: Steps) -> Result<Value, QueryError> {
    let mut matrix: Vec<(Labels, Vec<Point>)> = Vec::new();
    for one in &vector.series {
        let window = vector.cut.window(one, steps.start, &mut Bounds::default());
        let floats = window
            .floats
            .iter()
            .map(|(time, value)| Point::new(*time, Cell::Float(*value)));
        let mut points: Vec<Point> = floats.collect();
        points.extend(window.histograms.iter().map(|histogram| {
            Point::new(
                histogram.time,
                Cell::Histogram(Arc::clone(&histogram.value)),
            )
        }));
        points.sort_by_key(|point| point.time);
        let labels = if one.drop_name {
            super::value::without_metadata(&one.labels)
        } else {
            one.labels.clone().into_labels()
        };
        if !points.is_empty() {
            matrix.push((labels, points));
        }
    }
    matrix.sort_by(|a, b| a.0.cmp(&b.0));
    if matrix.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(super::value::same_labelset());
    }
    Ok(Value::Matrix(matrix))
}
