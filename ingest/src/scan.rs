//! Looks through an OTLP message before it is decoded: how much memory it will take, and which texts are no UTF-8.
//!
//! Decoded, an empty span of two bytes takes more than three hundred, so that a small body could take all memory; and the
//! decoder refuses a whole request for one bad byte in one attribute. Both are found here, without allocating.

use std::ops::Range;

use crate::{
    Signal, WireError,
    wire::{Value, Wire},
};

/// The shape of one kind of message.
#[derive(Debug)]
struct Shape {
    /// Bytes that one takes in memory once it is decoded, its place in a growing list counted twice.
    weight: usize,
    fields: &'static [(u32, Part)],
}

#[derive(Clone, Copy, Debug)]
enum Part {
    Text,
    Message(&'static Shape),
    /// A list of numbers of variable length, eight bytes each in memory.
    Numbers,
    /// A list of numbers of eight bytes.
    Fixed,
}

use Part::{Fixed, Message, Numbers, Text};

static ANY: Shape = Shape {
    weight: 0,
    fields: &[(1, Text), (5, Message(&LIST)), (6, Message(&PAIRS))],
};
static LIST: Shape = Shape {
    weight: 24,
    fields: &[(1, Message(&ELEMENT))],
};
static ELEMENT: Shape = Shape {
    weight: 64,
    fields: ANY.fields,
};
static PAIRS: Shape = Shape {
    weight: 24,
    fields: &[(1, Message(&PAIR))],
};
static PAIR: Shape = Shape {
    weight: 144,
    fields: &[(1, Text), (2, Message(&ANY))],
};
static SCOPE: Shape = Shape {
    weight: 128,
    fields: &[(1, Text), (2, Text), (3, Message(&PAIR))],
};
static ENTITY: Shape = Shape {
    weight: 256,
    fields: &[(1, Text), (2, Text), (3, Message(&KEY)), (4, Message(&KEY))],
};
/// A text in a list; looked into, it would be no message.
static KEY: Shape = Shape {
    weight: 48,
    fields: &[],
};
static RESOURCE: Shape = Shape {
    weight: 0,
    fields: &[(1, Message(&PAIR)), (3, Message(&ENTITY))],
};

static TRACES: Shape = Shape {
    weight: 0,
    fields: &[(1, Message(&RESOURCE_SPANS))],
};
static RESOURCE_SPANS: Shape = Shape {
    weight: 320,
    fields: &[
        (1, Message(&RESOURCE)),
        (2, Message(&SCOPE_SPANS)),
        (3, Text),
    ],
};
static SCOPE_SPANS: Shape = Shape {
    weight: 320,
    fields: &[(1, Message(&SCOPE)), (2, Message(&SPAN)), (3, Text)],
};
static SPAN: Shape = Shape {
    weight: 800,
    fields: &[
        (3, Text),
        (5, Text),
        (9, Message(&PAIR)),
        (11, Message(&EVENT)),
        (13, Message(&LINK)),
        (15, Message(&STATUS)),
    ],
};
static EVENT: Shape = Shape {
    weight: 144,
    fields: &[(2, Text), (3, Message(&PAIR))],
};
static LINK: Shape = Shape {
    weight: 240,
    fields: &[(3, Text), (4, Message(&PAIR))],
};
static STATUS: Shape = Shape {
    weight: 0,
    fields: &[(2, Text)],
};

static METRICS: Shape = Shape {
    weight: 0,
    fields: &[(1, Message(&RESOURCE_METRICS))],
};
static RESOURCE_METRICS: Shape = Shape {
    weight: 320,
    fields: &[
        (1, Message(&RESOURCE)),
        (2, Message(&SCOPE_METRICS)),
        (3, Text),
    ],
};
static SCOPE_METRICS: Shape = Shape {
    weight: 320,
    fields: &[(1, Message(&SCOPE)), (2, Message(&METRIC)), (3, Text)],
};
static METRIC: Shape = Shape {
    weight: 320,
    fields: &[
        (1, Text),
        (2, Text),
        (3, Text),
        (5, Message(&NUMBERS)),
        (7, Message(&NUMBERS)),
        (9, Message(&HISTOGRAMS)),
        (10, Message(&EXPONENTIALS)),
        (11, Message(&SUMMARIES)),
        (12, Message(&PAIR)),
    ],
};
static NUMBERS: Shape = Shape {
    weight: 0,
    fields: &[(1, Message(&NUMBER))],
};
static NUMBER: Shape = Shape {
    weight: 256,
    fields: &[(5, Message(&EXEMPLAR)), (7, Message(&PAIR))],
};
static HISTOGRAMS: Shape = Shape {
    weight: 0,
    fields: &[(1, Message(&HISTOGRAM))],
};
static HISTOGRAM: Shape = Shape {
    weight: 400,
    fields: &[
        (6, Fixed),
        (7, Fixed),
        (8, Message(&EXEMPLAR)),
        (9, Message(&PAIR)),
    ],
};
static EXPONENTIALS: Shape = Shape {
    weight: 0,
    fields: &[(1, Message(&EXPONENTIAL))],
};
static EXPONENTIAL: Shape = Shape {
    weight: 520,
    fields: &[
        (1, Message(&PAIR)),
        (8, Message(&BUCKETS)),
        (9, Message(&BUCKETS)),
        (11, Message(&EXEMPLAR)),
    ],
};
static BUCKETS: Shape = Shape {
    weight: 0,
    fields: &[(2, Numbers)],
};
static SUMMARIES: Shape = Shape {
    weight: 0,
    fields: &[(1, Message(&SUMMARY))],
};
static SUMMARY: Shape = Shape {
    weight: 240,
    fields: &[(6, Message(&QUANTILE)), (7, Message(&PAIR))],
};
static QUANTILE: Shape = Shape {
    weight: 32,
    fields: &[],
};
static EXEMPLAR: Shape = Shape {
    weight: 240,
    fields: &[(7, Message(&PAIR))],
};

static LOGS: Shape = Shape {
    weight: 0,
    fields: &[(1, Message(&RESOURCE_LOGS))],
};
static RESOURCE_LOGS: Shape = Shape {
    weight: 320,
    fields: &[
        (1, Message(&RESOURCE)),
        (2, Message(&SCOPE_LOGS)),
        (3, Text),
    ],
};
static SCOPE_LOGS: Shape = Shape {
    weight: 320,
    fields: &[(1, Message(&SCOPE)), (2, Message(&RECORD)), (3, Text)],
};
static RECORD: Shape = Shape {
    weight: 560,
    fields: &[
        (3, Text),
        (5, Message(&ANY)),
        (6, Message(&PAIR)),
        (12, Text),
    ],
};

/// The decoder goes no deeper.
const MAX_DEPTH: usize = 100;

/// What a message will take, and what is wrong with its texts.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Bytes of memory, about.
    pub(crate) memory_bytes: usize,
    /// Where texts stand that are not UTF-8.
    bad_texts: Vec<Range<usize>>,
    /// Bytes of the resource that is looked at, and how many rows it has: each row repeats it once it is stored.
    resource_bytes: usize,
    resource_rows: usize,
    /// The same of the scope.
    scope_bytes: usize,
    scope_rows: usize,
}

