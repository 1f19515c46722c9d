//! OTLP log records, from the bytes of a request straight to columns.

use std::sync::Arc;

use demarc_proto::{Nanos, SpanId, TraceId, otlp::common::v1::AnyValue};
use demarc_store::{ChangeRow, LogColumns, LogRow, Logs, NewLog, SharedAttributes};

use crate::{
    IngestError, Signal, WireError,
    attribute::{Bad, Pairs, Raw, start_of, text, typed, utf8},
    change::{change, may_be_change},
    envelope::{Sender, groups},
    receipt::Tally,
    resource::service_name,
    rules::Rules,
    template::template_id,
    wire::Wire,
};

/// Bytes of a request for which room for one record is made.
const BYTES_PER_RECORD: usize = 200;

/// The log records of a request.
pub(crate) struct Records {
    pub(crate) logs: Option<Logs>,
    /// The changes that some of them tell of.
    pub(crate) changes: Vec<ChangeRow>,
    /// Who sent them, each with the time of the newest record so far.
    pub(crate) senders: Vec<(Sender, Nanos)>,
    pub(crate) tally: Tally,
}

/// Reads an `ExportLogsServiceRequest`.
pub(crate) fn read(body: &[u8], rules: &Rules) -> Result<Records, IngestError> {
    let mut tally = Tally::default();
    let mut senders = Vec::new();
    let mut reader = Reader {
        rules,
        columns: LogColumns::with_capacity(body.len() / BYTES_PER_RECORD),
        attributes: Pairs::default(),
        record: RawRecord::default(),
        last: rules.now,
        changes: Vec::new(),
    };
    for group in groups(body) {
        let group = group?;
        let sender = match group.sender(Signal::Logs, &rules.limits)? {
            Ok(sender) => sender,
            Err(refusal) => {
                tally.refuse_all(refusal, group.count()?);
                continue;
            }
        };
        let shared = SharedAttributes::from(sender.resource.as_ref());
        for scope in group.scopes(&rules.limits) {
            let scope = scope?;
            let place = Place {
                sender: &sender,
                scope: scope.name,
                resource: &shared,
            };
            for record in scope.items() {
                match reader.record(record?, &place) {
                    Ok(()) => {}
                    Err(Bad::Row(refusal)) => tally.refuse(refusal),
                    Err(Bad::Request(error)) => return Err(error),
                }
            }
        }
        senders.push((sender, reader.last));
    }
    tally.accept(reader.columns.len() as u64);
    Ok(Records {
        logs: reader.columns.finish()?,
        changes: reader.changes,
        senders,
        tally,
    })
}

/// Where a record comes from.
struct Place<'p> {
    sender: &'p Sender,
    scope: &'p str,
    resource: &'p SharedAttributes,
}

struct Reader<'a> {
    rules: &'a Rules,
    columns: LogColumns,
    attributes: Pairs<'a>,
    record: RawRecord<'a>,
    /// Time of the last record that was taken.
    last: Nanos,
    changes: Vec<ChangeRow>,
}

/// A record as it stands on the wire. Used again for the next one.
#[derive(Debug, Default)]
struct RawRecord<'a> {
    time: u64,
    observed: u64,
    severity_number: u64,
    severity_text: &'a str,
    body: Option<Raw<'a>>,
    attributes: Vec<&'a [u8]>,
    trace_id: &'a [u8],
    span_id: &'a [u8],
    event_name: &'a str,
}

impl<'a> RawRecord<'a> {
    fn read(&mut self, bytes: &'a [u8]) -> Result<(), WireError> {
        let mut attributes = std::mem::take(&mut self.attributes);
        attributes.clear();
        *self = Self {
            attributes,
            ..Self::default()
        };
        let mut message = Wire::new(bytes);
        while let Some((field, value)) = message.next()? {
            match field {
                1 => self.time = value.fixed64(1)?,
                2 => self.severity_number = value.varint(2)?,
                3 => self.severity_text = utf8(3, value.bytes(3)?)?,
                5 => self.body = Raw::read(value.bytes(5)?)?,
                6 => self.attributes.push(value.bytes(6)?),
                9 => self.trace_id = value.bytes(9)?,
                10 => self.span_id = value.bytes(10)?,
                11 => self.observed = value.fixed64(11)?,
                12 => self.event_name = utf8(12, value.bytes(12)?)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// The text; made where it is something else.
    fn body(&self) -> Result<std::borrow::Cow<'a, str>, IngestError> {
        Ok(match self.body {
            None => "".into(),
            Some(Raw::Str(text)) => text.into(),
            Some(other) => {
                let value = other.decode(Signal::Logs)?;
                text(Some(AnyValue { value })).into()
            }
        })
    }
}

impl<'a> Reader<'a> {
    /// Checks one record and takes it over. A record without a time gets the time it was observed, else now.
    fn record(&mut self, bytes: &'a [u8], place: &Place<'_>) -> Result<(), Bad> {
        self.record.read(bytes)?;
        let (record, limits) = (&self.record, &self.rules.limits);
        let bounds = self.rules.bounds;
        let observed_time = match record.observed {
            0 => self.rules.now,
            at => bounds.check("observed_time_unix_nano", at)?,
        };
        let time = match record.time {
            0 => observed_time,
            at => bounds.check("time_unix_nano", at)?,
        };
        let body = record.body()?;
        let body = start_of(&body, limits.max_value_bytes);
        let rules = (Signal::Logs, limits);
        self.attributes.read(&record.attributes, rules)?;
        // Before `event_name` was a field, the event's name was an attribute.
        let event_name = match record.event_name {
            "" => self.attributes.str("event.name").unwrap_or_default(),
            name => name,
        };
        let record = NewLog {
            time,
            observed_time,
            severity_number: record.severity_number as i32,
            severity_text: record.severity_text,
            template_id: template_id(body),
            body,
            event_name,
            trace_id: TraceId::from_bytes(record.trace_id),
            span_id: SpanId::from_bytes(record.span_id),
            service: service_name(&place.sender.resource),
            scope: place.scope,
            resource: place.resource,
        };
        let pushed = self.columns.push(&record, self.attributes.iter());
        pushed.map_err(|error| Bad::Request(error.into()))?;
        if may_be_change(event_name, &self.attributes) {
            let row = row(
                &record,
                typed(&self.record.attributes, rules)?,
                place.sender,
            );
            self.changes.extend(change(&self.rules.tenant, &row));
        }
        self.last = time;
        Ok(())
    }
}

/// A record of which more is to be known.
fn row(record: &NewLog<'_>, attributes: demarc_proto::Attributes, sender: &Sender) -> LogRow {
    LogRow {
        time: record.time,
        observed_time: record.observed_time,
        severity_number: record.severity_number,
        severity_text: record.severity_text.to_owned(),
        body: record.body.to_owned(),
        event_name: record.event_name.to_owned(),
        template_id: record.template_id,
        trace_id: record.trace_id,
        span_id: record.span_id,
        service: record.service.to_owned(),
        scope: record.scope.to_owned(),
        resource: Arc::clone(&sender.resource),
        attributes,
    }
}
