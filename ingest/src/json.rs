//! OTLP/JSON to OTLP in protobuf.
//!
//! Source: OpenTelemetry Protocol specification, "JSON Protobuf Encoding"; Protocol Buffers, "ProtoJSON Format". Ids are
//! hexadecimal; enums are numbers only; 64-bit numbers may be texts; doubles may be the texts `NaN`, `Infinity` and
//! `-Infinity`; unknown names are left aside; `null` is the same as nothing.

mod scalar;
mod shape;

use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::Signal;
use scalar::Scalar;
use shape::{Field, Kind, Shape};

/// Writes a request in protobuf.
pub(crate) fn to_protobuf(signal: Signal, body: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let mut out = Vec::with_capacity(body.len() / 2);
    let mut json = serde_json::Deserializer::from_slice(body);
    let shape = shape::of(signal);
    Message {
        shape,
        out: &mut out,
    }
    .deserialize(&mut json)?;
    json.end()?;
    Ok(out)
}

/// Reads an object and appends its fields.
struct Message<'o> {
    shape: &'static Shape,
    out: &'o mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Message<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Message<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            match self.shape.field(&name) {
                Some(field) if field.is_repeated => {
                    map.next_value_seed(List {
                        field,
                        out: self.out,
                    })?;
                }
                Some(field) => map.next_value_seed(One {
                    field,
                    out: self.out,
                })?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// Reads one value of a field.
struct One<'o> {
    field: &'static Field,
    out: &'o mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for One<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        match self.field.kind {
            Kind::Message(shape) => {
                let mut inner = Vec::new();
                let message = Message {
                    shape,
                    out: &mut inner,
                };
                // Where `null` stands for an object there is none.
                if json.deserialize_any(Nullable(message))? {
                    scalar::bytes(self.field.number, &inner, self.out);
                }
                Ok(())
            }
            kind => json.deserialize_any(Scalar {
                name: self.field.name,
                number: self.field.number,
                kind,
                out: self.out,
            }),
        }
    }
}

/// Says whether there was an object.
struct Nullable<'o>(Message<'o>);

impl<'de> Visitor<'de> for Nullable<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<bool, A::Error> {
        self.0.visit_map(map).map(|()| true)
    }
}

/// Reads an array, each element as a field of its own, which every reader of protobuf takes for the packed form.
struct List<'o> {
    field: &'static Field,
    out: &'o mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an array for {}", self.field.name)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let field = self.field;
        while elements
            .next_element_seed(One {
                field,
                out: self.out,
            })?
            .is_some()
        {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use demarc_proto::otlp::{
        collector::{
            metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest,
        },
        common::v1::any_value::Value,
        metrics::v1::{metric::Data, number_data_point},
    };
    use prost::Message as _;

    use super::*;

    #[test]
    fn numbers_may_be_texts_and_ids_are_hexadecimal() {
        let body = br#"{"resourceSpans":[{"resource":null,"scopeSpans":[{"spans":[{
            "traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"eee19b7ec3c1b174","name":"GET","kind":2,
            "startTimeUnixNano":"1544712660000000000","endTimeUnixNano":1544712661000000000,"new":{"a":[1,{}]},
            "attributes":[{"key":"n","value":{"intValue":"-7"}},{"key":"d","value":{"doubleValue":"NaN"}},
                          {"key":"b","value":{"bytesValue":"AQI="}},{"key":"e","value":{"stringValue":""}},
                          {"key":"l","value":{"arrayValue":{"values":[{"boolValue":true},{}]}}}]}]}]}]}"#;
        let bytes = to_protobuf(Signal::Traces, body).unwrap();
        let request = ExportTraceServiceRequest::decode(bytes.as_slice()).unwrap();
        let span = &request.resource_spans[0].scope_spans[0].spans[0];
        assert_eq!(
            const_hex::encode(&span.trace_id),
            "5b8efff798038103d269b633813fc60c"
        );
        assert_eq!(
            span.end_time_unix_nano - span.start_time_unix_nano,
            1_000_000_000
        );
        let values: Vec<_> = span
            .attributes
            .iter()
            .map(|pair| pair.value.clone().unwrap().value.unwrap())
            .collect();
        assert_eq!(values[0], Value::IntValue(-7));
        assert!(matches!(values[1], Value::DoubleValue(number) if number.is_nan()));
        assert_eq!(values[2], Value::BytesValue(vec![1, 2]));
        assert_eq!(values[3], Value::StringValue(String::new()));
        assert!(matches!(&values[4], Value::ArrayValue(list) if list.values.len() == 2));
    }

    #[test]
    fn values_of_points_may_be_any_number() {
        let body = br#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","gauge":{"dataPoints":[
            {"asDouble":"Infinity"},{"asInt":"9223372036854775807"},{"asDouble":0}]}},
            {"name":"h","exponentialHistogram":{"dataPoints":[{"scale":-3,"count":"4","sum":0,
             "positive":{"offset":-2,"bucketCounts":["1",3]}}]}}]}]}]}"#;
        let bytes = to_protobuf(Signal::Metrics, body).unwrap();
        let request = ExportMetricsServiceRequest::decode(bytes.as_slice()).unwrap();
        let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
        let Some(Data::Gauge(gauge)) = &metrics[0].data else {
            panic!("{metrics:?}");
        };
        let values: Vec<_> = gauge
            .data_points
            .iter()
            .map(|point| point.value.unwrap())
            .collect();
        assert_eq!(values[0], number_data_point::Value::AsDouble(f64::INFINITY));
        assert_eq!(values[1], number_data_point::Value::AsInt(i64::MAX));
        assert_eq!(values[2], number_data_point::Value::AsDouble(0.0));
        let Some(Data::ExponentialHistogram(histogram)) = &metrics[1].data else {
            panic!("{metrics:?}");
        };
        let point = &histogram.data_points[0];
        let positive = point.positive.as_ref().unwrap();
        assert_eq!((point.scale, point.count, point.sum), (-3, 4, Some(0.0)));
        assert_eq!(
            (positive.offset, positive.bucket_counts.as_slice()),
            (-2, &[1, 3][..])
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            (r#"{"resourceSpans":7}"#, "resourceSpans"),
            (
                r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"xyz"}]}]}]}"#,
                "traceId",
            ),
            (
                r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"kind":"SPAN_KIND_CLIENT"}]}]}]}"#,
                "kind",
            ),
            (
                r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":-1}]}]}]}"#,
                "startTimeUnixNano",
            ),
            (r#"{"resourceSpans":[]} x"#, "trailing"),
            ("[]", "object"),
        ];
        for (body, expected) in cases {
            let error = to_protobuf(Signal::Traces, body.as_bytes())
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "{body}: {error}");
        }
    }
}
