//! Merging small batches into larger ones.
//!
//! Batches at the end of a list that are not much smaller than what follows them are merged once there are enough of them.
//! So a row is copied a few times at most (each time into a batch several times as large), and a list of n rows has in the
//! order of log(n) batches below the largest size.

use arrow::{array::RecordBatch, compute::concat_batches};

/// Batches that are merged at once, at least.
const MIN_RUN: usize = 8;
/// No merge makes a batch larger than this.
const MAX_ROWS: usize = 1 << 15;
const MAX_BYTES: usize = 16 << 20;

/// Whether [`merge_tail`] would merge anything.
pub(super) fn has_loose_tail(batches: &[RecordBatch]) -> bool {
    batches.len() >= MIN_RUN && batches.len() - tail(batches) >= MIN_RUN
}

/// The same rows in fewer batches; `None` when there is nothing to merge.
pub(super) fn merge_tail(batches: &[RecordBatch]) -> Option<Vec<RecordBatch>> {
    if !has_loose_tail(batches) {
        return None;
    }
    let (kept, run) = batches.split_at(tail(batches));
    // Merging is a convenience: rows that cannot be merged stay as they are.
    let merged = concat_batches(run[0].schema_ref(), run).ok()?;
    let mut batches = kept.to_vec();
    batches.push(merged);
    Some(batches)
}

/// Where the run of mergeable batches at the end begins.
fn tail(batches: &[RecordBatch]) -> usize {
    let mut start = batches.len();
    let (mut rows, mut bytes) = (0, 0);
    while start > 0 {
        let batch = &batches[start - 1];
        let next_rows = rows + batch.num_rows();
        let next_bytes = bytes + batch.get_array_memory_size();
        let is_much_larger = start < batches.len() && batch.num_rows() > 2 * rows;
        if is_much_larger || next_rows > MAX_ROWS || next_bytes > MAX_BYTES {
            break;
        }
        (rows, bytes) = (next_rows, next_bytes);
        start -= 1;
    }
    start
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{AsArray, Int64Array},
        datatypes::{DataType, Field, Int64Type, Schema},
    };

    use super::*;

    #[test]
    fn many_small_appends_stay_few_batches_in_order() {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
        let mut batches = Vec::new();
        for n in 0..3000 {
            let column = Arc::new(Int64Array::from(vec![n]));
            batches.push(RecordBatch::try_new(schema.clone(), vec![column]).unwrap());
            if let Some(merged) = merge_tail(&batches) {
                batches = merged;
            }
            assert!(batches.len() < 64);
        }
        let numbers = batches.iter().flat_map(|batch| {
            let column = batch.column(0).as_primitive::<Int64Type>();
            column.values().to_vec()
        });
        assert!(numbers.eq(0..3000));
    }
}
