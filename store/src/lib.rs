//! The columnar store: WAL, in-memory head, Parquet files committed to Delta Lake, label index, snapshots.

mod config;
mod error;
mod index;
mod rows;
mod schema;
mod snapshot;
mod store;

pub use config::StoreConfig;
pub use error::StoreError;
pub use index::SeriesEntry;
pub use rows::{
    Buckets, ChangeRow, EntityRow, Exemplar, Histogram, LogRow, MetricKind, MetricRows,
    RelationRow, Rows, Sample, SpanEvent, SpanKind, SpanLink, SpanRow, SpanStatus,
};
pub use schema::Table;
pub use snapshot::{DataFile, MetricMetadata, Snapshot};
pub use store::Store;
