//! OTLP spans, from the bytes of a request straight to columns.

use demarc_proto::{Nanos, SpanId, TraceId};
use demarc_store::{
    NewSpan, SharedAttributes, SpanColumns, SpanEvent, SpanKind, SpanLink, SpanStatus, Spans,
};

use crate::{
    IngestError, Signal, WireError,
    attribute::{Bad, Pairs, start_of, typed, utf8},
    envelope::{Sender, groups, messages},
    receipt::{Refusal, Tally},
    resource::service_name,
    rules::Rules,
    wire::Wire,
};

/// Bytes of a request for which room for one span is made.
const BYTES_PER_SPAN: usize = 256;

/// The spans of a request.
pub(crate) struct Traces {
    pub(crate) spans: Option<Spans>,
    /// The resources that have spans, each with the place of its first one.
    pub(crate) resources: Vec<(usize, Sender)>,
    pub(crate) tally: Tally,
}

/// Reads an `ExportTraceServiceRequest`.
pub(crate) fn read(body: &[u8], rules: &Rules) -> Result<Traces, IngestError> {
    let mut tally = Tally::default();
    let mut resources = Vec::new();
    let mut reader = Reader {
        rules,
        columns: SpanColumns::with_capacity(body.len() / BYTES_PER_SPAN),
        attributes: Pairs::default(),
        span: RawSpan::default(),
    };
    for group in groups(body) {
        let group = group?;
        let Sender { resource, entities } = match group.sender(Signal::Traces, &rules.limits)? {
            Ok(sender) => sender,
            Err(refusal) => {
                tally.refuse_all(refusal, group.count()?);
                continue;
            }
        };
        let first = reader.columns.len();
        let shared = SharedAttributes::from(resource.as_ref());
        for scope in group.scopes(&rules.limits) {
            let scope = scope?;
            let place = Place {
                service: service_name(&resource),
                scope: scope.name,
                resource: &shared,
            };
            for span in scope.items() {
                match reader.span(span?, &place) {
                    Ok(()) => {}
                    Err(Bad::Row(refusal)) => tally.refuse(refusal),
                    Err(Bad::Request(error)) => return Err(error),
                }
            }
        }
        if reader.columns.len() > first {
            resources.push((first, Sender { resource, entities }));
        }
    }
    tally.accept(reader.columns.len() as u64);
    Ok(Traces {
        spans: reader.columns.finish()?,
        resources,
        tally,
    })
}

/// Where a span comes from.
struct Place<'p> {
    service: &'p str,
    scope: &'p str,
    resource: &'p SharedAttributes,
}

struct Reader<'a> {
    rules: &'a Rules,
    columns: SpanColumns,
    attributes: Pairs<'a>,
    span: RawSpan<'a>,
}

/// A span as it stands on the wire. Used again for the next one.
#[derive(Debug, Default)]
struct RawSpan<'a> {
    trace_id: &'a [u8],
    span_id: &'a [u8],
    parent_span_id: &'a [u8],
    trace_state: &'a str,
    name: &'a str,
    kind: u64,
    start: u64,
    end: u64,
    status: u64,
    status_message: &'a str,
    attributes: Vec<&'a [u8]>,
    events: Vec<&'a [u8]>,
    links: Vec<&'a [u8]>,
}

