//! The rows that are appended, in the words of their senders; [`encode`] turns them into columns.

mod column;
mod decode;
mod encode;
mod json;
mod logs;
mod sample_batch;
mod samples;
mod series_rows;
mod spans;
mod text_map;

use std::{fmt, sync::Arc};

use demarc_proto::{Attributes, EntityId, Labels, Millis, Nanos, OwnerId, SpanId, TraceId};

pub(crate) use decode::{intern_series, samples_of_batch};
pub(crate) use encode::{Encoded, encode};
pub use logs::{LogColumns, Logs, NewLog};
pub(crate) use sample_batch::SampleBatches;
pub(crate) use samples::Point;
pub use samples::{Samples, SeriesRef};
pub(crate) use series_rows::{NewSeries, SeriesBatches, series_batch};
pub use spans::{NewSpan, SpanColumns, SpanView, Spans};
pub use text_map::SharedAttributes;

/// What one append writes beside its [`Rows`], as columns already: the way in for many rows.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    /// Samples of series that [`Store::series`](crate::Store::series) of the same tenant has given out.
    pub samples: Samples,
    /// Spans.
    pub spans: Option<Spans>,
    /// Log records.
    pub logs: Option<Logs>,
}

impl From<Samples> for Columns {
    fn from(samples: Samples) -> Self {
        Self {
            samples,
            ..Self::default()
        }
    }
}

impl Columns {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        let spans = self.spans.as_ref().map_or(0, Spans::len);
        let logs = self.logs.as_ref().map_or(0, Logs::len);
        self.samples.len() + spans + logs
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What one append writes: all of it or nothing.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// Series with their samples, histograms and exemplars.
    pub metrics: Vec<MetricRows>,
    /// Spans.
    pub spans: Vec<SpanRow>,
    /// Log records.
    pub logs: Vec<LogRow>,
    /// Versions of entities.
    pub entities: Vec<EntityRow>,
    /// Versions of relations.
    pub relations: Vec<RelationRow>,
    /// Changes.
    pub changes: Vec<ChangeRow>,
}

impl Rows {
    /// How many rows there are, not counting those of the `series` table.
    pub fn len(&self) -> usize {
        let metrics: usize = self.metrics.iter().map(MetricRows::len).sum();
        metrics
            + self.spans.len()
            + self.logs.len()
            + self.entities.len()
            + self.relations.len()
            + self.changes.len()
    }

