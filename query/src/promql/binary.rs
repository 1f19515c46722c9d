//! Binary operators.
//!
//! Source: Prometheus 3.14, "Querying: operators".

mod matching;
mod operation;
mod set;

use super::{
    ast::{Binary, BinaryOp, Span},
    eval::{Eval, Outcome},
    value::{Cell, Series, Steps},
};
use crate::QueryError;

/// One operator in its place: what it does to two values.
#[derive(Clone, Copy)]
pub(super) struct Operation<'a> {
    pub(super) eval: &'a Eval<'a>,
    pub(super) op: BinaryOp,
    pub(super) returns_bool: bool,
    pub(super) span: Span,
}

impl Eval<'_> {
    pub(super) fn binary(&self, binary: &Binary, steps: Steps) -> Result<Outcome, QueryError> {
        let operation = Operation {
            eval: self,
            op: binary.op,
            returns_bool: binary.returns_bool,
            span: binary.left.span(),
        };
        let left = self.eval(&binary.left, steps)?;
        let right = self.eval(&binary.right, steps)?;
        match (left, right) {
            (Outcome::Scalar(left), Outcome::Scalar(right)) => {
                let pairs = left.into_iter().zip(right);
                let values = pairs.map(|(a, b)| operation::scalars(binary.op, a, b));
                Ok(Outcome::Scalar(values.collect()))
            }
            (Outcome::Vector(series), Outcome::Scalar(values)) => {
                let result = operation.with_scalar(series, &values, Side::Left);
                Ok(Outcome::Vector(result))
            }
            (Outcome::Scalar(values), Outcome::Vector(series)) => {
                let result = operation.with_scalar(series, &values, Side::Right);
                Ok(Outcome::Vector(result))
            }
            (Outcome::Vector(left), Outcome::Vector(right)) => {
                let result = if binary.op.is_set() {
                    set::apply(binary.op, &binary.matching, left, right, steps)
                } else {
                    matching::apply(operation, &binary.matching, left, right, steps)?
                };
                Ok(Outcome::Vector(result))
            }
            _ => Err(QueryError::Evaluation(format!(
                "{} cannot be applied to a string",
                binary.op
            ))),
        }
    }
}

/// On which side of an operator something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

impl Operation<'_> {
    /// Whether the result is no longer a value of the metric.
    fn drops_name(&self) -> bool {
        let keeps = self.op.is_comparison() || self.op.is_set() || self.op.is_trim();
        self.returns_bool || !keeps
    }

    /// Applies the operator to each element and a number; `side`: where the vector stands.
    fn with_scalar(&self, series: Vec<Series>, values: &[f64], side: Side) -> Vec<Series> {
        let mut found = Vec::with_capacity(series.len());
        for mut one in series {
            one.drop_name |= self.drops_name();
            let mut is_empty = true;
            for (step, value) in values.iter().enumerate() {
                let Some(cell) = one.cell(step) else {
                    continue;
                };
                let scalar = Cell::Float(*value);
                let (left, right) = match side {
                    Side::Left => (&cell, &scalar),
                    Side::Right => (&scalar, &cell),
                };
                // A comparison keeps the vector's value, wherever that stands.
                match self.apply(left, right, &cell) {
                    Some(result) => {
                        one.set(step, result);
                        is_empty = false;
                    }
                    None => one.clear(step),
                }
            }
            if !is_empty {
                found.push(one);
            }
        }
        found
    }
}
