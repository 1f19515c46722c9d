//! Events and links of a span as JSON text, the form in which one column holds them.
//!
//! Events: `[{"time": nanoseconds, "name": text, "attributes": {...}}, ...]`; links: `[{"trace_id": hex, "span_id": hex,
//! "attributes": {...}}, ...]`. Attributes keep their types; numbers that JSON cannot write become text.

use std::borrow::Cow;

use demarc_proto::{AttrValue, Attributes, Nanos, SpanId, TraceId};
use serde_json::{Map, Value, json};

use super::{SpanEvent, SpanLink};

pub(super) fn events(events: &[SpanEvent]) -> Cow<'static, str> {
    if events.is_empty() {
        return Cow::Borrowed("[]");
    }
    let list = events.iter().map(|event| {
        json!({
            "time": event.time.0,
            "name": event.name,
            "attributes": object(&event.attributes),
        })
    });
    Cow::Owned(Value::Array(list.collect()).to_string())
}

pub(super) fn links(links: &[SpanLink]) -> Cow<'static, str> {
    if links.is_empty() {
        return Cow::Borrowed("[]");
    }
    let list = links.iter().map(|link| {
        json!({
            "trace_id": link.trace_id.to_hex(),
            "span_id": link.span_id.to_hex(),
            "attributes": object(&link.attributes),
        })
    });
    Cow::Owned(Value::Array(list.collect()).to_string())
}

/// The events in `text`; `None` when it is not what [`events`] writes.
pub(super) fn parse_events(text: &str) -> Option<Vec<SpanEvent>> {
    let event = |value: &Value| {
        Some(SpanEvent {
            time: Nanos(value["time"].as_i64()?),
            name: value["name"].as_str()?.to_owned(),
            attributes: parse_object(&value["attributes"])?,
        })
    };
    parse_list(text, event)
}

/// The links in `text`; `None` when it is not what [`links`] writes.
pub(super) fn parse_links(text: &str) -> Option<Vec<SpanLink>> {
    let link = |value: &Value| {
        Some(SpanLink {
            trace_id: TraceId::from_hex(value["trace_id"].as_str()?).ok()?,
            span_id: SpanId::from_hex(value["span_id"].as_str()?).ok()?,
            attributes: parse_object(&value["attributes"])?,
        })
    };
    parse_list(text, link)
}

fn parse_list<T>(text: &str, parse: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    if text == "[]" {
        return Some(Vec::new());
    }
    let list: Vec<Value> = serde_json::from_str(text).ok()?;
    list.iter().map(parse).collect()
}

fn object(attributes: &Attributes) -> Value {
    let pairs = attributes
        .iter()
        .map(|(key, value)| (key.to_owned(), to_json(value)));
    Value::Object(pairs.collect())
}

fn to_json(value: &AttrValue) -> Value {
    match value {
        AttrValue::Str(text) => Value::from(text.as_str()),
        AttrValue::Int(number) => Value::from(*number),
        AttrValue::Double(number) if number.is_finite() => Value::from(*number),
        AttrValue::Double(number) => Value::from(number.to_string()),
        AttrValue::Bool(truth) => Value::from(*truth),
        AttrValue::Json(text) => {
            serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.as_str()))
        }
    }
}

fn parse_object(value: &Value) -> Option<Attributes> {
    let object: &Map<String, Value> = value.as_object()?;
    Some(
        object
            .iter()
            .map(|(key, value)| (key.as_str(), from_json(value)))
            .collect(),
    )
}

fn from_json(value: &Value) -> AttrValue {
    match value {
        Value::String(text) => AttrValue::Str(text.clone()),
        Value::Bool(truth) => AttrValue::Bool(*truth),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => AttrValue::Int(whole),
            None => AttrValue::Double(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::Null | Value::Array(_) | Value::Object(_) => AttrValue::Json(value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_keep_the_types_of_their_attributes() {
        let written = vec![SpanEvent {
            time: Nanos(5),
            name: "exception".to_owned(),
            attributes: Attributes::from_iter([
                ("bool", AttrValue::Bool(true)),
                ("double", AttrValue::Double(1.5)),
                ("int", AttrValue::Int(-3)),
                ("json", AttrValue::Json("[1,2]".to_owned())),
                ("str", AttrValue::from("税 \"quoted\"")),
            ]),
        }];
        assert_eq!(parse_events(&events(&written)), Some(written));
    }

    #[test]
    fn text_that_is_no_list_of_events_is_refused() {
        for bad in ["", "{}", "[1]", r#"[{"time":"x"}]"#] {
            assert_eq!(parse_events(bad), None, "{bad}");
        }
    }
}
