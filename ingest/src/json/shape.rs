//! The messages of OTLP: names in JSON, numbers in protobuf.
//!
//! Source: opentelemetry-proto, `opentelemetry/proto/*/v1/*.proto`.

use crate::Signal;

/// One kind of message.
#[derive(Debug)]
pub(super) struct Shape(&'static [Field]);

/// One field of a message.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) number: u32,
    pub(super) kind: Kind,
    pub(super) is_repeated: bool,
}

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Text,
    /// Bytes, hexadecimal in JSON.
    Hex,
    /// Bytes, base64 in JSON.
    Base64,
    Bool,
    Enum,
    Uint32,
    Uint64,
    Int64,
    Sint32,
    Fixed32,
    Fixed64,
    Sfixed64,
    Double,
    Message(&'static Shape),
}

impl Kind {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Hex => "hexadecimal digits, two to a byte",
            Self::Base64 => "base64",
            Self::Bool => "true or false",
            Self::Enum => "the number of an enum's value",
            Self::Uint32 | Self::Fixed32 => "an integer from 0 to 2^32 - 1",
            Self::Uint64 | Self::Fixed64 => "an integer from 0 to 2^64 - 1",
            Self::Int64 | Self::Sfixed64 => "an integer of 64 bits",
            Self::Sint32 => "an integer of 32 bits",
            Self::Double => "a number, \"NaN\", \"Infinity\" or \"-Infinity\"",
            Self::Message(_) => "an object",
        }
    }
}

impl Shape {
    pub(super) fn field(&self, name: &str) -> Option<&'static Field> {
        self.0.iter().find(|field| field.name == name)
    }
}

/// The request of a signal.
pub(super) fn of(signal: Signal) -> &'static Shape {
    match signal {
        Signal::Traces => &TRACES,
        Signal::Metrics | Signal::RemoteWrite => &METRICS,
        Signal::Logs => &LOGS,
    }
}

const fn one(number: u32, name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        number,
        kind,
        is_repeated: false,
    }
}

const fn many(number: u32, name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        number,
        kind,
        is_repeated: true,
    }
}

use Kind::{
    Base64, Bool, Double, Enum, Fixed32, Fixed64, Hex, Int64, Message, Sfixed64, Sint32, Text,
    Uint32, Uint64,
};

static ANY: Shape = Shape(&[
    one(1, "stringValue", Text),
    one(2, "boolValue", Bool),
    one(3, "intValue", Int64),
    one(4, "doubleValue", Double),
    one(5, "arrayValue", Message(&LIST)),
    one(6, "kvlistValue", Message(&PAIRS)),
    one(7, "bytesValue", Base64),
]);
static LIST: Shape = Shape(&[many(1, "values", Message(&ANY))]);
static PAIRS: Shape = Shape(&[many(1, "values", Message(&PAIR))]);
static PAIR: Shape = Shape(&[one(1, "key", Text), one(2, "value", Message(&ANY))]);
static SCOPE: Shape = Shape(&[
    one(1, "name", Text),
    one(2, "version", Text),
    many(3, "attributes", Message(&PAIR)),
    one(4, "droppedAttributesCount", Uint32),
]);
static ENTITY: Shape = Shape(&[
    one(1, "schemaUrl", Text),
    one(2, "type", Text),
    many(3, "idKeys", Text),
    many(4, "descriptionKeys", Text),
]);
static RESOURCE: Shape = Shape(&[
    many(1, "attributes", Message(&PAIR)),
    one(2, "droppedAttributesCount", Uint32),
    many(3, "entityRefs", Message(&ENTITY)),
]);

static TRACES: Shape = Shape(&[many(1, "resourceSpans", Message(&RESOURCE_SPANS))]);
static RESOURCE_SPANS: Shape = Shape(&[
    one(1, "resource", Message(&RESOURCE)),
    many(2, "scopeSpans", Message(&SCOPE_SPANS)),
    one(3, "schemaUrl", Text),
]);
static SCOPE_SPANS: Shape = Shape(&[
    one(1, "scope", Message(&SCOPE)),
    many(2, "spans", Message(&SPAN)),
    one(3, "schemaUrl", Text),
]);
static SPAN: Shape = Shape(&[
    one(1, "traceId", Hex),
    one(2, "spanId", Hex),
    one(3, "traceState", Text),
    one(4, "parentSpanId", Hex),
    one(5, "name", Text),
    one(6, "kind", Enum),
    one(7, "startTimeUnixNano", Fixed64),
    one(8, "endTimeUnixNano", Fixed64),
    many(9, "attributes", Message(&PAIR)),
    one(10, "droppedAttributesCount", Uint32),
    many(11, "events", Message(&EVENT)),
    one(12, "droppedEventsCount", Uint32),
    many(13, "links", Message(&LINK)),
    one(14, "droppedLinksCount", Uint32),
    one(15, "status", Message(&STATUS)),
    one(16, "flags", Fixed32),
]);
static EVENT: Shape = Shape(&[
    one(1, "timeUnixNano", Fixed64),
    one(2, "name", Text),
    many(3, "attributes", Message(&PAIR)),
    one(4, "droppedAttributesCount", Uint32),
]);
static LINK: Shape = Shape(&[
    one(1, "traceId", Hex),
    one(2, "spanId", Hex),
    one(3, "traceState", Text),
    many(4, "attributes", Message(&PAIR)),
    one(5, "droppedAttributesCount", Uint32),
    one(6, "flags", Fixed32),
]);
static STATUS: Shape = Shape(&[one(2, "message", Text), one(3, "code", Enum)]);

