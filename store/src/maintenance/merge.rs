//! Merging sorted batches from several files into one sorted stream, in bounded memory: of each file, one batch at a time.

use std::{cmp::Reverse, collections::BinaryHeap};

use arrow::{
    array::{ArrayRef, RecordBatch},
    compute::interleave_record_batch,
    row::{OwnedRow, RowConverter, Rows, SortField},
};

use crate::{StoreError, Table};

/// Rows of one batch of the merged stream, at most.
const OUT_ROWS: usize = 8192;
/// Memory of such a batch, about.
const OUT_BYTES: usize = 32 << 20;

/// One file's batches, sorted.
pub(super) type Batches = Box<dyn Iterator<Item = Result<RecordBatch, StoreError>>>;

/// The rows of several sorted files of a table in one order.
pub(super) struct Merge {
    table: Table,
    converter: RowConverter,
    sources: Vec<Source>,
    /// The next row of each source that has one.
    next: BinaryHeap<Reverse<(OwnedRow, usize)>>,
    /// Batches that `taken` points into; the first ones are those of the sources.
    batches: Vec<RecordBatch>,
    /// Rows that the next batch of the stream consists of, as batch and row.
    taken: Vec<(usize, usize)>,
    /// What those rows take, if the rows of a batch are alike.
    taken_bytes: usize,
}

struct Source {
    batches: Batches,
    /// The sort keys of the current batch.
    keys: Rows,
    /// The place of the current batch among those held.
    batch: usize,
    /// The next row of it.
    at: usize,
    /// What a row of it takes on average.
    row_bytes: usize,
}

impl Merge {
    /// Begins to merge; every one of `files` comes sorted.
    pub(super) fn new(table: Table, files: Vec<Batches>) -> Result<Self, StoreError> {
        let schema = table.schema();
        let fields = table.sort_columns().iter().map(|name| {
            let field = schema.field_with_name(name)?;
            Ok(SortField::new(field.data_type().clone()))
        });
        let fields: Result<Vec<SortField>, arrow::error::ArrowError> = fields.collect();
        let mut merge = Self {
            table,
            converter: RowConverter::new(fields?)?,
            sources: Vec::new(),
            next: BinaryHeap::new(),
            batches: Vec::new(),
            taken: Vec::new(),
            taken_bytes: 0,
        };
        for batches in files {
            merge.add(batches)?;
        }
        Ok(merge)
    }

    fn add(&mut self, batches: Batches) -> Result<(), StoreError> {
        let keys = self.converter.empty_rows(0, 0);
        self.sources.push(Source {
            batches,
            keys,
            batch: 0,
            at: 0,
            row_bytes: 0,
        });
        self.advance(self.sources.len() - 1)
    }

    /// Reads the next batch of a source, if there is one, and queues its first row.
    fn advance(&mut self, source: usize) -> Result<(), StoreError> {
        let one = &mut self.sources[source];
        let batch = loop {
            match one.batches.next().transpose()? {
                None => return Ok(()),
                Some(batch) if batch.num_rows() == 0 => {}
                Some(batch) => break batch,
            }
        };
        one.keys = self
            .converter
            .convert_columns(&keys_of(self.table, &batch))?;
        (one.batch, one.at) = (self.batches.len(), 0);
        one.row_bytes = batch.get_array_memory_size() / batch.num_rows();
        self.batches.push(batch);
        self.next.push(Reverse((one.keys.row(0).owned(), source)));
        Ok(())
    }

    /// Takes the rows that are next, all of one source.
    fn take_run(&mut self, source: usize) -> Result<(), StoreError> {
        let one = &mut self.sources[source];
        // Of equal rows, those of the earlier source come first.
        let limit = self.next.peek();
        let limit = limit.map(|Reverse((row, other))| (row.row(), *other));
        while one.at < one.keys.num_rows() && !is_full(&self.taken, self.taken_bytes) {
            let row = one.keys.row(one.at);
            if limit.is_some_and(|limit| (row, source) > limit) {
                break;
            }
            self.taken.push((one.batch, one.at));
            self.taken_bytes += one.row_bytes;
            one.at += 1;
        }
        if one.at == one.keys.num_rows() {
            return self.advance(source);
        }
        let row = one.keys.row(one.at).owned();
        self.next.push(Reverse((row, source)));
        Ok(())
    }

    /// The rows taken, as a batch; keeps only the batches that are still being read.
    fn emit(&mut self) -> Result<RecordBatch, StoreError> {
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        let out = interleave_record_batch(&batches, &self.taken)?;
        self.taken.clear();
        self.taken_bytes = 0;
        let mut kept = Vec::new();
        for source in &mut self.sources {
            if source.at < source.keys.num_rows() {
                kept.push(self.batches[source.batch].clone());
                source.batch = kept.len() - 1;
            }
        }
        self.batches = kept;
        Ok(out)
    }
}

impl Iterator for Merge {
    type Item = Result<RecordBatch, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !is_full(&self.taken, self.taken_bytes) {
            let Some(Reverse((_, source))) = self.next.pop() else {
                break;
            };
            if let Err(error) = self.take_run(source) {
                return Some(Err(error));
            }
        }
        (!self.taken.is_empty()).then(|| self.emit())
    }
}

fn is_full(taken: &[(usize, usize)], bytes: usize) -> bool {
    taken.len() >= OUT_ROWS || bytes >= OUT_BYTES
}

fn keys_of(table: Table, batch: &RecordBatch) -> Vec<ArrayRef> {
    let columns = table.sort_columns().iter();
    columns
        .filter_map(|name| batch.column_by_name(name).cloned())
        .collect()
}
