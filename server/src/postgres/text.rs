//! Values as PostgreSQL writes them for people, with `DateStyle` ISO.

use std::io::Write;

use super::value::Kind;

/// Why writing cannot fail.
const TO_MEMORY: &str = "numbers can be written to memory";

pub(super) fn float(out: &mut Vec<u8>, value: f64, kind: Kind) {
    if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else if value.is_infinite() {
        let sign = if value < 0.0 { "-" } else { "" };
        write!(out, "{sign}Infinity").expect(TO_MEMORY);
    } else {
        let is_plain = value == 0.0 || (1e-4..1e15).contains(&value.abs());
        match (is_plain, kind) {
            (true, Kind::Float4) => write!(out, "{}", value as f32),
            (true, _) => write!(out, "{value}"),
            (false, Kind::Float4) => write!(out, "{:e}", value as f32),
            (false, _) => write!(out, "{value:e}"),
        }
        .expect(TO_MEMORY);
    }
}

pub(super) fn bytes(out: &mut Vec<u8>, value: &[u8]) {
    out.extend_from_slice(b"\\x");
    for byte in value {
        write!(out, "{byte:02x}").expect(TO_MEMORY);
    }
}

/// `days` since 1970.
pub(super) fn date(out: &mut Vec<u8>, days: i32) {
    let at = jiff::Timestamp::from_second(i64::from(days) * 86_400);
    shown(out, at, i64::from(days), "%Y-%m-%d");
}

/// `micros` since midnight.
pub(super) fn time(out: &mut Vec<u8>, micros: i64) {
    let at = jiff::Timestamp::from_microsecond(micros);
    shown(out, at, micros, "%H:%M:%S%.f");
}

/// `micros` since 1970.
pub(super) fn timestamp(out: &mut Vec<u8>, micros: i64) {
    let at = jiff::Timestamp::from_microsecond(micros);
    shown(out, at, micros, "%Y-%m-%d %H:%M:%S%.f");
}

/// Times that no calendar of ours reaches are the end of time.
fn shown(out: &mut Vec<u8>, at: Result<jiff::Timestamp, jiff::Error>, sign: i64, format: &str) {
    match at {
        Ok(at) => write!(out, "{}", at.strftime(format)).expect(TO_MEMORY),
        Err(_) if sign < 0 => out.extend_from_slice(b"-infinity"),
        Err(_) => out.extend_from_slice(b"infinity"),
    }
}