    /// Whether there is no row. A series without any sample is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// New values of one series.
#[derive(Clone, Debug, Default)]
pub struct MetricRows {
    /// The series, its name in the label `__name__`.
    pub labels: Labels,
    /// What kind of metric it is.
    pub kind: MetricKind,
    /// The unit, empty when unknown.
    pub unit: String,
    /// What the metric means, empty when unknown.
    pub help: String,
    /// Plain values.
    pub samples: Vec<Sample>,
    /// Native histograms.
    pub histograms: Vec<(Millis, Histogram)>,
    /// Exemplars.
    pub exemplars: Vec<Exemplar>,
}

impl MetricRows {
    /// How many values there are.
    pub fn len(&self) -> usize {
        self.samples.len() + self.histograms.len() + self.exemplars.len()
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The kind of a metric, in the words of Prometheus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MetricKind {
    /// Only rises, or starts again from zero.
    Counter,
    /// Rises and falls.
    Gauge,
    /// A histogram, native or in `_bucket`, `_sum` and `_count` series.
    Histogram,
    /// A summary with quantiles.
    Summary,
    /// Always 1; the labels are the information.
    Info,
    /// One series per state, 0 or 1.
    StateSet,
    /// Nobody said.
    #[default]
    Unknown,
}

/// One value of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// When it was measured.
    pub time: Millis,
    /// The value; a stale marker is a NaN with the bits that Prometheus gives it.
    pub value: f64,
    /// When the counter began to count, where the sender says so.
    pub start: Option<Millis>,
}

impl Sample {
    /// A value of which the start is not known.
    pub fn new(time: Millis, value: f64) -> Self {
        Self {
            time,
            value,
            start: None,
        }
    }
}

/// A native histogram, its buckets indexed as Prometheus does: exponential ones, or ones with bounds of their own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// When it began to count, where the sender says so.
    pub start: Option<Millis>,
    /// Number of observations.
    pub count: f64,
    /// Sum of observations; NaN when absent.
    pub sum: f64,
    /// Resolution: bucket bounds grow by the factor 2^(2^-schema).
    pub schema: i32,
    /// Observations with an absolute value up to this count as zero.
    pub zero_threshold: f64,
    /// Number of observations that count as zero.
    pub zero_count: f64,
    /// Buckets of positive values.
    pub positive: Buckets,
    /// Buckets of negative values.
    pub negative: Buckets,
    /// Upper bounds of the positive buckets where `schema` is [`CUSTOM_BUCKETS`]: bucket `i` ends at `custom_bounds[i]`,
    /// inclusive, and the one after the last bound has no end. Empty for exponential buckets.
    pub custom_bounds: Vec<f64>,
    /// Whether the sender knows of a reset just before this value.
    pub reset: CounterReset,
}

/// The schema of a histogram whose buckets have bounds of their own. Source: Prometheus, `model/histogram`.
pub const CUSTOM_BUCKETS: i32 = -53;

/// What the sender of a histogram knows of a reset between this value and the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CounterReset {
    /// Nobody said: readers compare the buckets.
    #[default]
    Unknown,
    /// Counting began anew.
    Reset,
    /// Counting went on.
    NotReset,
    /// It is no counter: the buckets may fall.
    Gauge,
}

/// Consecutive buckets of one sign.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Buckets {
    /// Index of the first bucket: exponential bucket `i` ends at (2^(2^-schema))^i, inclusive.
    pub offset: i32,
    /// Observations in each bucket, not cumulative.
    pub counts: Vec<f64>,
}

/// One measured value that points at a trace.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// When it was measured.
    pub time: Millis,
    /// The value.
    pub value: f64,
    /// The trace.
    pub trace_id: Option<TraceId>,
    /// The span within the trace.
    pub span_id: Option<SpanId>,
    /// Labels that the series does not have.
    pub attributes: Attributes,
}

/// One span.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanRow {
    /// The trace.
    pub trace_id: TraceId,
    /// The span within the trace.
    pub span_id: SpanId,
    /// The parent; `None` for a root.
    pub parent_span_id: Option<SpanId>,
    /// W3C trace state, empty when absent.
    pub trace_state: String,
    /// The operation.
    pub name: String,
    /// Which side of a call it is.
    pub kind: SpanKind,
    /// When it began.
    pub start: Nanos,
    /// How long it took.
    pub duration_ns: i64,
    /// How it ended.
    pub status: SpanStatus,
    /// What went wrong, empty when nothing did.
    pub status_message: String,
    /// `service.name` of the resource.
    pub service: String,
    /// Name of the instrumentation scope.
    pub scope: String,
    /// Resource attributes, shared by the spans of one resource.
    pub resource: Arc<Attributes>,
    /// Span attributes.
    pub attributes: Attributes,
    /// Events within the span.
    pub events: Vec<SpanEvent>,
    /// Links to other spans.
    pub links: Vec<SpanLink>,
}

/// Something that happened during a span.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanEvent {
    /// When.
    pub time: Nanos,
    /// What.
    pub name: String,
    /// Details.
    pub attributes: Attributes,
}

/// A pointer from a span to another.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanLink {
    /// The other span's trace.
    pub trace_id: TraceId,
    /// The other span.
    pub span_id: SpanId,
    /// Details.
    pub attributes: Attributes,
}

/// Which side of a call a span is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SpanKind {
    /// Nobody said.
    #[default]
    Unspecified,
    /// Work within a process.
    Internal,
    /// The called side.
    Server,
    /// The calling side.
    Client,
    /// Puts a message into a queue.
    Producer,
    /// Takes a message from a queue.
    Consumer,
}

