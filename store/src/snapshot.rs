//! What one reader sees: the files, the head and the series of one tenant at one moment.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use arrow::array::RecordBatch;
use demarc_proto::{Matcher, TenantId, TimeRange};

use crate::{MetricKind, SeriesEntry, StoreError, Table};

/// One committed Parquet file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFile {
    /// Absolute path on the local disk.
    pub path: PathBuf,
    /// Its size.
    pub size_bytes: u64,
    /// Its rows.
    pub rows: u64,
    /// The UTC day of its rows, `YYYY-MM-DD`.
    pub date: String,
    /// Smallest value of the table's time column, where the log knows it.
    pub min_time: Option<i64>,
    /// Largest value of the table's time column, where the log knows it.
    pub max_time: Option<i64>,
}

/// What is known of a metric: kind, help and unit, as some of its series say.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MetricMetadata {
    /// What kind of metric it is.
    pub kind: MetricKind,
    /// What it means, empty when unknown.
    pub help: String,
    /// The unit, empty when unknown.
    pub unit: String,
}

/// What one reader sees: the files, the head and the series of one tenant at one moment. Cheap to make and to clone.
#[derive(Clone, Debug)]
pub struct Snapshot {
    tenant: TenantId,
}

impl Snapshot {
    /// Whose rows these are.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The committed files of `table`, oldest first.
    pub fn files(&self, table: Table) -> Vec<DataFile> {
        unimplemented!("{table}")
    }

    /// The rows of `table` that are in no file yet. Never an empty batch.
    pub fn head(&self, table: Table) -> Vec<RecordBatch> {
        unimplemented!("{table}")
    }

    /// All rows of `table`, files before head: for small tables.
    pub async fn read(&self, table: Table) -> Result<Vec<RecordBatch>, StoreError> {
        unimplemented!("{table}")
    }

    /// The series that satisfy all `matchers`, sorted by their labels; with a `range`, only those with values on the UTC
    /// days that it touches. Without any matcher: all series.
    pub fn select(
        &self,
        matchers: &[Matcher],
        range: Option<TimeRange>,
    ) -> Result<Vec<Arc<SeriesEntry>>, StoreError> {
        unimplemented!("{matchers:?} {range:?}")
    }

    /// The names of the labels of the series that [`Snapshot::select`] finds, sorted.
    pub fn label_names(
        &self,
        matchers: &[Matcher],
        range: Option<TimeRange>,
    ) -> Result<Vec<String>, StoreError> {
        unimplemented!("{matchers:?} {range:?}")
    }

    /// The values that the label `name` has in the series that [`Snapshot::select`] finds, sorted.
    pub fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        range: Option<TimeRange>,
    ) -> Result<Vec<String>, StoreError> {
        unimplemented!("{name} {matchers:?} {range:?}")
    }

    /// What is known of each metric, by its name; all of them, or only `metric`.
    pub fn metadata(&self, metric: Option<&str>) -> BTreeMap<String, Vec<MetricMetadata>> {
        unimplemented!("{metric:?}")
    }
}
