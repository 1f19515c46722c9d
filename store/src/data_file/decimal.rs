//! Values of samples as files hold them: whole numbers and a divisor, which compress to half of what the bits of the
//! floating-point numbers do.
//!
//! Most measured values are decimal numbers with few digits. Such a value is `value_digits / value_divisor`, where the
//! divisor is a power of ten that all samples of a series in a row share: a division of two numbers that are exact, rounded
//! once, so that the result has the very bits of the value. What has no such form (NaN of any payload, infinities, negative
//! zero, numbers with all digits) stays as it is in `value`, which is null elsewhere.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch},
    datatypes::{Float64Type, Int64Type},
    error::ArrowError,
};

use crate::Table;

/// Powers of ten that are tried as divisors; all of them are exact.
const DIVISORS: [f64; 16] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
];
/// Whole numbers below this are exact as floating-point numbers.
const MAX_DIGITS: f64 = 9_007_199_254_740_992.0;
/// Values of a series that are looked at to choose its divisor.
const PROBES: usize = 64;

/// Rows of the `samples` table as files hold them; rows of one series are to follow each other.
pub(super) fn split(rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let column = |name| rows.column_by_name(name).expect("samples have this column");
    let values = column("value").as_primitive::<Float64Type>();
    let ids = column("series_id").as_binary::<i32>();
    let mut parts = Parts::with_capacity(values.len());
    let mut start = 0;
    while start < values.len() {
        let same = (start..values.len()).take_while(|at| ids.value(*at) == ids.value(start));
        let end = start + same.count();
        parts.push_series(&values.values()[start..end]);
        start = end;
    }
    let (rest, digits, divisors) = parts.finish();
    let value = |field: &str| -> ArrayRef {
        match field {
            "value" => Arc::new(rest.clone()),
            "value_digits" => Arc::new(digits.clone()),
            "value_divisor" => Arc::new(divisors.clone()),
            other => rows
                .column_by_name(other)
                .expect("other columns are the same")
                .clone(),
        }
    };
    let schema = Table::Samples.file_schema();
    let columns = schema.fields().iter().map(|field| value(field.name()));
    RecordBatch::try_new(schema.clone(), columns.collect())
}

/// Rows that [`split`] made, or an older version, as rows of the `samples` table.
pub(super) fn join(rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let (Some(digits), Some(divisors)) = (
        rows.column_by_name("value_digits"),
        rows.column_by_name("value_divisor"),
    ) else {
        return Table::Samples.complete(rows.clone());
    };
    let value = rows.column_by_name("value").ok_or_else(|| {
        ArrowError::SchemaError("rows of table samples have no column value".to_owned())
    })?;
    let value = restore_values(
        value.as_primitive::<Float64Type>(),
        digits.as_primitive::<Int64Type>(),
        divisors.as_primitive::<Float64Type>(),
    );
    let schema = Table::Samples.schema();
    let column = |name: &str| match name {
        "value" => Some(Arc::new(value.clone()) as ArrayRef),
        other => rows.column_by_name(other).cloned(),
    };
    let columns = schema
        .fields()
        .iter()
        .filter_map(|field| column(field.name()));
    RecordBatch::try_new(schema.clone(), columns.collect())
}

/// The values of one series as files hold them: `value`, `value_digits` and `value_divisor`, of which [`restore_values`] makes
/// the same values again, bit by bit.
pub fn split_values(values: &[f64]) -> (Float64Array, Int64Array, Float64Array) {
    let mut parts = Parts::with_capacity(values.len());
    parts.push_series(values);
    parts.finish()
}

/// The values of samples out of three columns of their files: `value` where it is not null, else
/// `value_digits / value_divisor`. Columns that a file of an older version lacks are null.
pub fn restore_values(
    value: &Float64Array,
    digits: &Int64Array,
    divisors: &Float64Array,
) -> Float64Array {
    let whole = |at: usize| digits.value(at) as f64 / divisors.value(at);
    let restored = (0..value.len()).map(|at| {
        if value.is_valid(at) {
            value.value(at)
        } else {
            whole(at)
        }
    });
    Float64Array::from_iter_values(restored)
}

/// The three columns while they are made.
struct Parts {
    rest: Vec<Option<f64>>,
    digits: Vec<Option<i64>>,
    divisors: Vec<Option<f64>>,
}