/// Most texts that are repaired in one request; with more, it is refused.
const MAX_BAD_TEXTS: usize = 10_000;

impl Scan {
    /// Looks through a request in protobuf.
    pub(crate) fn protobuf(signal: Signal, body: &[u8]) -> Result<Self, WireError> {
        let shape = match signal {
            Signal::Traces => &TRACES,
            Signal::Metrics => &METRICS,
            _ => &LOGS,
        };
        let mut scan = Self {
            memory_bytes: body.len(),
            ..Self::default()
        };
        scan.message(shape, body, 0, 0)?;
        Ok(scan)
    }

    /// How many texts are not UTF-8.
    pub(crate) fn bad_texts(&self) -> usize {
        self.bad_texts.len()
    }

    /// Puts a question mark in the place of each byte that is not UTF-8.
    pub(crate) fn repair(&self, body: &mut [u8]) {
        for place in &self.bad_texts {
            let mut text = &mut body[place.clone()];
            while let Err(error) = std::str::from_utf8(text) {
                let from = error.valid_up_to();
                let to = error.error_len().map_or(text.len(), |bad| from + bad);
                text[from..to].fill(b'?');
                text = &mut text[to..];
            }
        }
    }

    fn message(
        &mut self,
        shape: &'static Shape,
        bytes: &[u8],
        base: usize,
        depth: usize,
    ) -> Result<(), WireError> {
        if depth > MAX_DEPTH {
            return Ok(());
        }
        let mut message = Wire::new(bytes);
        while let Some((field, value)) = message.next()? {
            let Some((_, part)) = shape.fields.iter().find(|(number, _)| *number == field) else {
                continue;
            };
            let Value::Bytes(inner) = value else {
                // One number of a list that is not packed.
                self.memory_bytes += 16;
                continue;
            };
            let start = base + bytes.len() - message.remaining() - inner.len();
            match part {
                Text if inner.is_ascii() || std::str::from_utf8(inner).is_ok() => {}
                Text if self.bad_texts.len() >= MAX_BAD_TEXTS => {
                    return Err(WireError::Utf8(field));
                }
                Text => self.bad_texts.push(start..start + inner.len()),
                Numbers => self.memory_bytes += 8 * inner.len(),
                Fixed => self.memory_bytes += inner.len(),
                Message(shape) => {
                    self.memory_bytes += shape.weight;
                    self.weigh_rows(shape, inner.len());
                    self.message(shape, inner, start, depth + 1)?;
                }
            }
        }
        Ok(())
    }