impl<'a> RawSpan<'a> {
    fn read(&mut self, bytes: &'a [u8]) -> Result<(), WireError> {
        let [mut attributes, mut events, mut links] =
            [&mut self.attributes, &mut self.events, &mut self.links].map(std::mem::take);
        for list in [&mut attributes, &mut events, &mut links] {
            list.clear();
        }
        *self = Self {
            attributes,
            events,
            links,
            ..Self::default()
        };
        let mut message = Wire::new(bytes);
        while let Some((field, value)) = message.next()? {
            match field {
                1 => self.trace_id = value.bytes(1)?,
                2 => self.span_id = value.bytes(2)?,
                3 => self.trace_state = utf8(3, value.bytes(3)?)?,
                4 => self.parent_span_id = value.bytes(4)?,
                5 => self.name = utf8(5, value.bytes(5)?)?,
                6 => self.kind = value.varint(6)?,
                7 => self.start = value.fixed64(7)?,
                8 => self.end = value.fixed64(8)?,
                9 => self.attributes.push(value.bytes(9)?),
                11 => self.events.push(value.bytes(11)?),
                13 => self.links.push(value.bytes(13)?),
                15 => self.status(value.bytes(15)?)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn status(&mut self, bytes: &'a [u8]) -> Result<(), WireError> {
        let mut message = Wire::new(bytes);
        while let Some((field, value)) = message.next()? {
            match field {
                2 => self.status_message = utf8(2, value.bytes(2)?)?,
                3 => self.status = value.varint(3)?,
                _ => {}
            }
        }
        Ok(())
    }
}

impl<'a> Reader<'a> {
    /// Checks one span and takes it over.
    fn span(&mut self, bytes: &'a [u8], place: &Place<'_>) -> Result<(), Bad> {
        self.span.read(bytes)?;
        let (span, limits) = (&self.span, &self.rules.limits);
        let trace_id = TraceId::from_bytes(span.trace_id)
            .ok_or_else(|| bad_id("trace_id", 16, span.trace_id))?;
        let span_id =
            SpanId::from_bytes(span.span_id).ok_or_else(|| bad_id("span_id", 8, span.span_id))?;
        let parent_span_id = parent(span.parent_span_id)?;
        let (start, duration_ns) = times(span, self.rules)?;
        let rules = (Signal::Traces, limits);
        self.attributes.read(&span.attributes, rules)?;
        let events = events(&span.events, self.rules)?;
        let links = links(&span.links, self.rules)?;
        let max = limits.max_value_bytes;
        let span = NewSpan {
            trace_id,
            span_id,
            parent_span_id,
            trace_state: start_of(span.trace_state, max),
            name: start_of(span.name, max),
            kind: kind(span.kind),
            start,
            duration_ns,
            status: match span.status {
                1 => SpanStatus::Ok,
                2 => SpanStatus::Error,
                _ => SpanStatus::Unset,
            },
            status_message: start_of(span.status_message, max),
            service: place.service,
            scope: place.scope,
            resource: place.resource,
            events: &events,
            links: &links,
        };
        let pushed = self.columns.push(&span, self.attributes.iter());
        pushed.map_err(|error| Bad::Request(error.into()))
    }
}

fn bad_id(field: &str, bytes: usize, got: &[u8]) -> Refusal {
    let got = const_hex::encode(&got[..got.len().min(32)]);
    let sentence = format!("{field} \"{got}\": must be {bytes} bytes, not all zero");
    Refusal::new("bad_id", sentence)
}

fn parent(bytes: &[u8]) -> Result<Option<SpanId>, Refusal> {
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    SpanId::from_bytes(bytes)
        .map(Some)
        .ok_or_else(|| bad_id("parent_span_id", 8, bytes))
}

fn times(span: &RawSpan<'_>, rules: &Rules) -> Result<(Nanos, i64), Refusal> {
    let start = rules.bounds.check("start_time_unix_nano", span.start)?;
    let end = rules.bounds.check("end_time_unix_nano", span.end)?;
    if end < start {
        let sentence = format!("end_time_unix_nano {end}: must not be before the start, {start}");
        return Err(Refusal::new("ends_before_start", sentence));
    }
    Ok((start, end.0 - start.0))
}

fn kind(kind: u64) -> SpanKind {
    match kind {
        1 => SpanKind::Internal,
        2 => SpanKind::Server,
        3 => SpanKind::Client,
        4 => SpanKind::Producer,
        5 => SpanKind::Consumer,
        _ => SpanKind::Unspecified,
    }
}

fn events(messages: &[&[u8]], rules: &Rules) -> Result<Vec<SpanEvent>, Bad> {
    let mut events = Vec::with_capacity(messages.len());
    for bytes in messages {
        let (mut time, mut name, mut attributes) = (0, "", Vec::new());
        let mut message = Wire::new(bytes);
        while let Some((field, value)) = message.next()? {
            match field {
                1 => time = value.fixed64(1)?,
                2 => name = utf8(2, value.bytes(2)?)?,
                3 => attributes.push(value.bytes(3)?),
                _ => {}
            }
        }
        events.push(SpanEvent {
            time: Nanos(i64::try_from(time).unwrap_or(i64::MAX)),
            name: start_of(name, rules.limits.max_value_bytes).to_owned(),
            attributes: typed(&attributes, (Signal::Traces, &rules.limits))?,
        });
    }
    Ok(events)
}

fn links(fields: &[&[u8]], rules: &Rules) -> Result<Vec<SpanLink>, Bad> {
    let mut links = Vec::with_capacity(fields.len());
    for bytes in fields {
        let last = |field| messages(bytes, field).last().transpose();
        let ids = (last(1)?.unwrap_or_default(), last(2)?.unwrap_or_default());
        // A link that points nowhere says nothing; the span itself is good.
        let ids = (TraceId::from_bytes(ids.0), SpanId::from_bytes(ids.1));
        if let (Some(trace_id), Some(span_id)) = ids {
            let attributes: Result<Vec<&[u8]>, WireError> = messages(bytes, 4).collect();
            links.push(SpanLink {
                trace_id,
                span_id,
                attributes: typed(&attributes?, (Signal::Traces, &rules.limits))?,
            });
        }
    }
    Ok(links)
}
