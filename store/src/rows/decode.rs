//! Record batches back to rows.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BinaryArray, Float64Array, Int32Array, Int64Array, ListArray,
        MapArray, RecordBatch, StringArray,
    },
    compute::cast,
    datatypes::{DataType, Float64Type, Int32Type, Int64Type},
};
use demarc_proto::{
    AttrValue, Attributes, EntityId, Labels, METRIC_NAME, Millis, Nanos, OwnerId, SeriesId, SpanId,
    TraceId,
};

use super::{
    Buckets, ChangeRow, CounterReset, EntityRow, Histogram, LogRow, MetricKind, NewSeries,
    RelationRow, Sample, Samples, SpanKind, SpanRow, SpanStatus, json,
};
use crate::{SeriesEntry, SeriesIndex, StoreError, Table, day::Day};

/// Interns the series that a batch of the `series` table lists.
pub(crate) fn intern_series(
    index: &SeriesIndex,
    batch: &RecordBatch,
) -> Result<Vec<NewSeries>, StoreError> {
    let columns = Columns::new(Table::Series, batch);
    let id = columns.bytes("series_id")?;
    let labels = columns.map("labels")?;
    let kind = columns.text("kind")?;
    let unit = columns.text("unit")?;
    let help = columns.text("help")?;
    let first_seen = columns.int64("first_seen")?;
    let row = |at: usize| {
        let id = SeriesId::from_bytes(id.value(at));
        let first_seen = Millis(first_seen.value(at));
        let series = index.intern(SeriesEntry {
            id: id.ok_or_else(|| columns.bad("series_id", "not 16 bytes"))?,
            labels: Labels::from_pairs(labels.pairs(at)),
            kind: MetricKind::parse(kind.value(at)).unwrap_or_default(),
            unit: unit.value(at).to_owned(),
            help: help.value(at).to_owned(),
        });
        Ok(NewSeries {
            series,
            day: Day::of_millis(first_seen),
            first_seen,
        })
    };
    (0..batch.num_rows()).map(row).collect()
}

/// The samples of a batch of the `samples` table, sorted. A series that the index does not know, because its row is lost,
/// keeps its samples under its id and what the batch says of its name.
pub(crate) fn samples_of_batch(
    index: &SeriesIndex,
    batch: &RecordBatch,
) -> Result<Samples, StoreError> {
    let columns = Columns::new(Table::Samples, batch);
    let id = columns.bytes("series_id")?;
    let metric = columns.text("metric")?;
    let time = columns.int64("time")?;
    let value = columns.float64("value")?;
    let start = columns.int64("start_time")?;
    let mut samples = Samples::with_capacity(batch.num_rows());
    for at in 0..batch.num_rows() {
        let id = SeriesId::from_bytes(id.value(at));
        let id = id.ok_or_else(|| columns.bad("series_id", "not 16 bytes"))?;
        let series = match index.find(id) {
            Some(series) => series,
            None => index.intern(nameless(id, metric.value(at))),
        };
        let sample = Sample {
            time: Millis(time.value(at)),
            value: value.value(at),
            start: start.is_valid(at).then(|| Millis(start.value(at))),
        };
        samples.push_sample(series, &sample);
    }
    samples.sort();
    Ok(samples)
}

fn nameless(id: SeriesId, metric: &str) -> SeriesEntry {
    SeriesEntry {
        id,
        labels: Labels::from_pairs([(METRIC_NAME, metric)]),
        kind: MetricKind::Unknown,
        unit: String::new(),
        help: String::new(),
    }
}

