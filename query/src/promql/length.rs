//! Lengths of time: as text, and as expressions once the query's range and step are known.

use super::{
    ast::{BinaryOp, Length, LengthExpr, UnaryOp},
    value::Asked,
};
use crate::QueryError;

/// The units, longest first, in milliseconds.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// The milliseconds of a duration such as `1h30m`: whole numbers, each unit once at most, the longest first.
pub fn parse(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total: u64 = 0;
    let mut next_unit = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic());
        let (unit, after) = rest.split_at(letters.unwrap_or(rest.len()));
        let at = UNITS.iter().position(|(name, _)| *name == unit)?;
        if at < next_unit {
            return None;
        }
        next_unit = at + 1;
        total = total.checked_add(number.checked_mul(UNITS[at].1)?)?;
        rest = after;
    }
    // Prometheus counts nanoseconds in 63 bits.
    let is_in_range = total <= (i64::MAX / 1_000_000).unsigned_abs();
    (!text.is_empty() && is_in_range).then_some(total)
}

/// A duration as Prometheus prints it; weeks and years only where they are whole.
pub fn format(millis: u64) -> String {
    if millis == 0 {
        return "0s".to_owned();
    }
    let mut rest = millis;
    let mut text = String::new();
    for (unit, length) in UNITS {
        let is_whole_only = matches!(unit, "y" | "w");
        if is_whole_only && !rest.is_multiple_of(length) {
            continue;
        }
        let count = rest / length;
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
            rest -= count * length;
        }
    }
    text
}

impl Length {
    /// Milliseconds, for what is asked.
    pub(super) fn millis(&self, query: Asked) -> Result<i64, QueryError> {
        match self {
            Self::Fixed(millis) => Ok(*millis),
            Self::Expr(expr) => {
                let seconds = expr.seconds(query)?;
                let millis = seconds * 1000.0;
                if millis.is_nan() || millis.abs() > 9.2e15 {
                    return Err(QueryError::Evaluation("duration out of range".to_owned()));
                }
                Ok(millis as i64)
            }
        }
    }

    /// As [`Self::millis`], for a length that must be more than nothing.
    pub(super) fn positive_millis(&self, query: Asked) -> Result<i64, QueryError> {
        let millis = self.millis(query)?;
        if millis > 0 {
            return Ok(millis);
        }
        let shown = match millis {
            0 => "0s".to_owned(),
            _ => format!("-{}", format(millis.unsigned_abs())),
        };
        Err(QueryError::Evaluation(format!(
            "duration must be greater than 0, got {shown}"
        )))
    }
}

impl LengthExpr {
    fn seconds(&self, query: Asked) -> Result<f64, QueryError> {
        Ok(match self {
            Self::Number(number) => number.value,
            Self::Step(_) => query.step_seconds(),
            Self::Range(_) => query.range_seconds(),
            Self::Unary(UnaryOp::Plus, inner, _) | Self::Paren(inner, _) => inner.seconds(query)?,
            Self::Unary(UnaryOp::Minus, inner, _) => -inner.seconds(query)?,
            Self::Least(a, b, _) => a.seconds(query)?.min(b.seconds(query)?),
            Self::Greatest(a, b, _) => a.seconds(query)?.max(b.seconds(query)?),
            Self::Binary(op, left, right) => {
                calculate(*op, left.seconds(query)?, right.seconds(query)?)?
            }
        })
    }
}

fn calculate(op: BinaryOp, left: f64, right: f64) -> Result<f64, QueryError> {
    let fail = |sentence: &str| Err(QueryError::Evaluation(sentence.to_owned()));
    Ok(match op {
        BinaryOp::Add => left + right,
        BinaryOp::Sub => left - right,
        BinaryOp::Mul => left * right,
        BinaryOp::Div if right == 0.0 => return fail("division by zero"),
        BinaryOp::Div => left / right,
        BinaryOp::Mod if right == 0.0 => return fail("modulo by zero"),
        BinaryOp::Mod => left % right,
        BinaryOp::Pow => left.powf(right),
        _ => return fail("unexpected operator in a duration"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_printed() {
        assert_eq!(parse("1h30m"), Some(5_400_000));
        assert_eq!(parse("1m1ms"), Some(60_001));
        assert_eq!(parse("1m1h"), None);
        assert_eq!(parse("1.5h"), None);
        assert_eq!(parse("5"), None);
        assert_eq!(parse("9999999999y"), None);
        assert_eq!(format(5_400_000), "1h30m");
        assert_eq!(format(7 * 86_400_000), "1w");
        assert_eq!(format(8 * 86_400_000), "8d");
        assert_eq!(format(0), "0s");
    }
}