impl Parts {
    fn with_capacity(rows: usize) -> Self {
        Self {
            rest: Vec::with_capacity(rows),
            digits: Vec::with_capacity(rows),
            divisors: Vec::with_capacity(rows),
        }
    }

    fn finish(self) -> (Float64Array, Int64Array, Float64Array) {
        (self.rest.into(), self.digits.into(), self.divisors.into())
    }

    /// Adds the values of one series.
    fn push_series(&mut self, values: &[f64]) {
        let divisor = common_divisor(values);
        for value in values {
            let digits = divisor.and_then(|divisor| digits(*value, divisor));
            self.rest.push(digits.is_none().then_some(*value));
            self.digits.push(digits);
            self.divisors.push(divisor);
        }
    }
}

/// The divisor that makes whole numbers of nearly all `values`; `None` when most of them have none.
fn common_divisor(values: &[f64]) -> Option<f64> {
    let step = values.len().div_ceil(PROBES).max(1);
    let probes = values.iter().step_by(step);
    let mut places: Vec<usize> = probes.clone().filter_map(|value| places(*value)).collect();
    if 2 * places.len() < probes.count() {
        return None;
    }
    places.sort_unstable();
    // A single value with many digits would burden all the others.
    let most = (places.len().checked_sub(1)? * 98).div_ceil(100);
    Some(DIVISORS[places[most]])
}

/// The least power of ten that makes `value` a whole number.
fn places(value: f64) -> Option<usize> {
    DIVISORS
        .iter()
        .position(|divisor| digits(value, *divisor).is_some())
}

/// The whole number which, divided by `divisor`, has the bits of `value`.
fn digits(value: f64, divisor: f64) -> Option<i64> {
    let digits = (value * divisor).round();
    let is_exact = digits.abs() < MAX_DIGITS;
    if !is_exact {
        return None;
    }
    let digits = digits as i64;
    let restored = digits as f64 / divisor;
    (restored.to_bits() == value.to_bits()).then_some(digits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip(values: &[f64]) -> Vec<u64> {
        let (rest, digits, divisors) = split_values(values);
        let restored = restore_values(&rest, &digits, &divisors);
        restored
            .values()
            .iter()
            .map(|value| value.to_bits())
            .collect()
    }

    #[test]
    fn measured_values_become_whole_numbers() {
        let mut parts = Parts::with_capacity(3);
        parts.push_series(&[12.5, 0.25, 1e6]);
        assert_eq!(parts.digits, [Some(1250), Some(25), Some(100_000_000)]);
        assert_eq!(parts.divisors, [Some(100.0); 3]);
        assert_eq!(parts.rest, [None; 3]);
    }

    #[test]
    fn one_odd_value_does_not_burden_a_series() {
        let mut values = vec![1.5; 200];
        values[17] = 0.123_456_789;
        values[18] = f64::NAN;
        let mut parts = Parts::with_capacity(values.len());
        parts.push_series(&values);
        assert!(parts.divisors.iter().all(|divisor| *divisor == Some(10.0)));
        assert_eq!(parts.rest.iter().flatten().count(), 2);
    }

    #[test]
    fn numbers_that_are_not_decimal_stay_as_they_are() {
        let values = [f64::NAN, -0.0, f64::INFINITY, 1.0 / 3.0, 5e-324, 1e300];
        let mut parts = Parts::with_capacity(values.len());
        parts.push_series(&values);
        assert_eq!(parts.rest.iter().flatten().count(), values.len());
    }

    proptest! {
        #[test]
        fn every_bit_survives(bits in prop::collection::vec(any::<u64>(), 0..200)) {
            let values: Vec<f64> = bits.iter().copied().map(f64::from_bits).collect();
            prop_assert_eq!(round_trip(&values), bits);
        }

        #[test]
        fn decimal_numbers_survive(
            numbers in prop::collection::vec((any::<i64>(), 0_i32..24), 0..200),
        ) {
            let values: Vec<f64> =
                numbers.iter().map(|(digits, places)| *digits as f64 / 10_f64.powi(*places)).collect();
            let bits: Vec<u64> = values.iter().map(|value| value.to_bits()).collect();
            prop_assert_eq!(round_trip(&values), bits);
        }
    }
}
