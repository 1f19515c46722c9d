//! A snapshot's table as a DataFusion table: the rows of its files and of the head, and no way to write.

mod head;
mod value;

use std::{path::Path, sync::Arc};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::{
    catalog::Session,
    common::{DFSchema, ScalarValue},
    datasource::{
        TableProvider, TableType,
        listing::PartitionedFile,
        memory::MemorySourceConfig,
        physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource},
        source::DataSourceExec,
    },
    error::{DataFusionError, Result},
    execution::object_store::ObjectStoreUrl,
    logical_expr::{
        BinaryExpr, Expr, Operator, TableProviderFilterPushDown,
        utils::{conjunction, split_conjunction},
    },
    physical_plan::{ExecutionPlan, empty::EmptyExec, union::UnionExec},
};
use demarc_proto::{Millis, SeriesId, TenantId};
use demarc_store::{DataFile, SampleFilter, Snapshot, Table};

/// One table of one tenant's snapshot.
#[derive(Debug)]
pub(crate) struct SnapshotTable {
    snapshot: Snapshot,
    table: Table,
    schema: SchemaRef,
}

impl SnapshotTable {
    pub(crate) fn new(snapshot: &Snapshot, table: Table) -> Self {
        Self {
            snapshot: snapshot.clone(),
            table,
            schema: table.schema(),
        }
    }

    /// Whose rows these are.
    pub(crate) fn tenant(&self) -> &TenantId {
        self.snapshot.tenant()
    }

    /// Files that can hold rows within the time bounds of `filters`.
    fn files(&self, filters: &[Expr]) -> Vec<DataFile> {
        let bounds = Bounds::of(time_column(self.table), filters);
        let mut files = self.snapshot.files(self.table);
        files.retain(|file| bounds.overlap(file.min_time, file.max_time));
        files
    }

    async fn scan_files(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let files = self.snapshot.intact(self.table, self.files(filters)).await;
        let files = files.map_err(|error| DataFusionError::External(Box::new(error)))?;
        if files.is_empty() {
            return Ok(None);
        }
        let schema = self.table.file_schema();
        let mut source = ParquetSource::new(Arc::clone(&schema));
        if let Some(filter) = conjunction(self.held_by_files(filters)) {
            let schema = DFSchema::try_from(schema)?;
            source = source.with_predicate(state.create_physical_expr(filter, &schema)?);
        }
        let group: Vec<PartitionedFile> = files.iter().map(partitioned).collect::<Result<_>>()?;
        let config =
            FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
                .with_file_group(FileGroup::new(group))
                .with_projection_indices(self.file_columns(projection))?
                .build();
        let scan = DataSourceExec::from_data_source(config);
        match self.table {
            Table::Samples => {
                let columns = self.projected(projection)?;
                Ok(Some(value::restored(scan, &columns)?))
            }
            _ => Ok(Some(scan)),
        }
    }

    /// The filters that the columns of files can answer: those of samples do not hold the values as such.
    fn held_by_files(&self, filters: &[Expr]) -> Vec<Expr> {
        let is_held = |filter: &&Expr| {
            let columns = filter.column_refs();
            self.table != Table::Samples || columns.iter().all(|column| column.name != "value")
        };
        filters.iter().filter(is_held).cloned().collect()
    }

    /// The columns of files, by place, that the projected ones are made of.
    fn file_columns(&self, projection: Option<&Vec<usize>>) -> Option<Vec<usize>> {
        if self.table != Table::Samples {
            return projection.cloned();
        }
        let logical = match projection {
            Some(columns) => columns.clone(),
            None => (0..self.schema.fields().len()).collect(),
        };
        Some(value::file_columns(&self.schema, &logical))
    }

    fn projected(&self, projection: Option<&Vec<usize>>) -> Result<SchemaRef> {
        Ok(match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => Arc::clone(&self.schema),
        })
    }

    fn scan_head(
        &self,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        if self.table == Table::Samples {
            let filter = sample_filter(filters);
            return head::samples(&self.snapshot, filter, projection).map(Some);
        }
        let batches = self.snapshot.head(self.table);
        if batches.is_empty() {
            return Ok(None);
        }
        let schema = Arc::clone(&self.schema);
        let source = MemorySourceConfig::try_new_exec(&[batches], schema, projection.cloned())?;
        Ok(Some(source))
    }
}

fn partitioned(file: &DataFile) -> Result<PartitionedFile> {
    let path: &Path = &file.path;
    let path = object_store::path::Path::from_filesystem_path(path)
        .map_err(|error| DataFusionError::External(Box::new(error)))?;
    Ok(PartitionedFile::new(path.to_string(), file.size_bytes))
}

