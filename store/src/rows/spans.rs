//! Spans on their way from a decoder to log and head: column by column, with nothing allocated per span.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, BinaryArray, BinaryBuilder, Int64Array, MapArray, RecordBatch,
        StringArray, StringBuilder,
    },
    error::ArrowError,
};
use demarc_proto::{Nanos, SpanId, TraceId};

use super::{
    SpanEvent, SpanKind, SpanLink, SpanRow, SpanStatus, json,
    text_map::{SharedAttributes, TextMapBuilder, pairs_at},
};
use crate::{StoreError, Table};

/// One span, its attributes aside.
#[derive(Clone, Copy, Debug)]
pub struct NewSpan<'a> {
    /// The trace.
    pub trace_id: TraceId,
    /// The span within the trace.
    pub span_id: SpanId,
    /// The parent; `None` for a root.
    pub parent_span_id: Option<SpanId>,
    /// W3C trace state, empty when absent.
    pub trace_state: &'a str,
    /// The operation.
    pub name: &'a str,
    /// Which side of a call it is.
    pub kind: SpanKind,
    /// When it began.
    pub start: Nanos,
    /// How long it took.
    pub duration_ns: i64,
    /// How it ended.
    pub status: SpanStatus,
    /// What went wrong, empty when nothing did.
    pub status_message: &'a str,
    /// `service.name` of the resource.
    pub service: &'a str,
    /// Name of the instrumentation scope.
    pub scope: &'a str,
    /// Resource attributes.
    pub resource: &'a SharedAttributes,
    /// Events within the span.
    pub events: &'a [SpanEvent],
    /// Links to other spans.
    pub links: &'a [SpanLink],
}

/// Builds the columns of spans.
#[derive(Debug)]
pub struct SpanColumns {
    trace_id: BinaryBuilder,
    span_id: BinaryBuilder,
    parent_span_id: BinaryBuilder,
    trace_state: StringBuilder,
    name: StringBuilder,
    kind: Vec<SpanKind>,
    start: Vec<i64>,
    duration: Vec<i64>,
    status: Vec<SpanStatus>,
    status_message: StringBuilder,
    service: StringBuilder,
    scope: StringBuilder,
    resource: TextMapBuilder,
    attributes: TextMapBuilder,
    events: StringBuilder,
    links: StringBuilder,
}

/// Spans as columns.
#[derive(Clone, Debug)]
pub struct Spans {
    batch: RecordBatch,
    trace_id: BinaryArray,
    span_id: BinaryArray,
    parent_span_id: BinaryArray,
    name: StringArray,
    kind: Arc<[SpanKind]>,
    status: Arc<[SpanStatus]>,
    start: Int64Array,
    duration: Int64Array,
    attributes: MapArray,
}

/// One of [`Spans`].
#[derive(Clone, Copy, Debug)]
pub struct SpanView<'a> {
    spans: &'a Spans,
    at: usize,
}

impl SpanColumns {
    /// No spans, with room for so many.
    pub fn with_capacity(spans: usize) -> Self {
        let text = || StringBuilder::with_capacity(spans, 0);
        Self {
            trace_id: BinaryBuilder::with_capacity(spans, 16 * spans),
            span_id: BinaryBuilder::with_capacity(spans, 8 * spans),
            parent_span_id: BinaryBuilder::with_capacity(spans, 8 * spans),
            trace_state: text(),
            name: StringBuilder::with_capacity(spans, 16 * spans),
            kind: Vec::with_capacity(spans),
            start: Vec::with_capacity(spans),
            duration: Vec::with_capacity(spans),
            status: Vec::with_capacity(spans),
            status_message: text(),
            service: StringBuilder::with_capacity(spans, 8 * spans),
            scope: text(),
            resource: TextMapBuilder::with_capacity(spans),
            attributes: TextMapBuilder::with_capacity(spans),
            events: StringBuilder::with_capacity(spans, 2 * spans),
            links: StringBuilder::with_capacity(spans, 2 * spans),
        }
    }

    /// How many spans there are.
    pub fn len(&self) -> usize {
        self.start.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.start.is_empty()
    }

    /// Adds a span with its attributes, no key twice. After an error the columns are of no use.
    pub fn push<K: AsRef<str>, V: AsRef<str>>(
        &mut self,
        span: &NewSpan<'_>,
        attributes: impl IntoIterator<Item = (K, V)>,
    ) -> Result<(), StoreError> {
        // The columns of texts that many rows may share are the ones that can grow beyond what they can count.
        self.resource.push_shared(span.resource)?;
        self.attributes.push(attributes)?;
        append(&mut self.scope, span.scope)?;
        append(&mut self.service, span.service)?;
        self.trace_id.append_value(span.trace_id.as_bytes());
        self.span_id.append_value(span.span_id.as_bytes());
        let parent = span.parent_span_id.as_ref().map(|id| id.as_bytes());
        self.parent_span_id.append_option(parent);
        append(&mut self.trace_state, span.trace_state)?;
        append(&mut self.name, span.name)?;
        self.kind.push(span.kind);
        self.start.push(span.start.0);
        self.duration.push(span.duration_ns);
        self.status.push(span.status);
        append(&mut self.status_message, span.status_message)?;
        append(&mut self.events, &json::events(span.events))?;
        append(&mut self.links, &json::links(span.links))?;
        Ok(())
    }