static METRICS: Shape = Shape(&[many(1, "resourceMetrics", Message(&RESOURCE_METRICS))]);
static RESOURCE_METRICS: Shape = Shape(&[
    one(1, "resource", Message(&RESOURCE)),
    many(2, "scopeMetrics", Message(&SCOPE_METRICS)),
    one(3, "schemaUrl", Text),
]);
static SCOPE_METRICS: Shape = Shape(&[
    one(1, "scope", Message(&SCOPE)),
    many(2, "metrics", Message(&METRIC)),
    one(3, "schemaUrl", Text),
]);
static METRIC: Shape = Shape(&[
    one(1, "name", Text),
    one(2, "description", Text),
    one(3, "unit", Text),
    one(5, "gauge", Message(&GAUGE)),
    one(7, "sum", Message(&SUM)),
    one(9, "histogram", Message(&HISTOGRAM)),
    one(10, "exponentialHistogram", Message(&EXPONENTIAL)),
    one(11, "summary", Message(&SUMMARY)),
    many(12, "metadata", Message(&PAIR)),
]);
static GAUGE: Shape = Shape(&[many(1, "dataPoints", Message(&NUMBER))]);
static SUM: Shape = Shape(&[
    many(1, "dataPoints", Message(&NUMBER)),
    one(2, "aggregationTemporality", Enum),
    one(3, "isMonotonic", Bool),
]);
static HISTOGRAM: Shape = Shape(&[
    many(1, "dataPoints", Message(&HISTOGRAM_POINT)),
    one(2, "aggregationTemporality", Enum),
]);
static EXPONENTIAL: Shape = Shape(&[
    many(1, "dataPoints", Message(&EXPONENTIAL_POINT)),
    one(2, "aggregationTemporality", Enum),
]);
static SUMMARY: Shape = Shape(&[many(1, "dataPoints", Message(&SUMMARY_POINT))]);
static NUMBER: Shape = Shape(&[
    one(2, "startTimeUnixNano", Fixed64),
    one(3, "timeUnixNano", Fixed64),
    one(4, "asDouble", Double),
    many(5, "exemplars", Message(&EXEMPLAR)),
    one(6, "asInt", Sfixed64),
    many(7, "attributes", Message(&PAIR)),
    one(8, "flags", Uint32),
]);
static HISTOGRAM_POINT: Shape = Shape(&[
    one(2, "startTimeUnixNano", Fixed64),
    one(3, "timeUnixNano", Fixed64),
    one(4, "count", Fixed64),
    one(5, "sum", Double),
    many(6, "bucketCounts", Fixed64),
    many(7, "explicitBounds", Double),
    many(8, "exemplars", Message(&EXEMPLAR)),
    many(9, "attributes", Message(&PAIR)),
    one(10, "flags", Uint32),
    one(11, "min", Double),
    one(12, "max", Double),
]);
static EXPONENTIAL_POINT: Shape = Shape(&[
    many(1, "attributes", Message(&PAIR)),
    one(2, "startTimeUnixNano", Fixed64),
    one(3, "timeUnixNano", Fixed64),
    one(4, "count", Fixed64),
    one(5, "sum", Double),
    one(6, "scale", Sint32),
    one(7, "zeroCount", Fixed64),
    one(8, "positive", Message(&BUCKETS)),
    one(9, "negative", Message(&BUCKETS)),
    one(10, "flags", Uint32),
    many(11, "exemplars", Message(&EXEMPLAR)),
    one(12, "min", Double),
    one(13, "max", Double),
    one(14, "zeroThreshold", Double),
]);
static BUCKETS: Shape = Shape(&[one(1, "offset", Sint32), many(2, "bucketCounts", Uint64)]);
static SUMMARY_POINT: Shape = Shape(&[
    one(2, "startTimeUnixNano", Fixed64),
    one(3, "timeUnixNano", Fixed64),
    one(4, "count", Fixed64),
    one(5, "sum", Double),
    many(6, "quantileValues", Message(&QUANTILE)),
    many(7, "attributes", Message(&PAIR)),
    one(8, "flags", Uint32),
]);
static QUANTILE: Shape = Shape(&[one(1, "quantile", Double), one(2, "value", Double)]);
static EXEMPLAR: Shape = Shape(&[
    one(2, "timeUnixNano", Fixed64),
    one(3, "asDouble", Double),
    one(4, "spanId", Hex),
    one(5, "traceId", Hex),
    one(6, "asInt", Sfixed64),
    many(7, "filteredAttributes", Message(&PAIR)),
]);

static LOGS: Shape = Shape(&[many(1, "resourceLogs", Message(&RESOURCE_LOGS))]);
static RESOURCE_LOGS: Shape = Shape(&[
    one(1, "resource", Message(&RESOURCE)),
    many(2, "scopeLogs", Message(&SCOPE_LOGS)),
    one(3, "schemaUrl", Text),
]);
static SCOPE_LOGS: Shape = Shape(&[
    one(1, "scope", Message(&SCOPE)),
    many(2, "logRecords", Message(&RECORD)),
    one(3, "schemaUrl", Text),
]);
static RECORD: Shape = Shape(&[
    one(1, "timeUnixNano", Fixed64),
    one(2, "severityNumber", Enum),
    one(3, "severityText", Text),
    one(5, "body", Message(&ANY)),
    many(6, "attributes", Message(&PAIR)),
    one(7, "droppedAttributesCount", Uint32),
    one(8, "flags", Fixed32),
    one(9, "traceId", Hex),
    one(10, "spanId", Hex),
    one(11, "observedTimeUnixNano", Fixed64),
    one(12, "eventName", Text),
]);