/// How a span ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SpanStatus {
    /// Nobody said, which means well.
    #[default]
    Unset,
    /// Well, said explicitly.
    Ok,
    /// Failed.
    Error,
}

/// One log record or event.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRow {
    /// When it happened.
    pub time: Nanos,
    /// When it was collected.
    pub observed_time: Nanos,
    /// Severity as OTLP numbers it: 1 (trace) to 24 (fatal), 0 when unknown.
    pub severity_number: i32,
    /// Severity in the sender's word.
    pub severity_text: String,
    /// The text.
    pub body: String,
    /// Name of the event, empty for a plain record.
    pub event_name: String,
    /// Hash of the body with its variable parts masked: the same for records of one template.
    pub template_id: i64,
    /// The trace it belongs to.
    pub trace_id: Option<TraceId>,
    /// The span it belongs to.
    pub span_id: Option<SpanId>,
    /// `service.name` of the resource.
    pub service: String,
    /// Name of the instrumentation scope.
    pub scope: String,
    /// Resource attributes, shared by the records of one resource.
    pub resource: Arc<Attributes>,
    /// Attributes of the record.
    pub attributes: Attributes,
}

/// One version of an entity of the topology.
#[derive(Clone, Debug, PartialEq)]
pub struct EntityRow {
    /// The entity.
    pub id: EntityId,
    /// Its kind, such as `service`.
    pub kind: String,
    /// Its layer, such as `application`.
    pub layer: String,
    /// Who answers for it.
    pub owner: Option<OwnerId>,
    /// What is known of it.
    pub attributes: Attributes,
    /// Since when this version holds.
    pub valid_from: Nanos,
    /// Until when; `None` while it holds.
    pub valid_to: Option<Nanos>,
}

/// One version of a relation between two entities.
#[derive(Clone, Debug, PartialEq)]
pub struct RelationRow {
    /// Where it begins.
    pub from: EntityId,
    /// Where it ends.
    pub to: EntityId,
    /// Its kind, such as `calls`.
    pub kind: String,
    /// Which signal said so.
    pub provenance: String,
    /// How sure that is, 0 to 1.
    pub confidence: f64,
    /// Who answers for it.
    pub owner: Option<OwnerId>,
    /// Calls counted.
    pub calls: i64,
    /// Those that failed.
    pub errors: i64,
    /// Sum of durations as the client saw them.
    pub client_duration_ns: i64,
    /// Sum of durations as the server saw them.
    pub server_duration_ns: i64,
    /// Since when this version holds.
    pub valid_from: Nanos,
    /// Until when; `None` while it holds.
    pub valid_to: Option<Nanos>,
}

/// One change to the system.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangeRow {
    /// When.
    pub time: Nanos,
    /// `deployment`, `config`, `scaling`, `migration` ...
    pub kind: String,
    /// What was changed.
    pub entity: Option<EntityId>,
    /// By whom, empty when unknown.
    pub who: String,
    /// What was done, in words.
    pub what: String,
    /// Details.
    pub attributes: Attributes,
}

/// Gives an enum the words under which it is stored.
macro_rules! stored_words {
    ($name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $name {
            /// The word under which it is stored.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// What a stored word means; `None` when it is unknown.
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

stored_words!(MetricKind {
    Counter = "counter",
    Gauge = "gauge",
    Histogram = "histogram",
    Summary = "summary",
    Info = "info",
    StateSet = "stateset",
    Unknown = "unknown",
});

stored_words!(CounterReset {
    Unknown = "unknown",
    Reset = "reset",
    NotReset = "not_reset",
    Gauge = "gauge",
});

stored_words!(SpanKind {
    Unspecified = "UNSPECIFIED",
    Internal = "INTERNAL",
    Server = "SERVER",
    Client = "CLIENT",
    Producer = "PRODUCER",
    Consumer = "CONSUMER",
});

stored_words!(SpanStatus {
    Unset = "UNSET",
    Ok = "OK",
    Error = "ERROR",
});
