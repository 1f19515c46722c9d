//! Binary operators on numbers: scalars, a vector and a scalar, two vectors.

use demarc_proto::{Labels, METRIC_NAME};
use promql_parser::parser::{BinaryExpr, VectorMatchCardinality};

use super::{
    eval::{Eval, Outcome},
    matching::Matching,
    series::{Series, Steps, merge_same, without_name},
};
use crate::QueryError;

impl Eval<'_> {
    pub(super) async fn binary(
        &self,
        binary: &BinaryExpr,
        steps: Steps,
    ) -> Result<Outcome, QueryError> {
        let matching = Matching::of(binary)?;
        let left = self.eval(&binary.lhs, steps).await?;
        let right = self.eval(&binary.rhs, steps).await?;
        if binary.op.is_set_operator() {
            let (Outcome::Vector(left), Outcome::Vector(right)) = (left, right) else {
                return Err(QueryError::Parse(
                    "set operators take two vectors".to_owned(),
                ));
            };
            return Ok(Outcome::Vector(matching.set(
                &binary.op.to_string(),
                left,
                right,
            )));
        }
        let operator = Operator::parse(&binary.op.to_string(), matching.returns_bool)?;
        match (left, right) {
            (Outcome::Scalar(left), Outcome::Scalar(right)) => {
                let number = |(a, b): (f64, f64)| operator.number(a, b);
                Ok(Outcome::Scalar(
                    left.into_iter().zip(right).map(number).collect(),
                ))
            }
            (Outcome::Vector(vector), Outcome::Scalar(scalar)) => vector_scalar(
                vector,
                |step, value| operator.keep(value, scalar[step], value),
                operator,
            ),
            (Outcome::Scalar(scalar), Outcome::Vector(vector)) => vector_scalar(
                vector,
                |step, value| operator.keep(scalar[step], value, value),
                operator,
            ),
            (Outcome::Vector(left), Outcome::Vector(right)) => matching
                .vectors(operator, left, right, steps)
                .map(Outcome::Vector),
            _ => Err(QueryError::Parse(
                "a string cannot be an operand".to_owned(),
            )),
        }
    }
}

fn vector_scalar(
    vector: Vec<Series>,
    apply: impl Fn(usize, f64) -> Option<f64>,
    operator: Operator,
) -> Result<Outcome, QueryError> {
    let mut result = Vec::new();
    for one in vector {
        let values: Vec<Option<f64>> = one
            .values
            .iter()
            .enumerate()
            .map(|(step, value)| apply(step, (*value)?))
            .collect();
        if values.iter().any(Option::is_some) {
            let labels = if operator.drops_name() {
                without_name(&one.labels)
            } else {
                one.labels
            };
            result.push(Series { labels, values });
        }
    }
    merge_same(result).map(Outcome::Vector)
}

/// An operator on two numbers.
#[derive(Clone, Copy)]
pub(super) enum Operator {
    Arithmetic(fn(f64, f64) -> f64),
    /// Keeps a value where the comparison holds.
    Filter(fn(&f64, &f64) -> bool),
    /// 1 where the comparison holds, else 0.
    Bool(fn(&f64, &f64) -> bool),
}

impl Operator {
    fn parse(symbol: &str, returns_bool: bool) -> Result<Self, QueryError> {
        let arithmetic: fn(f64, f64) -> f64 = match symbol {
            "+" => |a, b| a + b,
            "-" => |a, b| a - b,
            "*" => |a, b| a * b,
            "/" => |a, b| a / b,
            "%" => |a, b| a % b,
            "^" => f64::powf,
            "atan2" => f64::atan2,
            _ => {
                let compare: fn(&f64, &f64) -> bool = match symbol {
                    "==" => f64::eq,
                    "!=" => f64::ne,
                    ">" => f64::gt,
                    "<" => f64::lt,
                    ">=" => f64::ge,
                    "<=" => f64::le,
                    _ => {
                        let what = format!("the operator {symbol}");
                        return Err(QueryError::Unsupported { what });
                    }
                };
                return Ok(if returns_bool {
                    Self::Bool(compare)
                } else {
                    Self::Filter(compare)
                });
            }
        };
        Ok(Self::Arithmetic(arithmetic))
    }

    /// Of two scalars: comparisons of scalars are always 0 or 1.
    fn number(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Arithmetic(function) => function(a, b),
            Self::Filter(compare) | Self::Bool(compare) => f64::from(u8::from(compare(&a, &b))),
        }
    }

    /// Of two elements; `value` is what a filter keeps.
    pub(super) fn keep(self, a: f64, b: f64, value: f64) -> Option<f64> {
        match self {
            Self::Filter(compare) => compare(&a, &b).then_some(value),
            other => Some(other.number(a, b)),
        }
    }

    pub(super) fn drops_name(self) -> bool {
        !matches!(self, Self::Filter(_))
    }
}

impl Matching<'_> {
    /// Labels of the result of one pair.
    pub(super) fn result_labels(&self, operator: Operator, many: &Labels, one: &Labels) -> Labels {
        let mut labels = many.clone();
        if operator.drops_name() {
            labels.set(METRIC_NAME, "");
        }
        match self.cardinality {
            VectorMatchCardinality::OneToOne => labels.retain(|name| self.is_matched(name)),
            VectorMatchCardinality::ManyToOne(include)
            | VectorMatchCardinality::OneToMany(include) => {
                for name in &include.labels {
                    labels.set(name, one.get(name));
                }
            }
            VectorMatchCardinality::ManyToMany => {}
        }
        labels
    }
}
