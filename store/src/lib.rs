//! The columnar store: WAL, in-memory head, Parquet files committed to Delta Lake, label index, snapshots.
