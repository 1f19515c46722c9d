//! Bytes to rows: decodes OTLP, checks every row, names metrics as Prometheus does, and appends to the store.
//!
//! bytes -> [`Ingest::otlp`] | [`Ingest::remote_write`] -> `store::Rows`; on the way, spans become RED metrics and call
//! pairs, and resources become observations for `topology`.
//!
//! Invariants: an accepted row is durable when the call returns; a bad row is counted and reported, never the reason to
//! refuse its neighbours; memory is taken only after a body's claims are checked, and out of a budget; opens no socket.

mod accept;
mod admission;
mod attribute;
mod change;
mod compress;
mod config;
mod decode;
mod envelope;
mod error;
mod ingest;
mod json;
mod limit;
mod log;
mod metric;
mod naming;
mod origin;
mod pairing;
mod pipeline;
mod receipt;
mod registry;
mod rehearse;
mod remote_write;
mod resource;
mod rules;
mod scan;
mod span_metrics;
mod template;
mod time;
mod trace;
mod watch;
mod wire;
mod write;

pub use accept::Payload;
pub use admission::Admission;
pub use compress::{Compression, Grow};
pub use config::{DeltaTemporality, IngestConfig, OtlpConfig};
pub use decode::{Encoding, decode_logs, decode_metrics, decode_traces, encode_response};
pub use error::{IngestError, Signal};
pub use ingest::Ingest;
pub use limit::Limits;
pub use naming::TranslationStrategy;
pub use receipt::{Receipt, Rejected};
pub use remote_write::{RemoteWrite, Written};
pub use wire::WireError;
