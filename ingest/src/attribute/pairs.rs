//! The attributes of one row as its sender wrote them, on their way into a column of text.

use std::{fmt::Write, ops::Range};

use demarc_proto::{
    AttrValue, Attributes,
    otlp::common::v1::{AnyValue, any_value},
};
use prost::Message;

use super::{attribute, check_count, check_key, start_of};
use crate::{IngestError, Limits, Signal, WireError, receipt::Refusal, wire::Wire};

/// Why a row is not taken.
#[derive(Debug)]
pub(crate) enum Bad {
    /// It is refused, its neighbours are not.
    Row(Refusal),
    /// The request cannot be read.
    Request(IngestError),
}

impl From<Refusal> for Bad {
    fn from(refusal: Refusal) -> Self {
        Self::Row(refusal)
    }
}

impl From<IngestError> for Bad {
    fn from(error: IngestError) -> Self {
        Self::Request(error)
    }
}

impl From<WireError> for Bad {
    fn from(error: WireError) -> Self {
        Self::Request(error.into())
    }
}

/// A value as it stands on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Raw<'a> {
    Str(&'a str),
    Bool(bool),
    Int(i64),
    Double(f64),
    /// An array, a map or bytes: the whole `AnyValue`.
    Other(&'a [u8]),
}

impl<'a> Raw<'a> {
    /// Reads an `AnyValue`; `None` when it holds nothing.
    pub(crate) fn read(any: &'a [u8]) -> Result<Option<Self>, WireError> {
        let mut found = None;
        let mut message = Wire::new(any);
        while let Some((field, value)) = message.next()? {
            found = match field {
                1 => Some(Self::Str(text(1, value.bytes(1)?)?)),
                2 => Some(Self::Bool(value.varint(2)? != 0)),
                3 => Some(Self::Int(value.int64(3)?)),
                4 => Some(Self::Double(value.double(4)?)),
                5..=8 => Some(Self::Other(any)),
                _ => found,
            };
        }
        Ok(found)
    }

    /// The value decoded.
    pub(crate) fn decode(self, signal: Signal) -> Result<Option<any_value::Value>, IngestError> {
        Ok(Some(match self {
            Self::Str(text) => any_value::Value::StringValue(text.to_owned()),
            Self::Bool(truth) => any_value::Value::BoolValue(truth),
            Self::Int(number) => any_value::Value::IntValue(number),
            Self::Double(number) => any_value::Value::DoubleValue(number),
            Self::Other(any) => {
                let decoded = AnyValue::decode(any);
                return match decoded {
                    Ok(any) => Ok(any.value),
                    Err(source) => Err(IngestError::Protobuf { signal, source }),
                };
            }
        }))
    }
}

/// Reads the `KeyValue` messages `fields`.
pub(crate) fn typed(fields: &[&[u8]], rules: (Signal, &Limits)) -> Result<Attributes, Bad> {
    let (signal, limits) = rules;
    check_count(fields.len(), limits)?;
    let mut attributes = Attributes::default();
    for field in fields {
        let (key, value) = pair(field)?;
        check_key(key, limits)?;
        let Some(value) = value.filter(|_| !key.is_empty()) else {
            continue;
        };
        if let Some(value) = value.decode(signal)? {
            attributes.set(key, attribute(value, limits.max_value_bytes));
        }
    }
    Ok(attributes)
}

/// The attributes of one row: sorted by key, no key twice, as text. Used again for the next row.
#[derive(Debug, Default)]
pub(crate) struct Pairs<'a> {
    pairs: Vec<(&'a str, Cell<'a>)>,
    /// The texts of those that came as something else.
    made: String,
}

#[derive(Clone, Debug)]
enum Cell<'a> {
    Text(&'a str),
    Made(Range<usize>),
}

impl<'a> Pairs<'a> {
    /// Reads the `KeyValue` messages `fields` in the place of what was there. The rules are those of
    /// [`attributes`](super::attributes).
    pub(crate) fn read(
        &mut self,
        fields: &[&'a [u8]],
        rules: (Signal, &Limits),
    ) -> Result<(), Bad> {
        self.pairs.clear();
        self.made.clear();
        check_count(fields.len(), rules.1)?;
        for field in fields {
            let (key, value) = pair(field)?;
            check_key(key, rules.1)?;
            let Some(value) = value.filter(|_| !key.is_empty()) else {
                continue;
            };
            if let Some(cell) = self.cell(value, rules)? {
                self.pairs.push((key, cell));
            }
        }
        if !self.pairs.is_sorted_by(|a, b| a.0 < b.0) {
            self.sort();
        }
        Ok(())
    }

    /// Key and text of each.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'a str, &str)> {
        let text = |cell: &'_ Cell<'a>| match cell {
            Cell::Text(text) => *text,
            Cell::Made(range) => &self.made[range.clone()],
        };
        self.pairs.iter().map(move |(key, cell)| (*key, text(cell)))
    }

