//! PostgreSQL's `numeric` in binary: digits to the base of ten thousand.
//!
//! Source: PostgreSQL, `src/backend/utils/adt/numeric.c`, `numeric_send`, `numeric_recv`.

/// Decimal digits in one of its digits.
const WIDTH: usize = 4;
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xc000;

/// Writes a number that is given in decimal digits.
pub(super) fn write(out: &mut Vec<u8>, decimal: &str) {
    let (sign, digits) = match decimal.strip_prefix('-') {
        Some(digits) => (NEGATIVE, digits),
        None => (0, decimal),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let lead = (WIDTH - whole.len() % WIDTH) % WIDTH;
    let trail = (WIDTH - fraction.len() % WIDTH) % WIDTH;
    let padded = format!("{}{whole}{fraction}{}", "0".repeat(lead), "0".repeat(trail));
    let digits: Vec<u16> = padded
        .as_bytes()
        .chunks(WIDTH)
        .map(|chunk| {
            let digit = |value: u16, byte: &u8| value * 10 + u16::from(byte.saturating_sub(b'0'));
            chunk.iter().fold(0, digit)
        })
        .collect();
    let weight = ((whole.len() + lead) / WIDTH) as i16 - 1;
    out.extend_from_slice(&(digits.len() as u16).to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&sign.to_be_bytes());
    out.extend_from_slice(&(fraction.len() as u16).to_be_bytes());
    for digit in digits {
        out.extend_from_slice(&digit.to_be_bytes());
    }
}

/// Reads a number; `None` when the bytes are no such number.
pub(super) fn read(bytes: &[u8]) -> Option<f64> {
    let word = |at: usize| Some(u16::from_be_bytes(*bytes.get(at * 2..)?.first_chunk()?));
    let (count, weight, sign) = (word(0)?, word(1)?.cast_signed(), word(2)?);
    if sign == NAN {
        return Some(f64::NAN);
    }
    let mut value = 0.0;
    for at in 0..usize::from(count) {
        let power = i32::from(weight) - i32::try_from(at).ok()?;
        value += f64::from(word(4 + at)?) * 1e4_f64.powi(power);
    }
    Some(if sign == NEGATIVE { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_the_same() {
        for (decimal, wanted) in [
            ("0", 0.0),
            ("18446744073709551615", 18_446_744_073_709_551_615.0),
            ("-12345.678", -12_345.678),
            ("0.05", 0.05),
        ] {
            let mut out = Vec::new();
            write(&mut out, decimal);
            let value = read(&out).unwrap();
            assert!((value - wanted).abs() <= wanted.abs() * 1e-12, "{decimal}");
        }
        assert_eq!(read(b"\0\x02\0\0\0\0\0\0\0\x01"), None);
    }
}
