//! The words that every crate of Demarc uses: ids, time, labels, attributes, observations, and the OTLP messages.
//!
//! Nothing here does I/O, and nothing here reads the wall clock except [`SystemClock`].
//!
//! Reading order: [`time`](Nanos) (nanoseconds, milliseconds, ranges, the [`Clock`]), ids ([`TenantId`], [`SeriesId`],
//! [`EntityId`] ...), [`Labels`] and [`Matcher`], [`Attributes`], and the [`Observation`]s that `ingest` reports to
//! `topology`.

mod attribute;
mod id;
mod label;
mod observation;
mod time;

/// The generated OTLP messages and gRPC services (opentelemetry-proto 1.x).
pub use opentelemetry_proto::tonic as otlp;

pub use attribute::{AttrValue, Attributes};
pub use id::{EntityId, IdError, OwnerId, SeriesId, SpanId, TenantId, TraceId};
pub use label::{Labels, METRIC_NAME, MatchOp, Matcher};
pub use observation::{
    CallObservation, CallSide, EntityRef, Observation, Peer, ResourceObservation, SeriesObservation,
};
pub use time::{Clock, ManualClock, Millis, Nanos, SystemClock, TimeRange};