impl Histogram {
    /// Reads histograms from a batch that has the columns of [`Table::Histograms`] in any order; others are left aside.
    pub fn from_batch(batch: &RecordBatch) -> Result<Vec<(SeriesId, Millis, Self)>, StoreError> {
        let columns = Columns::new(Table::Histograms, batch);
        let series_id = columns.bytes("series_id")?;
        let time = columns.int64("time")?;
        let count = columns.float64("count")?;
        let sum = columns.float64("sum")?;
        let schema = columns.int32("schema")?;
        let zero_threshold = columns.float64("zero_threshold")?;
        let zero_count = columns.float64("zero_count")?;
        let positive_offset = columns.int32("positive_offset")?;
        let positive_counts = columns.float64_list("positive_counts")?;
        let negative_offset = columns.int32("negative_offset")?;
        let negative_counts = columns.float64_list("negative_counts")?;
        let start = columns.int64("start_time")?;
        let custom_bounds = columns.float64_list("custom_bounds")?;
        let reset = columns.text("reset")?;
        let row = |at: usize| {
            let bad = |column, reason| columns.bad(column, reason);
            let id = SeriesId::from_bytes(series_id.value(at));
            let histogram = Self {
                start: start.is_valid(at).then(|| Millis(start.value(at))),
                count: count.value(at),
                sum: sum.value(at),
                schema: schema.value(at),
                zero_threshold: zero_threshold.value(at),
                zero_count: zero_count.value(at),
                positive: Buckets {
                    offset: positive_offset.value(at),
                    counts: numbers_at(&positive_counts, at),
                },
                negative: Buckets {
                    offset: negative_offset.value(at),
                    counts: numbers_at(&negative_counts, at),
                },
                custom_bounds: numbers_at(&custom_bounds, at),
                reset: text_at(&reset, at)
                    .map_or(Some(CounterReset::Unknown), |word| {
                        CounterReset::parse(&word)
                    })
                    .ok_or_else(|| bad("reset", "unknown word"))?,
            };
            let id = id.ok_or_else(|| bad("series_id", "not 16 bytes"))?;
            Ok((id, Millis(time.value(at)), histogram))
        };
        (0..batch.num_rows()).map(row).collect()
    }
}

impl SpanRow {
    /// Reads spans from a batch that has the columns of [`Table::Spans`] in any order; others are left aside. Attribute
    /// values come back as text, except those of events and links.
    pub fn from_batch(batch: &RecordBatch) -> Result<Vec<Self>, StoreError> {
        let columns = Columns::new(Table::Spans, batch);
        let trace_id = columns.bytes("trace_id")?;
        let span_id = columns.bytes("span_id")?;
        let parent_span_id = columns.bytes("parent_span_id")?;
        let trace_state = columns.text("trace_state")?;
        let name = columns.text("name")?;
        let kind = columns.text("kind")?;
        let start = columns.int64("start_time")?;
        let duration = columns.int64("duration")?;
        let status = columns.text("status_code")?;
        let status_message = columns.text("status_message")?;
        let service = columns.text("service")?;
        let scope = columns.text("scope")?;
        let resource = columns.map("resource_attributes")?;
        let attributes = columns.map("attributes")?;
        let events = columns.text("events")?;
        let links = columns.text("links")?;
        let row = |at: usize| {
            let bad = |column| columns.bad(column, "unreadable");
            Ok(Self {
                trace_id: TraceId::from_bytes(trace_id.value(at)).ok_or_else(|| bad("trace_id"))?,
                span_id: SpanId::from_bytes(span_id.value(at)).ok_or_else(|| bad("span_id"))?,
                parent_span_id: span_id_at(&parent_span_id, at),
                trace_state: trace_state.value(at).to_owned(),
                name: name.value(at).to_owned(),
                kind: SpanKind::parse(kind.value(at)).ok_or_else(|| bad("kind"))?,
                start: Nanos(start.value(at)),
                duration_ns: duration.value(at),
                status: SpanStatus::parse(status.value(at)).ok_or_else(|| bad("status_code"))?,
                status_message: status_message.value(at).to_owned(),
                service: service.value(at).to_owned(),
                scope: scope.value(at).to_owned(),
                resource: Arc::new(resource.attributes(at)),
                attributes: attributes.attributes(at),
                events: json::parse_events(events.value(at)).ok_or_else(|| bad("events"))?,
                links: json::parse_links(links.value(at)).ok_or_else(|| bad("links"))?,
            })
        };
        (0..batch.num_rows()).map(row).collect()
    }
}