#[async_trait]
impl TableProvider for SnapshotTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let files = self.scan_files(state, projection, filters).await?;
        let head = self.scan_head(projection, filters)?;
        match (files, head) {
            (Some(files), Some(head)) => UnionExec::try_new(vec![files, head]),
            (Some(one), None) | (None, Some(one)) => Ok(one),
            (None, None) => Ok(Arc::new(EmptyExec::new(self.projected(projection)?))),
        }
    }

    /// Filters prune files and pages; DataFusion applies them to the rows.
    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }
}

/// What `filters` say of the series and times of samples; less than that is no error, for the rows are filtered again.
fn sample_filter(filters: &[Expr]) -> SampleFilter {
    let bounds = Bounds::of(time_column(Table::Samples), filters);
    let mut conjuncts = filters.iter().flat_map(split_conjunction);
    SampleFilter {
        series: conjuncts.find_map(series_ids),
        range: Some((Millis(bounds.min), Millis(bounds.max))),
    }
}

/// The only ids that `filter` lets through, where it is a condition on the series.
fn series_ids(filter: &Expr) -> Option<Vec<SeriesId>> {
    let is_id = |expr: &Expr| matches!(expr, Expr::Column(name) if name.name == "series_id");
    match filter {
        Expr::InList(list) if is_id(&list.expr) && !list.negated => {
            list.list.iter().map(series_id).collect()
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::Eq if is_id(left) => Some(vec![series_id(right)?]),
            // A short list of ids arrives as a chain of comparisons.
            Operator::Or => {
                let mut ids = series_ids(left)?;
                ids.extend(series_ids(right)?);
                Some(ids)
            }
            _ => None,
        },
        _ => None,
    }
}

fn series_id(expr: &Expr) -> Option<SeriesId> {
    match expr {
        Expr::Literal(ScalarValue::Binary(Some(bytes)), _) => SeriesId::from_bytes(bytes),
        _ => None,
    }
}

/// The column whose least and greatest values a file's entry holds.
fn time_column(table: Table) -> &'static str {
    match table {
        Table::Series => "first_seen",
        Table::Spans => "start_time",
        Table::Entities | Table::Relations => "valid_from",
        _ => "time",
    }
}

/// What filters say of a column of whole numbers: a closed interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bounds {
    min: i64,
    max: i64,
}

impl Bounds {
    fn of(column: &str, filters: &[Expr]) -> Self {
        let mut bounds = Self {
            min: i64::MIN,
            max: i64::MAX,
        };
        for filter in filters {
            bounds.narrow(column, filter);
        }
        bounds
    }

    fn narrow(&mut self, column: &str, filter: &Expr) {
        let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else {
            return;
        };
        if *op == Operator::And {
            self.narrow(column, left);
            self.narrow(column, right);
            return;
        }
        let (Expr::Column(name), Expr::Literal(ScalarValue::Int64(Some(value)), _)) =
            (left.as_ref(), right.as_ref())
        else {
            return;
        };
        if name.name != column {
            return;
        }
        match op {
            Operator::Gt | Operator::GtEq => self.min = self.min.max(*value),
            Operator::Lt | Operator::LtEq => self.max = self.max.min(*value),
            Operator::Eq => {
                self.min = self.min.max(*value);
                self.max = self.max.min(*value);
            }
            _ => {}
        }
    }

    /// Whether the interval touches `[min, max]`; an unknown end is open.
    fn overlap(self, min: Option<i64>, max: Option<i64>) -> bool {
        min.is_none_or(|min| min <= self.max) && max.is_none_or(|max| max >= self.min)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{col, lit};

    use super::*;

    #[test]
    fn bounds_come_from_conjunctions_of_comparisons() {
        let filter = col("time")
            .gt_eq(lit(5_i64))
            .and(col("time").lt(lit(9_i64)));
        let bounds = Bounds::of("time", &[filter]);
        assert_eq!(bounds, Bounds { min: 5, max: 9 });
        assert!(bounds.overlap(Some(0), Some(5)));
        assert!(!bounds.overlap(Some(10), Some(12)));
        assert!(bounds.overlap(None, None));
    }

    #[test]
    fn ids_come_from_lists_and_comparisons() {
        let id = |number: u128| lit(ScalarValue::Binary(Some(number.to_be_bytes().to_vec())));
        let either = col("series_id").eq(id(1)).or(col("series_id").eq(id(2)));
        let one = col("series_id").in_list(vec![id(3)], false);
        let others = col("series_id").in_list(vec![id(3)], true);
        let ids = |filter: &Expr| series_ids(filter);
        assert_eq!(ids(&either), Some(vec![SeriesId(1), SeriesId(2)]));
        assert_eq!(ids(&one), Some(vec![SeriesId(3)]));
        assert_eq!(ids(&others), None);
        assert_eq!(ids(&either.or(col("time").eq(lit(1_i64)))), None);
    }
}
