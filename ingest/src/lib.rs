//! Bytes to rows: decodes OTLP, checks every row, names metrics as Prometheus does, and appends to the store.
//!
//! bytes -> [`decode_traces`] | [`decode_metrics`] | [`decode_logs`] -> [`Ingest`] -> `store::Rows`; on the way, spans become
//! RED metrics and call pairs, and resources become observations for `topology`.
//!
//! Invariants: an accepted row is durable when the call returns; a bad row is counted and reported, never the reason to
//! refuse its neighbours; opens no socket.

mod attribute;
mod change;
mod config;
mod decode;
mod error;
mod ingest;
mod log;
mod metric;
mod naming;
mod pairing;
mod receipt;
mod resource;
mod span_metrics;
mod template;
mod trace;
mod watch;

pub use config::IngestConfig;
pub use decode::{
    Encoding, decode_logs, decode_metrics, decode_traces, encode_logs_response,
    encode_metrics_response, encode_traces_response,
};
pub use error::{IngestError, Signal};
pub use ingest::Ingest;
pub use receipt::{Receipt, Rejected};