impl LogRow {
    /// Reads log records from a batch that has the columns of [`Table::Logs`] in any order; others are left aside.
    /// Attribute values come back as text.
    pub fn from_batch(batch: &RecordBatch) -> Result<Vec<Self>, StoreError> {
        let columns = Columns::new(Table::Logs, batch);
        let time = columns.int64("time")?;
        let observed_time = columns.int64("observed_time")?;
        let severity_number = columns.int32("severity_number")?;
        let severity_text = columns.text("severity_text")?;
        let body = columns.text("body")?;
        let event_name = columns.text("event_name")?;
        let template_id = columns.int64("template_id")?;
        let trace_id = columns.bytes("trace_id")?;
        let span_id = columns.bytes("span_id")?;
        let service = columns.text("service")?;
        let scope = columns.text("scope")?;
        let resource = columns.map("resource_attributes")?;
        let attributes = columns.map("attributes")?;
        let row = |at: usize| Self {
            time: Nanos(time.value(at)),
            observed_time: Nanos(observed_time.value(at)),
            severity_number: severity_number.value(at),
            severity_text: severity_text.value(at).to_owned(),
            body: body.value(at).to_owned(),
            event_name: event_name.value(at).to_owned(),
            template_id: template_id.value(at),
            trace_id: trace_id_at(&trace_id, at),
            span_id: span_id_at(&span_id, at),
            service: service.value(at).to_owned(),
            scope: scope.value(at).to_owned(),
            resource: Arc::new(resource.attributes(at)),
            attributes: attributes.attributes(at),
        };
        Ok((0..batch.num_rows()).map(row).collect())
    }
}

impl EntityRow {
    /// Reads entities from a batch that has the columns of [`Table::Entities`] in any order; others are left aside.
    /// Attribute values come back as text.
    pub fn from_batch(batch: &RecordBatch) -> Result<Vec<Self>, StoreError> {
        let columns = Columns::new(Table::Entities, batch);
        let id = columns.text("id")?;
        let kind = columns.text("kind")?;
        let layer = columns.text("layer")?;
        let owner = columns.text("owner")?;
        let attributes = columns.map("attributes")?;
        let valid_from = columns.int64("valid_from")?;
        let valid_to = columns.int64("valid_to")?;
        let row = |at: usize| Self {
            id: EntityId(id.value(at).to_owned()),
            kind: kind.value(at).to_owned(),
            layer: layer.value(at).to_owned(),
            owner: text_at(&owner, at).map(OwnerId),
            attributes: attributes.attributes(at),
            valid_from: Nanos(valid_from.value(at)),
            valid_to: time_at(&valid_to, at),
        };
        Ok((0..batch.num_rows()).map(row).collect())
    }
}

impl RelationRow {
    /// Reads relations from a batch that has the columns of [`Table::Relations`] in any order; others are left aside.
    pub fn from_batch(batch: &RecordBatch) -> Result<Vec<Self>, StoreError> {
        let columns = Columns::new(Table::Relations, batch);
        let from = columns.text("from_id")?;
        let to = columns.text("to_id")?;
        let kind = columns.text("kind")?;
        let provenance = columns.text("provenance")?;
        let confidence = columns.float64("confidence")?;
        let owner = columns.text("owner")?;
        let calls = columns.int64("calls")?;
        let errors = columns.int64("errors")?;
        let client_duration_ns = columns.int64("client_duration_ns")?;
        let server_duration_ns = columns.int64("server_duration_ns")?;
        let valid_from = columns.int64("valid_from")?;
        let valid_to = columns.int64("valid_to")?;
        let row = |at: usize| Self {
            from: EntityId(from.value(at).to_owned()),
            to: EntityId(to.value(at).to_owned()),
            kind: kind.value(at).to_owned(),
            provenance: provenance.value(at).to_owned(),
            confidence: confidence.value(at),
            owner: text_at(&owner, at).map(OwnerId),
            calls: calls.value(at),
            errors: errors.value(at),
            client_duration_ns: client_duration_ns.value(at),
            server_duration_ns: server_duration_ns.value(at),
            valid_from: Nanos(valid_from.value(at)),
            valid_to: time_at(&valid_to, at),
        };
        Ok((0..batch.num_rows()).map(row).collect())
    }
}

impl ChangeRow {
    /// Reads changes from a batch that has the columns of [`Table::Changes`] in any order; others are left aside.
    /// Attribute values come back as text.
    pub fn from_batch(batch: &RecordBatch) -> Result<Vec<Self>, StoreError> {
        let columns = Columns::new(Table::Changes, batch);
        let time = columns.int64("time")?;
        let kind = columns.text("kind")?;
        let entity = columns.text("entity")?;
        let who = columns.text("who")?;
        let what = columns.text("what")?;
        let attributes = columns.map("attributes")?;
        let row = |at: usize| Self {
            time: Nanos(time.value(at)),
            kind: kind.value(at).to_owned(),
            entity: text_at(&entity, at).map(EntityId),
            who: who.value(at).to_owned(),
            what: what.value(at).to_owned(),
            attributes: attributes.attributes(at),
        };
        Ok((0..batch.num_rows()).map(row).collect())
    }
}

