//! Numbers, texts and bytes in JSON to fields in protobuf.

use std::fmt;

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde::de::{Error, Visitor};

use super::shape::Kind;

/// Reads one scalar and appends it as a field.
pub(super) struct Scalar<'o> {
    pub(super) name: &'static str,
    pub(super) number: u32,
    pub(super) kind: Kind,
    pub(super) out: &'o mut Vec<u8>,
}

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Appends a field of bytes.
pub(super) fn bytes(number: u32, value: &[u8], out: &mut Vec<u8>) {
    varint(u64::from(number) << 3 | 2, out);
    varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

impl Scalar<'_> {
    fn tag(&mut self, wire_type: u64) {
        varint(u64::from(self.number) << 3 | wire_type, self.out);
    }

    fn integer<E: Error>(mut self, value: i128) -> Result<(), E> {
        let bits = |value: i128| value as u64;
        let fits = match self.kind {
            Kind::Double => {
                return self.double(value as f64);
            }
            Kind::Uint32 | Kind::Fixed32 => u32::try_from(value).is_ok(),
            Kind::Fixed64 | Kind::Uint64 => u64::try_from(value).is_ok(),
            Kind::Int64 | Kind::Sfixed64 => i64::try_from(value).is_ok(),
            Kind::Sint32 | Kind::Enum => i32::try_from(value).is_ok(),
            Kind::Text | Kind::Hex | Kind::Base64 | Kind::Bool | Kind::Message(_) => {
                return Err(self.mismatch(value));
            }
        };
        if !fits {
            return Err(self.mismatch(value));
        }
        match self.kind {
            Kind::Fixed64 | Kind::Sfixed64 => {
                self.tag(1);
                self.out.extend_from_slice(&bits(value).to_le_bytes());
            }
            Kind::Fixed32 => {
                self.tag(5);
                let four = &bits(value).to_le_bytes()[..4];
                self.out.extend_from_slice(four);
            }
            Kind::Sint32 => {
                self.tag(0);
                varint(
                    bits((value << 1) ^ (value >> 127)) & u64::from(u32::MAX),
                    self.out,
                );
            }
            _ => {
                self.tag(0);
                varint(bits(value), self.out);
            }
        }
        Ok(())
    }

    fn double<E: Error>(mut self, value: f64) -> Result<(), E> {
        match self.kind {
            Kind::Double => {
                self.tag(1);
                self.out.extend_from_slice(&value.to_le_bytes());
                Ok(())
            }
            // 1e3 is an integer as well.
            _ if value.fract() == 0.0 && value.abs() < 1e19 => self.integer(value as i128),
            _ => Err(self.mismatch(value)),
        }
    }

    fn mismatch<E: Error>(&self, value: impl fmt::Display) -> E {
        let mut shown = value.to_string();
        shown = crate::attribute::cut(std::mem::take(&mut shown), 120);
        E::custom(format!(
            "{} {shown:?}: must be {}",
            self.name,
            self.kind.words()
        ))
    }

    fn raw<E: Error>(self, decoded: Option<Vec<u8>>, text: &str) -> Result<(), E> {
        match decoded {
            Some(decoded) => {
                bytes(self.number, &decoded, self.out);
                Ok(())
            }
            None => Err(self.mismatch(text)),
        }
    }
}

impl<'de> Visitor<'de> for Scalar<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {}", self.kind.words(), self.name)
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(mut self, value: bool) -> Result<(), E> {
        if !matches!(self.kind, Kind::Bool) {
            return Err(self.mismatch(value));
        }
        self.tag(0);
        self.out.push(u8::from(value));
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.integer(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.integer(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.double(value)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        match self.kind {
            Kind::Text => {
                bytes(self.number, text.as_bytes(), self.out);
                Ok(())
            }
            Kind::Hex => {
                let decoded = const_hex::decode(text).ok();
                self.raw(decoded, text)
            }
            Kind::Base64 => {
                let decoded = STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text));
                self.raw(decoded.ok(), text)
            }
            Kind::Double => match text {
                "NaN" => self.double(f64::NAN),
                "Infinity" => self.double(f64::INFINITY),
                "-Infinity" => self.double(f64::NEG_INFINITY),
                _ => match text.parse::<f64>() {
                    Ok(value) if value.is_finite() => self.double(value),
                    _ => Err(self.mismatch(text)),
                },
            },
            Kind::Enum | Kind::Bool | Kind::Message(_) => Err(self.mismatch(text)),
            _ => match text.parse::<i128>() {
                Ok(value) => self.integer(value),
                Err(_) => Err(self.mismatch(text)),
            },
        }
    }
}
