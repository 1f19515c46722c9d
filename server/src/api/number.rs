//! Numbers and times as Prometheus writes them.
//!
//! Source: Prometheus, `util/jsonutil`; Go, `strconv.AppendFloat`.

use std::io::Write;

use demarc_proto::Millis;

/// Why writing cannot fail.
const TO_MEMORY: &str = "numbers can be written to memory";

/// A number, shortest form that reads back the same; with an exponent where it would be long.
pub(crate) fn number(value: f64) -> String {
    let mut out = Vec::new();
    write_number(&mut out, value);
    String::from_utf8(out).expect("numbers are ASCII")
}

/// As [`number`], to the end of `out`.
pub(crate) fn write_number(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    } else if value != 0.0 && !(1e-6..1e21).contains(&value.abs()) {
        let written = format!("{value:e}");
        let (digits, exponent) = written.split_once('e').unwrap_or((&written, "0"));
        let exponent: i32 = exponent.parse().unwrap_or_default();
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(out, "{digits}e{sign}{:02}", exponent.abs()).expect(TO_MEMORY);
    } else {
        write!(out, "{value}").expect(TO_MEMORY);
    }
}

/// Seconds, with three digits of a fraction unless it is zero.
pub(crate) fn write_seconds(out: &mut Vec<u8>, at: Millis) {
    let sign = if at.0 < 0 { "-" } else { "" };
    let millis = at.0.unsigned_abs();
    write!(out, "{sign}{}", millis / 1000).expect(TO_MEMORY);
    if !millis.is_multiple_of(1000) {
        write!(out, ".{:03}", millis % 1000).expect(TO_MEMORY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_look_as_go_writes_them() {
        for (value, wanted) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.1, "0.1"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.5e-7, "1.5e-07"),
            (1e-6, "0.000001"),
            (-2.5e300, "-2.5e+300"),
            (5e-324, "5e-324"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(number(value), wanted);
        }
    }

    #[test]
    fn times_have_milliseconds_only_where_there_are_any() {
        for (at, wanted) in [(0, "0"), (1500, "1.500"), (1005, "1.005"), (-1, "-0.001")] {
            let mut out = Vec::new();
            write_seconds(&mut out, Millis(at));
            assert_eq!(String::from_utf8(out).unwrap(), wanted);
        }
    }
}
