//! OTLP attribute values to [`Attributes`], and to pairs of text.

mod pairs;

use demarc_proto::{
    AttrValue, Attributes,
    otlp::common::v1::{AnyValue, KeyValue, any_value::Value},
};
use serde_json::Value as Json;

pub(crate) use pairs::{Bad, Pairs, Raw, pair, text as utf8, typed};

use crate::{Limits, receipt::Refusal};

/// Nesting beyond this is cut to `null`; the decoder itself stops at 100.
const MAX_DEPTH: usize = 16;

/// Takes over `pairs`: long texts are cut at a character; too many attributes or a long key refuse the row.
pub(crate) fn attributes(pairs: Vec<KeyValue>, limits: &Limits) -> Result<Attributes, Refusal> {
    check_count(pairs.len(), limits)?;
    let mut attributes = Attributes::default();
    for pair in pairs {
        if pair.key.is_empty() {
            continue;
        }
        check_key(&pair.key, limits)?;
        if let Some(value) = pair.value.and_then(|value| value.value) {
            attributes.set(pair.key, attribute(value, limits.max_value_bytes));
        }
    }
    Ok(attributes)
}

fn check_count(count: usize, limits: &Limits) -> Result<(), Refusal> {
    if count <= limits.max_attributes {
        return Ok(());
    }
    let sentence = format!(
        "attributes: {count} of them; at most {} are accepted (max_attributes)",
        limits.max_attributes
    );
    Err(Refusal::new("too_many_attributes", sentence))
}

fn check_key(key: &str, limits: &Limits) -> Result<(), Refusal> {
    if key.len() <= limits.max_name_bytes {
        return Ok(());
    }
    let sentence = format!(
        "attribute key {:?}: {} bytes, at most {} (max_name_bytes)",
        start_of(key, 120),
        key.len(),
        limits.max_name_bytes
    );
    Err(Refusal::new("name_too_long", sentence))
}

fn attribute(value: Value, max_bytes: usize) -> AttrValue {
    match value {
        Value::StringValue(text) => AttrValue::Str(cut(text, max_bytes)),
        Value::BoolValue(truth) => AttrValue::Bool(truth),
        Value::IntValue(number) => AttrValue::Int(number),
        Value::DoubleValue(number) => AttrValue::Double(number),
        other => AttrValue::Json(cut(json(other, 0).to_string(), max_bytes)),
    }
}

/// Any value as plain text: what a log body holds.
pub(crate) fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        None => String::new(),
        Some(Value::StringValue(text)) => text,
        Some(other) => match json(other, 0) {
            Json::String(text) => text,
            json => json.to_string(),
        },
    }
}

/// At most `max_bytes` of `text`, whole characters.
pub(crate) fn cut(mut text: String, max_bytes: usize) -> String {
    let end = start_of(&text, max_bytes).len();
    text.truncate(end);
    text
}

/// At most `max_bytes` of `text`, whole characters.
pub(crate) fn start_of(text: &str, max_bytes: usize) -> &str {
    let mut end = text.len().min(max_bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn json(value: Value, depth: usize) -> Json {
    if depth > MAX_DEPTH {
        return Json::Null;
    }
    let inner = |value: Option<AnyValue>| {
        value
            .and_then(|value| value.value)
            .map_or(Json::Null, |value| json(value, depth + 1))
    };
    match value {
        Value::StringValue(text) => Json::String(text),
        Value::BoolValue(truth) => Json::Bool(truth),
        Value::IntValue(number) => Json::from(number),
        Value::DoubleValue(number) => {
            serde_json::Number::from_f64(number).map_or(Json::Null, Json::Number)
        }
        Value::ArrayValue(array) => Json::Array(
            array
                .values
                .into_iter()
                .map(|value| inner(Some(value)))
                .collect(),
        ),
        Value::KvlistValue(list) => Json::Object(
            list.values
                .into_iter()
                .map(|kv| (kv.key, inner(kv.value)))
                .collect(),
        ),
        Value::BytesValue(bytes) => Json::String(const_hex::encode(bytes)),
        // An index into a table that only profiles carry.
        Value::StringValueStrindex(_) => Json::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        assert_eq!(cut("定界".to_owned(), 4), "定");
    }
}
