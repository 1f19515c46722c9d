//! The samples of the head, made into rows as they are asked for: in memory they have another form, which is much smaller.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::{
    error::Result,
    execution::{SendableRecordBatchStream, TaskContext},
    physical_plan::{
        ExecutionPlan,
        stream::RecordBatchStreamAdapter,
        streaming::{PartitionStream, StreamingTableExec},
    },
};
use demarc_store::{SampleFilter, Snapshot, Table};
use futures::stream;

#[derive(Debug)]
struct HeadSamples {
    snapshot: Snapshot,
    filter: SampleFilter,
    schema: SchemaRef,
}

impl PartitionStream for HeadSamples {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let batches = self.snapshot.head_sample_batches(&self.filter);
        let batches = stream::iter(batches.map(Ok));
        Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            batches,
        ))
    }
}

/// The samples of the head that pass `filter`.
pub(super) fn samples(
    snapshot: &Snapshot,
    filter: SampleFilter,
    projection: Option<&Vec<usize>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = Table::Samples.schema();
    let rows = HeadSamples {
        snapshot: snapshot.clone(),
        filter,
        schema: Arc::clone(&schema),
    };
    let plan =
        StreamingTableExec::try_new(schema, vec![Arc::new(rows)], projection, None, false, None)?;
    Ok(Arc::new(plan))
}
