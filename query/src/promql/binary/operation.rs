//! What the operators do to two values.

use std::sync::Arc;

use super::Operation;
use crate::promql::{
    annotation::{Note, Operation as During},
    ast::BinaryOp,
    native::{CombineNotes, Histogram, Side},
    value::Cell,
};

/// The result for two scalars; a comparison gives 0 or 1.
pub(super) fn scalars(op: BinaryOp, a: f64, b: f64) -> f64 {
    match compare(op, a, b) {
        Some(holds) => f64::from(u8::from(holds)),
        None => arithmetic(op, a, b),
    }
}

fn compare(op: BinaryOp, a: f64, b: f64) -> Option<bool> {
    Some(match op {
        BinaryOp::Equal => a == b,
        BinaryOp::NotEqual => a != b,
        BinaryOp::Less => a < b,
        BinaryOp::LessEqual => a <= b,
        BinaryOp::Greater => a > b,
        BinaryOp::GreaterEqual => a >= b,
        _ => return None,
    })
}

fn arithmetic(op: BinaryOp, a: f64, b: f64) -> f64 {
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::Mod => a % b,
        BinaryOp::Pow => a.powf(b),
        BinaryOp::Atan2 => a.atan2(b),
        _ => f64::NAN,
    }
}

impl Operation<'_> {
    /// The result for two values; `kept` is what a comparison that holds leaves.
    pub(super) fn apply(&self, left: &Cell, right: &Cell, kept: &Cell) -> Option<Cell> {
        match (left, right) {
            (Cell::Float(a), Cell::Float(b)) => self.floats(*a, *b, kept),
            (Cell::Float(a), Cell::Histogram(b)) => match self.op {
                BinaryOp::Mul => Some(histogram(b.scaled(*a))),
                _ => self.incompatible("float", "histogram"),
            },
            (Cell::Histogram(a), Cell::Float(b)) => match self.op {
                BinaryOp::Mul => Some(histogram(a.scaled(*b))),
                BinaryOp::Div => Some(histogram(a.divided(*b))),
                BinaryOp::TrimUpper => Some(histogram(a.trimmed(Side::Below, *b))),
                BinaryOp::TrimLower => Some(histogram(a.trimmed(Side::Above, *b))),
                _ => self.incompatible("histogram", "float"),
            },
            (Cell::Histogram(a), Cell::Histogram(b)) => self.histograms(a, b, kept),
        }
    }

    fn floats(&self, a: f64, b: f64, kept: &Cell) -> Option<Cell> {
        if self.op.is_trim() {
            return self.incompatible("float", "float");
        }
        match compare(self.op, a, b) {
            None => Some(Cell::Float(arithmetic(self.op, a, b))),
            Some(holds) => self.comparison(holds, kept),
        }
    }

    fn comparison(&self, holds: bool, kept: &Cell) -> Option<Cell> {
        if self.returns_bool {
            return Some(Cell::Float(f64::from(u8::from(holds))));
        }
        holds.then(|| kept.clone())
    }

    fn histograms(&self, a: &Arc<Histogram>, b: &Arc<Histogram>, kept: &Cell) -> Option<Cell> {
        let (result, during) = match self.op {
            BinaryOp::Add => (a.plus(b), During::Addition),
            BinaryOp::Sub => (a.minus(b), During::Subtraction),
            BinaryOp::Equal => return self.comparison(a.is_same(b), kept),
            BinaryOp::NotEqual => return self.comparison(!a.is_same(b), kept),
            _ => return self.incompatible("histogram", "histogram"),
        };
        let Some((mut sum, notes)) = result else {
            self.note(&Note::IncompatibleLayout(self.op));
            return None;
        };
        self.note_combined(notes, during);
        sum.positive.compact();
        sum.negative.compact();
        Some(histogram(sum))
    }

    fn note_combined(&self, notes: CombineNotes, during: During) {
        if notes.resets_collide {
            self.note(&Note::ResetsCollide(during));
        }
        if notes.bounds_differ {
            self.note(&Note::BoundsReconciled(during));
        }
    }

    fn incompatible(&self, left: &'static str, right: &'static str) -> Option<Cell> {
        self.note(&Note::IncompatibleTypes(left, self.op, right));
        None
    }

    fn note(&self, note: &Note) {
        self.eval.note(note, "", self.span);
    }
}

fn histogram(value: Histogram) -> Cell {
    Cell::Histogram(Arc::new(value))
}