fn text_at(column: &StringArray, at: usize) -> Option<String> {
    column.is_valid(at).then(|| column.value(at).to_owned())
}

/// Empty where there is no list.
fn numbers_at(column: &ListArray, at: usize) -> Vec<f64> {
    if column.is_null(at) {
        return Vec::new();
    }
    let numbers = column.value(at);
    numbers.as_primitive::<Float64Type>().values().to_vec()
}

fn time_at(column: &Int64Array, at: usize) -> Option<Nanos> {
    column.is_valid(at).then(|| Nanos(column.value(at)))
}

fn trace_id_at(column: &BinaryArray, at: usize) -> Option<TraceId> {
    column
        .is_valid(at)
        .then(|| TraceId::from_bytes(column.value(at)))?
}

fn span_id_at(column: &BinaryArray, at: usize) -> Option<SpanId> {
    column
        .is_valid(at)
        .then(|| SpanId::from_bytes(column.value(at)))?
}

/// The columns of a batch by name, whichever encoding of text or bytes the batch's maker chose.
struct Columns<'a> {
    table: Table,
    batch: &'a RecordBatch,
}

impl<'a> Columns<'a> {
    fn new(table: Table, batch: &'a RecordBatch) -> Self {
        Self { table, batch }
    }

    fn bad(&self, column: &'static str, reason: &str) -> StoreError {
        StoreError::Value {
            table: self.table,
            column,
            reason: reason.to_owned(),
        }
    }

    fn column(&self, name: &'static str, kind: &DataType) -> Result<ArrayRef, StoreError> {
        let column = self.batch.column_by_name(name);
        let column = column.ok_or_else(|| self.bad(name, "missing"))?;
        if column.data_type() == kind {
            return Ok(column.clone());
        }
        Ok(cast(column, kind)?)
    }

    fn text(&self, name: &'static str) -> Result<StringArray, StoreError> {
        let column = self.column(name, &DataType::Utf8)?;
        Ok(column.as_string::<i32>().clone())
    }

    fn bytes(&self, name: &'static str) -> Result<BinaryArray, StoreError> {
        let column = self.column(name, &DataType::Binary)?;
        Ok(column.as_binary::<i32>().clone())
    }

    fn int32(&self, name: &'static str) -> Result<Int32Array, StoreError> {
        let column = self.column(name, &DataType::Int32)?;
        Ok(column.as_primitive::<Int32Type>().clone())
    }

    fn int64(&self, name: &'static str) -> Result<Int64Array, StoreError> {
        let column = self.column(name, &DataType::Int64)?;
        Ok(column.as_primitive::<Int64Type>().clone())
    }

    fn float64(&self, name: &'static str) -> Result<Float64Array, StoreError> {
        let column = self.column(name, &DataType::Float64)?;
        Ok(column.as_primitive::<Float64Type>().clone())
    }

    fn float64_list(&self, name: &'static str) -> Result<ListArray, StoreError> {
        let column = self.batch.column_by_name(name);
        let list = column.and_then(|column| column.as_list_opt::<i32>());
        let list = list.filter(|list| list.value_type() == DataType::Float64);
        list.cloned()
            .ok_or_else(|| self.bad(name, "missing or not a list of numbers"))
    }

    fn map(&self, name: &'static str) -> Result<TextMap, StoreError> {
        let column = self.batch.column_by_name(name);
        let map = column.and_then(|column| column.as_map_opt());
        let map = map.ok_or_else(|| self.bad(name, "missing or not a map"))?;
        let keys = cast(map.keys(), &DataType::Utf8)?;
        let values = cast(map.values(), &DataType::Utf8)?;
        Ok(TextMap {
            map: map.clone(),
            keys: keys.as_string::<i32>().clone(),
            values: values.as_string::<i32>().clone(),
        })
    }
}

struct TextMap {
    map: MapArray,
    keys: StringArray,
    values: StringArray,
}

impl TextMap {
    fn pairs(&self, at: usize) -> impl Iterator<Item = (&str, &str)> {
        let offsets = self.map.value_offsets();
        let range = offsets[at] as usize..offsets[at + 1] as usize;
        range.map(|entry| (self.keys.value(entry), self.values.value(entry)))
    }

    fn attributes(&self, at: usize) -> Attributes {
        self.pairs(at)
            .map(|(key, value)| (key, AttrValue::from(value)))
            .collect()
    }
}
