//! The tables: their names, columns and sort orders. The one place where they are written down.
//!
//! Every table is partitioned by `tenant` and `date` (the UTC day of a row's own time, `YYYY-MM-DD`). Those two are
//! Delta partition columns: they stand in the log and in the directory names, not in the data files and not in the
//! batches that a snapshot lists.
//!
//! Data files hold what batches hold, column by column; only the values of samples are split ([`Table::file_schema`]).
//!
//! `series_id` and `trace_id` are 16 bytes, `span_id` is 8 bytes. Columns that end in `_ns` and the times of spans, logs,
//! entities, relations and changes are in nanoseconds; the times of series, samples, histograms and exemplars in
//! milliseconds. Attributes and labels are maps from text to text.

use std::{
    fmt,
    sync::{Arc, LazyLock},
};

use arrow::{
    array::{RecordBatch, new_null_array},
    datatypes::{DataType, Field, Fields, Schema, SchemaRef},
    error::ArrowError,
};

/// One table of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Label sets, once per day on which they got samples.
    Series,
    /// Values of series.
    Samples,
    /// Native histograms of series.
    Histograms,
    /// Exemplars of series.
    Exemplars,
    /// Spans of traces.
    Spans,
    /// Log records and events.
    Logs,
    /// Versions of the topology's entities.
    Entities,
    /// Versions of the topology's relations.
    Relations,
    /// Deployments, configuration pushes, scaling, migrations.
    Changes,
    /// Old samples in windows of five minutes.
    Samples5m,
    /// Old samples in windows of an hour.
    Samples1h,
}

impl Table {
    /// All tables, in the order in which they are flushed.
    pub const ALL: [Self; 11] = [
        Self::Series,
        Self::Samples,
        Self::Histograms,
        Self::Exemplars,
        Self::Spans,
        Self::Logs,
        Self::Entities,
        Self::Relations,
        Self::Changes,
        Self::Samples5m,
        Self::Samples1h,
    ];

    /// The table's name, in SQL and on disk.
    pub fn name(self) -> &'static str {
        match self {
            Self::Series => "series",
            Self::Samples => "samples",
            Self::Histograms => "histograms",
            Self::Exemplars => "exemplars",
            Self::Spans => "spans",
            Self::Logs => "logs",
            Self::Entities => "entities",
            Self::Relations => "relations",
            Self::Changes => "changes",
            Self::Samples5m => "samples_5m",
            Self::Samples1h => "samples_1h",
        }
    }

    /// The columns, without the partition columns `tenant` and `date`.
    pub fn schema(self) -> SchemaRef {
        SCHEMAS[self.index()].clone()
    }

    /// The columns of the table's files, again without the partition columns. They are those of [`Table::schema`] but for
    /// samples, whose values are split: a value is `coalesce(value, value_digits / value_divisor)`, with a division of
    /// floating-point numbers.
    pub fn file_schema(self) -> SchemaRef {
        match self {
            Self::Samples => SAMPLE_FILES.clone(),
            other => other.schema(),
        }
    }

    /// `batch` with the columns of this version: those that it lacks, because an older version wrote it, are null.
    pub(crate) fn complete(self, batch: RecordBatch) -> Result<RecordBatch, ArrowError> {
        let schema = self.schema();
        if batch.schema() == schema {
            return Ok(batch);
        }
        let column = |field: &Arc<Field>| match batch.column_by_name(field.name()) {
            Some(column) => Ok(column.clone()),
            None if field.is_nullable() => Ok(new_null_array(field.data_type(), batch.num_rows())),
            None => {
                let what = format!("rows of table {self} have no column {}", field.name());
                Err(ArrowError::SchemaError(what))
            }
        };
        let columns: Result<Vec<_>, _> = schema.fields().iter().map(column).collect();
        RecordBatch::try_new(schema, columns?)
    }

    /// The column that holds a row's own time.
    pub fn time_column(self) -> &'static str {
        match self {
            Self::Series => "first_seen",
            Self::Spans => "start_time",
            Self::Entities | Self::Relations => "valid_from",
            _ => "time",
        }
    }

    /// The columns by which the rows of a data file are sorted.
    pub fn sort_columns(self) -> &'static [&'static str] {
        match self {
            Self::Series => &["metric", "series_id"],
            Self::Samples | Self::Histograms | Self::Samples5m | Self::Samples1h => {
                &["metric", "series_id", "time"]
            }
            Self::Exemplars => &["series_id", "time"],
            Self::Spans => &["trace_id", "start_time"],
            Self::Logs => &["service", "time"],
            Self::Entities => &["id", "valid_from"],
            Self::Relations => &["from_id", "to_id", "valid_from"],
            Self::Changes => &["time"],
        }
    }

    /// How many of the time column's units make a day.
    pub(crate) fn units_per_day(self) -> i64 {
        match self {
            Self::Series
            | Self::Samples
            | Self::Histograms
            | Self::Exemplars
            | Self::Samples5m
            | Self::Samples1h => 86_400_000,
            _ => 86_400_000_000_000,
        }
    }

    /// The table's place in [`Table::ALL`], which is also its number in the write-ahead log: never reorder.
    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