    /// Counts what rows repeat of their resource and scope, whether these stand before or behind them.
    fn weigh_rows(&mut self, shape: &'static Shape, bytes: usize) {
        let is = |other: &'static Shape| std::ptr::eq(shape, other);
        if is(&RESOURCE) {
            self.resource_bytes = self.resource_bytes.max(bytes);
            self.memory_bytes += self.resource_rows * bytes;
            self.resource_rows = 0;
        } else if is(&SCOPE) {
            self.scope_bytes = self.scope_bytes.max(bytes);
            self.memory_bytes += self.scope_rows * bytes;
            self.scope_rows = 0;
        } else if is(&SPAN) || is(&RECORD) {
            self.resource_rows += 1;
            self.scope_rows += 1;
            self.memory_bytes += self.resource_bytes + self.scope_bytes;
        } else if is(&SCOPE_SPANS) || is(&SCOPE_LOGS) {
            (self.scope_bytes, self.scope_rows) = (0, 0);
        } else if is(&RESOURCE_SPANS) || is(&RESOURCE_LOGS) {
            (self.resource_bytes, self.resource_rows) = (0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use demarc_proto::otlp::{
        collector::logs::v1::ExportLogsServiceRequest,
        common::v1::{AnyValue, any_value},
        logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    };
    use prost::Message as _;

    use super::*;

    fn logs(bodies: &[&str]) -> Vec<u8> {
        let record = |body: &&str| LogRecord {
            body: Some(AnyValue {
                value: Some(any_value::Value::StringValue((*body).to_owned())),
            }),
            ..LogRecord::default()
        };
        let scope = ScopeLogs {
            log_records: bodies.iter().map(record).collect(),
            ..ScopeLogs::default()
        };
        let resource = ResourceLogs {
            scope_logs: vec![scope],
            ..ResourceLogs::default()
        };
        ExportLogsServiceRequest {
            resource_logs: vec![resource],
        }
        .encode_to_vec()
    }

    #[test]
    fn a_bad_byte_is_replaced_and_its_neighbours_stay() {
        let mut body = logs(&["one", "t@o", "定"]);
        let at = body.iter().position(|byte| *byte == b'@').unwrap();
        body[at] = 0xff;
        assert!(ExportLogsServiceRequest::decode(body.as_slice()).is_err());
        let scan = Scan::protobuf(Signal::Logs, &body).unwrap();
        assert_eq!(scan.bad_texts(), 1);
        scan.repair(&mut body);
        assert_eq!(body, logs(&["one", "t?o", "定"]));
    }

    #[test]
    fn many_empty_spans_are_seen_to_take_much_memory() {
        let scope = [0x12, 0].repeat(1000);
        let mut body = vec![0x12, 0xd0, 0x0f];
        body.extend(scope);
        let mut request = vec![0x0a, 0xd3, 0x0f];
        request.extend(body);
        let scan = Scan::protobuf(Signal::Traces, &request).unwrap();
        assert!(scan.memory_bytes > 300_000, "{}", scan.memory_bytes);
    }
}
