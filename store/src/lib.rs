//! The columnar store: write-ahead log, in-memory head, Parquet files committed to Delta Lake, label index, snapshots.
//!
//! [`Rows`] -> columns -> write-ahead log (group commit, then acknowledged) -> head (queryable at once) -> data files (sorted
//! Parquet) -> Delta commit. A [`Snapshot`] lists one tenant's files and head at one moment.
//!
//! Invariants:
//! - Acknowledged means synced to the write-ahead log and visible in every later snapshot.
//! - A row is in the head or in a file, never in both, for every snapshot and after every crash: a table's Delta commit
//!   carries the position of the log that it covers, and recovery replays only what is after it.
//! - Only this crate writes data files, and one process per directory.
//! - A failed flush loses nothing: rows stay in head and log until a flush succeeds.
//!
//! On disk: `wal/*.wal`, and per table `tables/<name>/_delta_log/` and `tables/<name>/tenant=<id>/date=<day>/*.parquet`, which
//! any Delta Lake reader can read.
//!
//! Reading order: [`Table`] (the schemas), [`Rows`], `wal`, `head`, `index` (series and matchers), `data_file`, `delta`, `flush`,
//! [`Snapshot`], `scan` (wanted rows out of files), [`Store`].

mod config;
mod data_file;
mod day;
mod delta;
mod error;
mod flush;
mod head;
mod index;
mod integrity;
mod maintenance;
mod metric;
mod quarantine;
mod rows;
mod scan;
mod schema;
mod snapshot;
mod store;
mod wal;
mod window;

pub use config::StoreConfig;
pub use data_file::{restore_values, split_values};
pub use error::StoreError;
pub use head::InMemory;
pub use index::{Selected, SeriesEntry, SeriesIndex};
pub use maintenance::{Kept, Retention, TenantRetention};
pub use quarantine::{Damage, DamageKind};
pub use rows::{
    Buckets, CUSTOM_BUCKETS, ChangeRow, Columns, CounterReset, EntityRow, Exemplar, Histogram,
    LogColumns, LogRow, Logs, MetricKind, MetricRows, NewLog, NewSpan, RelationRow, Rows, Sample,
    Samples, SeriesRef, SharedAttributes, SpanColumns, SpanEvent, SpanKind, SpanLink, SpanRow,
    SpanStatus, SpanView, Spans,
};
pub use scan::{Columns as SampleColumns, Fragment, Part, Stretch, Wanted};
pub use schema::Table;
pub use snapshot::{DataFile, MetricMetadata, SampleFilter, SampleStretch, Snapshot};
pub use store::Store;
pub use wal::{LogItem, LogSegment, read_log_segment};
pub use window::{Edge, Resolution, Window, Windows, is_reset, is_restarted};