static SCHEMAS: LazyLock<[SchemaRef; 11]> =
    LazyLock::new(|| Table::ALL.map(|table| Arc::new(Schema::new(columns(table)))));

static SAMPLE_FILES: LazyLock<SchemaRef> = LazyLock::new(|| {
    let mut columns = series_keys();
    columns.extend([
        int64("time"),
        optional(float64("value")),
        optional(int64("start_time")),
        optional(int64("value_digits")),
        optional(float64("value_divisor")),
    ]);
    Arc::new(Schema::new(columns))
});

fn columns(table: Table) -> Vec<Field> {
    match table {
        Table::Series => series(),
        Table::Samples => {
            let mut columns = series_keys();
            columns.extend([
                int64("time"),
                float64("value"),
                optional(int64("start_time")),
            ]);
            columns
        }
        Table::Histograms => histograms(),
        Table::Exemplars => exemplars(),
        Table::Spans => spans(),
        Table::Logs => logs(),
        Table::Entities => entities(),
        Table::Relations => relations(),
        Table::Changes => changes(),
        Table::Samples5m | Table::Samples1h => windows(),
    }
}

fn series() -> Vec<Field> {
    let mut columns = series_keys();
    columns.extend([
        text_map("labels"),
        text("kind"),
        text("unit"),
        text("help"),
        int64("first_seen"),
    ]);
    columns
}

fn histograms() -> Vec<Field> {
    let mut columns = series_keys();
    columns.extend([
        int64("time"),
        float64("count"),
        float64("sum"),
        int32("schema"),
        float64("zero_threshold"),
        float64("zero_count"),
        int32("positive_offset"),
        float64_list("positive_counts"),
        int32("negative_offset"),
        float64_list("negative_counts"),
        optional(int64("start_time")),
        optional(float64_list("custom_bounds")),
        optional(text("reset")),
    ]);
    columns
}

fn exemplars() -> Vec<Field> {
    let mut columns = series_keys();
    columns.extend([
        int64("time"),
        float64("value"),
        optional(bytes("trace_id")),
        optional(bytes("span_id")),
        text_map("attributes"),
    ]);
    columns
}

fn spans() -> Vec<Field> {
    vec![
        bytes("trace_id"),
        bytes("span_id"),
        optional(bytes("parent_span_id")),
        text("trace_state"),
        text("name"),
        text("kind"),
        int64("start_time"),
        int64("duration"),
        text("status_code"),
        text("status_message"),
        text("service"),
        text("scope"),
        text_map("resource_attributes"),
        text_map("attributes"),
        text("events"),
        text("links"),
    ]
}

fn logs() -> Vec<Field> {
    vec![
        int64("time"),
        int64("observed_time"),
        int32("severity_number"),
        text("severity_text"),
        text("body"),
        text("event_name"),
        int64("template_id"),
        optional(bytes("trace_id")),
        optional(bytes("span_id")),
        text("service"),
        text("scope"),
        text_map("resource_attributes"),
        text_map("attributes"),
    ]
}

fn entities() -> Vec<Field> {
    vec![
        text("id"),
        text("kind"),
        text("layer"),
        optional(text("owner")),
        text_map("attributes"),
        int64("valid_from"),
        optional(int64("valid_to")),
    ]
}

fn relations() -> Vec<Field> {
    vec![
        text("from_id"),
        text("to_id"),
        text("kind"),
        text("provenance"),
        float64("confidence"),
        optional(text("owner")),
        int64("calls"),
        int64("errors"),
        int64("client_duration_ns"),
        int64("server_duration_ns"),
        int64("valid_from"),
        optional(int64("valid_to")),
    ]
}

fn changes() -> Vec<Field> {
    vec![
        int64("time"),
        text("kind"),
        optional(text("entity")),
        text("who"),
        text("what"),
        text_map("attributes"),
    ]
}

fn windows() -> Vec<Field> {
    let mut columns = series_keys();
    columns.extend([
        int64("time"),
        float64("value"),
        int64("count"),
        float64("sum"),
        float64("min"),
        float64("max"),
        int64("first_time"),
        float64("first"),
        optional(int64("first_start")),
        int64("last_time"),
        float64("last"),
        optional(int64("last_start")),
        float64("resets"),
    ]);
    columns
}

fn series_keys() -> Vec<Field> {
    vec![bytes("series_id"), text("metric")]
}

fn bytes(name: &str) -> Field {
    Field::new(name, DataType::Binary, false)
}

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, false)
}

fn int32(name: &str) -> Field {
    Field::new(name, DataType::Int32, false)
}

fn int64(name: &str) -> Field {
    Field::new(name, DataType::Int64, false)
}

fn float64(name: &str) -> Field {
    Field::new(name, DataType::Float64, false)
}

fn float64_list(name: &str) -> Field {
    let element = Field::new("element", DataType::Float64, false);
    Field::new(name, DataType::List(Arc::new(element)), false)
}

/// A map with the names that Delta and Parquet give to its parts.
fn text_map(name: &str) -> Field {
    let entries = Fields::from(vec![text("key"), text("value")]);
    let entry = Field::new("key_value", DataType::Struct(entries), false);
    Field::new(name, DataType::Map(Arc::new(entry), false), false)
}

fn optional(field: Field) -> Field {
    field.with_nullable(true)
}
