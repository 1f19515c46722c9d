//! Log records on their way from a decoder to log and head: column by column, with nothing allocated per record.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryBuilder, Int32Array, Int64Array, RecordBatch, StringBuilder};
use demarc_proto::{Nanos, SpanId, TraceId};

use super::{
    LogRow,
    spans::append,
    text_map::{SharedAttributes, TextMapBuilder},
};
use crate::{StoreError, Table};

/// One log record, its attributes aside.
#[derive(Clone, Copy, Debug)]
pub struct NewLog<'a> {
    /// When it happened.
    pub time: Nanos,
    /// When it was collected.
    pub observed_time: Nanos,
    /// Severity as OTLP numbers it: 1 (trace) to 24 (fatal), 0 when unknown.
    pub severity_number: i32,
    /// Severity in the sender's word.
    pub severity_text: &'a str,
    /// The text.
    pub body: &'a str,
    /// Name of the event, empty for a plain record.
    pub event_name: &'a str,
    /// Hash of the body with its variable parts masked.
    pub template_id: i64,
    /// The trace it belongs to.
    pub trace_id: Option<TraceId>,
    /// The span it belongs to.
    pub span_id: Option<SpanId>,
    /// `service.name` of the resource.
    pub service: &'a str,
    /// Name of the instrumentation scope.
    pub scope: &'a str,
    /// Resource attributes.
    pub resource: &'a SharedAttributes,
}

/// Builds the columns of log records.
#[derive(Debug)]
pub struct LogColumns {
    time: Vec<i64>,
    observed_time: Vec<i64>,
    severity_number: Vec<i32>,
    severity_text: StringBuilder,
    body: StringBuilder,
    event_name: StringBuilder,
    template_id: Vec<i64>,
    trace_id: BinaryBuilder,
    span_id: BinaryBuilder,
    service: StringBuilder,
    scope: StringBuilder,
    resource: TextMapBuilder,
    attributes: TextMapBuilder,
}

/// Log records as columns.
#[derive(Clone, Debug)]
pub struct Logs(RecordBatch);

impl LogColumns {
    /// No records, with room for so many.
    pub fn with_capacity(records: usize) -> Self {
        let text = |bytes: usize| StringBuilder::with_capacity(records, bytes * records);
        Self {
            time: Vec::with_capacity(records),
            observed_time: Vec::with_capacity(records),
            severity_number: Vec::with_capacity(records),
            severity_text: text(4),
            body: text(64),
            event_name: text(0),
            template_id: Vec::with_capacity(records),
            trace_id: BinaryBuilder::with_capacity(records, 0),
            span_id: BinaryBuilder::with_capacity(records, 0),
            service: text(8),
            scope: text(0),
            resource: TextMapBuilder::with_capacity(records),
            attributes: TextMapBuilder::with_capacity(records),
        }
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.time.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.time.is_empty()
    }

    /// Adds a record with its attributes, no key twice. After an error the columns are of no use.
    pub fn push<K: AsRef<str>, V: AsRef<str>>(
        &mut self,
        record: &NewLog<'_>,
        attributes: impl IntoIterator<Item = (K, V)>,
    ) -> Result<(), StoreError> {
        // The columns of texts that many rows may share are the ones that can grow beyond what they can count.
        self.resource.push_shared(record.resource)?;
        self.attributes.push(attributes)?;
        append(&mut self.scope, record.scope)?;
        append(&mut self.service, record.service)?;
        append(&mut self.body, record.body)?;
        append(&mut self.severity_text, record.severity_text)?;
        append(&mut self.event_name, record.event_name)?;
        self.time.push(record.time.0);
        self.observed_time.push(record.observed_time.0);
        self.severity_number.push(record.severity_number);
        self.template_id.push(record.template_id);
        let (trace_id, span_id) = (record.trace_id.as_ref(), record.span_id.as_ref());
        self.trace_id
            .append_option(trace_id.map(|id| id.as_bytes()));
        self.span_id.append_option(span_id.map(|id| id.as_bytes()));
        Ok(())
    }

    /// The columns as they are; `None` when there is no record.
    pub fn finish(mut self) -> Result<Option<Logs>, StoreError> {
        if self.is_empty() {
            return Ok(None);
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(self.time)),
            Arc::new(Int64Array::from(self.observed_time)),
            Arc::new(Int32Array::from(self.severity_number)),
            Arc::new(self.severity_text.finish()),
            Arc::new(self.body.finish()),
            Arc::new(self.event_name.finish()),
            Arc::new(Int64Array::from(self.template_id)),
            Arc::new(self.trace_id.finish()),
            Arc::new(self.span_id.finish()),
            Arc::new(self.service.finish()),
            Arc::new(self.scope.finish()),
            Arc::new(self.resource.finish()?),
            Arc::new(self.attributes.finish()?),
        ];
        let batch = RecordBatch::try_new(Table::Logs.schema(), columns)?;
        Ok(Some(Logs(batch)))
    }
}

/// The columns of rows.
pub(super) fn columns(rows: &[LogRow]) -> Result<Option<Logs>, StoreError> {
    let mut columns = LogColumns::with_capacity(rows.len());
    for of_resource in rows.chunk_by(|a, b| Arc::ptr_eq(&a.resource, &b.resource)) {
        let resource = SharedAttributes::from(of_resource[0].resource.as_ref());
        for row in of_resource {
            let record = NewLog {
                time: row.time,
                observed_time: row.observed_time,
                severity_number: row.severity_number,
                severity_text: &row.severity_text,
                body: &row.body,
                event_name: &row.event_name,
                template_id: row.template_id,
                trace_id: row.trace_id,
                span_id: row.span_id,
                service: &row.service,
                scope: &row.scope,
                resource: &resource,
            };
            let attributes = row.attributes.iter();
            columns.push(&record, attributes.map(|(key, value)| (key, value.text())))?;
        }
    }
    columns.finish()
}

impl Logs {
    /// How many there are; never 0.
    #[expect(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.0.num_rows()
    }

    /// As rows of the table `logs`.
    pub(crate) fn batch(&self) -> &RecordBatch {
        &self.0
    }
}