    /// The text of an attribute that came as text and is not empty.
    pub(crate) fn str(&self, key: &str) -> Option<&'a str> {
        let at = self.pairs.binary_search_by(|(known, _)| (*known).cmp(key));
        match self.pairs[at.ok()?].1 {
            Cell::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    fn cell(
        &mut self,
        value: Raw<'a>,
        (signal, limits): (Signal, &Limits),
    ) -> Result<Option<Cell<'a>>, IngestError> {
        let start = self.made.len();
        match value {
            Raw::Str(text) => return Ok(Some(Cell::Text(start_of(text, limits.max_value_bytes)))),
            Raw::Bool(truth) => self.made.push_str(if truth { "true" } else { "false" }),
            Raw::Int(number) => self.make(number),
            Raw::Double(number) => self.make(number),
            Raw::Other(_) => match value.decode(signal)? {
                None => return Ok(None),
                Some(value) => match attribute(value, limits.max_value_bytes) {
                    AttrValue::Json(text) | AttrValue::Str(text) => self.made.push_str(&text),
                    other => self.made.push_str(&other.text()),
                },
            },
        }
        Ok(Some(Cell::Made(start..self.made.len())))
    }

    fn make(&mut self, number: impl std::fmt::Display) {
        write!(self.made, "{number}").expect("writing into a string cannot fail");
    }

    /// Of a key that is given twice the last one stays.
    fn sort(&mut self) {
        self.pairs.sort_by_key(|(key, _)| *key);
        self.pairs.dedup_by(|later, earlier| {
            let is_same = later.0 == earlier.0;
            if is_same {
                std::mem::swap(later, earlier);
            }
            is_same
        });
    }
}

/// Reads a `KeyValue`.
pub(crate) fn pair(bytes: &[u8]) -> Result<(&str, Option<Raw<'_>>), WireError> {
    let (mut key, mut value) = ("", None);
    let mut message = Wire::new(bytes);
    while let Some((field, part)) = message.next()? {
        match field {
            1 => key = text(1, part.bytes(1)?)?,
            2 => value = Raw::read(part.bytes(2)?)?,
            _ => {}
        }
    }
    Ok((key, value))
}

/// A field that is text.
pub(crate) fn text(field: u32, bytes: &[u8]) -> Result<&str, WireError> {
    std::str::from_utf8(bytes).map_err(|_| WireError::Utf8(field))
}

#[cfg(test)]
mod tests {
    use demarc_proto::otlp::common::v1::KeyValue;

    use super::*;

    fn field(key: &str, value: any_value::Value) -> Vec<u8> {
        let value = AnyValue { value: Some(value) };
        let pair = KeyValue {
            key: key.to_owned(),
            value: Some(value),
            ..KeyValue::default()
        };
        pair.encode_to_vec()
    }

    #[test]
    fn pairs_come_sorted_and_the_last_of_a_key_counts() {
        use any_value::Value::{BoolValue, DoubleValue, IntValue, StringValue};
        let fields = [
            field("b", IntValue(-7)),
            field("a", StringValue("first".to_owned())),
            field("c", BoolValue(true)),
            field("a", DoubleValue(1.5)),
            field("", IntValue(1)),
        ];
        let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
        let rules = (Signal::Traces, &Limits::default());
        let mut pairs = Pairs::default();
        pairs.read(&fields, rules).unwrap();
        let read: Vec<_> = pairs.iter().collect();
        assert_eq!(read, [("a", "1.5"), ("b", "-7"), ("c", "true")]);
        let typed = typed(&fields, rules).unwrap();
        let typed: Vec<_> = typed
            .iter()
            .map(|(key, value)| (key, value.text()))
            .collect();
        let texts: Vec<_> = typed
            .iter()
            .map(|(key, text)| (*key, text.as_ref()))
            .collect();
        assert_eq!(texts, read);
        assert_eq!(pairs.str("b"), None);
    }
}