    /// The columns as they are; `None` when there is no span.
    pub fn finish(mut self) -> Result<Option<Spans>, StoreError> {
        if self.is_empty() {
            return Ok(None);
        }
        let kinds = self.kind.iter().map(|kind| kind.as_str());
        let statuses = self.status.iter().map(|status| status.as_str());
        let (kind, status) = (
            StringArray::from_iter_values(kinds),
            StringArray::from_iter_values(statuses),
        );
        let trace_id = self.trace_id.finish();
        let span_id = self.span_id.finish();
        let parent_span_id = self.parent_span_id.finish();
        let name = self.name.finish();
        let start = Int64Array::from(self.start);
        let duration = Int64Array::from(self.duration);
        let attributes = self.attributes.finish()?;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(trace_id.clone()),
            Arc::new(span_id.clone()),
            Arc::new(parent_span_id.clone()),
            Arc::new(self.trace_state.finish()),
            Arc::new(name.clone()),
            Arc::new(kind),
            Arc::new(start.clone()),
            Arc::new(duration.clone()),
            Arc::new(status),
            Arc::new(self.status_message.finish()),
            Arc::new(self.service.finish()),
            Arc::new(self.scope.finish()),
            Arc::new(self.resource.finish()?),
            Arc::new(attributes.clone()),
            Arc::new(self.events.finish()),
            Arc::new(self.links.finish()),
        ];
        Ok(Some(Spans {
            batch: RecordBatch::try_new(Table::Spans.schema(), columns)?,
            trace_id,
            span_id,
            parent_span_id,
            name,
            kind: self.kind.into(),
            status: self.status.into(),
            start,
            duration,
            attributes,
        }))
    }
}

/// Text that one text column may hold: half of what its offsets can count.
const MAX_BYTES: usize = 1 << 30;

/// Appends unless the column could not count it.
pub(super) fn append(column: &mut StringBuilder, text: &str) -> Result<(), ArrowError> {
    let bytes = column.values_slice().len() + text.len();
    if bytes > MAX_BYTES {
        return Err(ArrowError::OffsetOverflowError(bytes));
    }
    column.append_value(text);
    Ok(())
}

/// The columns of rows.
pub(super) fn columns(rows: &[SpanRow]) -> Result<Option<Spans>, StoreError> {
    let mut columns = SpanColumns::with_capacity(rows.len());
    for of_resource in rows.chunk_by(|a, b| Arc::ptr_eq(&a.resource, &b.resource)) {
        let resource = SharedAttributes::from(of_resource[0].resource.as_ref());
        for row in of_resource {
            let span = NewSpan {
                trace_id: row.trace_id,
                span_id: row.span_id,
                parent_span_id: row.parent_span_id,
                trace_state: &row.trace_state,
                name: &row.name,
                kind: row.kind,
                start: row.start,
                duration_ns: row.duration_ns,
                status: row.status,
                status_message: &row.status_message,
                service: &row.service,
                scope: &row.scope,
                resource: &resource,
                events: &row.events,
                links: &row.links,
            };
            let attributes = row.attributes.iter();
            columns.push(&span, attributes.map(|(key, value)| (key, value.text())))?;
        }
    }
    columns.finish()
}

impl Spans {
    /// How many there are; never 0.
    #[expect(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.batch.num_rows()
    }

    /// The one at a place below [`Spans::len`].
    pub fn view(&self, at: usize) -> SpanView<'_> {
        SpanView { spans: self, at }
    }

    /// As rows of the table `spans`.
    pub(crate) fn batch(&self) -> &RecordBatch {
        &self.batch
    }
}

impl<'a> SpanView<'a> {
    /// The trace.
    pub fn trace_id(self) -> TraceId {
        let bytes = self.spans.trace_id.value(self.at);
        TraceId::from_bytes(bytes).expect("the column was made of trace ids")
    }

    /// The span within the trace.
    pub fn span_id(self) -> SpanId {
        let bytes = self.spans.span_id.value(self.at);
        SpanId::from_bytes(bytes).expect("the column was made of span ids")
    }

    /// The parent; `None` for a root.
    pub fn parent_span_id(self) -> Option<SpanId> {
        let ids = &self.spans.parent_span_id;
        let is_there = ids.is_valid(self.at);
        is_there.then(|| {
            let id = SpanId::from_bytes(ids.value(self.at));
            id.expect("the column was made of span ids")
        })
    }

    /// The operation.
    pub fn name(self) -> &'a str {
        self.spans.name.value(self.at)
    }

    /// Which side of a call it is.
    pub fn kind(self) -> SpanKind {
        self.spans.kind[self.at]
    }

    /// How it ended.
    pub fn status(self) -> SpanStatus {
        self.spans.status[self.at]
    }

    /// When it began.
    pub fn start(self) -> Nanos {
        Nanos(self.spans.start.value(self.at))
    }

    /// How long it took.
    pub fn duration_ns(self) -> i64 {
        self.spans.duration.value(self.at)
    }

    /// Key and text of each attribute.
    pub fn attributes(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        pairs_at(&self.spans.attributes, self.at)
    }

    /// The text of an attribute; `None` when there is none of this key.
    pub fn attribute(self, key: &str) -> Option<&'a str> {
        let mut pairs = self.attributes();
        pairs.find(|(known, _)| *known == key).map(|(_, text)| text)
    }
}
