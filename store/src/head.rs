//! What is in memory: per tenant and table the rows that are in no file yet, and the list of files.
//!
//! One lock guards all of it, held for moments only: whoever takes a snapshot sees each acknowledged row exactly once,
//! either in the head or in a file. Rows pass through three stations: `active` (appended to), `frozen` (being written to
//! files), and files. Only the writer of the log moves rows into `active` and from there to `frozen`; only the flusher moves
//! a table from `frozen` to files.

mod batch;
mod block;
mod memory;
mod recent;
pub(crate) mod runs;
mod series;
mod settled;
mod tenant;

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::Int64Type,
};
use demarc_proto::TenantId;
use parking_lot::RwLock;

use self::{runs::Runs, tenant::TenantHead};

pub use self::memory::InMemory;
pub(crate) use self::{
    block::Block,
    recent::Recent,
    series::{Pieces, SeriesHead},
    settled::Settled,
    tenant::{Gate, SampleHead, TableHead},
};

use crate::{
    DataFile, Snapshot, StoreConfig, StoreError, Table,
    index::SeriesIndex,
    integrity::Integrity,
    rows::{NewSeries, Samples, intern_series, samples_of_batch},
};

/// The rows of one append, ready for the head.
#[derive(Debug)]
pub(crate) struct Insert {
    /// Whose rows.
    pub(crate) tenant: TenantId,
    /// Table and rows; neither samples nor series.
    pub(crate) batches: Vec<(Table, RecordBatch)>,
    /// The samples, sorted.
    pub(crate) samples: Samples,
    /// The rows of the `series` table.
    pub(crate) series: Vec<NewSeries>,
}

/// One table's rows by tenant.
pub(crate) type TenantRows = Vec<(TenantId, TableRows)>;

/// One tenant's rows of one table that are in no file.
#[derive(Clone, Debug)]
pub(crate) enum TableRows {
    /// Of any table but the following.
    Batches(Arc<Vec<RecordBatch>>),
    /// Of `series`, and what tells their labels.
    Series(Pieces, Arc<SeriesIndex>),
    /// Of `samples`, and what tells the ids and names of their series.
    Samples(Runs, Arc<SeriesIndex>),
}

/// The samples that a flush has written, of each tenant.
pub(crate) type Blocks = Vec<(TenantId, Arc<Block>)>;

/// The rows that a flush has to write.
#[derive(Debug)]
pub(crate) struct Frozen {
    /// The last sequence number among them, and among all rows before them.
    pub(crate) seq: u64,
    /// Rows by table and tenant; tables and tenants without rows are left out.
    pub(crate) tables: BTreeMap<Table, TenantRows>,
}

/// All tenants' rows and files.
#[derive(Debug)]
pub(crate) struct Head {
    full_rows: usize,
    full_bytes: usize,
    recent_bytes: usize,
    integrity: Arc<Integrity>,
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    tenants: BTreeMap<TenantId, TenantHead>,
    active_rows: usize,
    active_bytes: usize,
    /// Of the rows that were frozen and are not all in files yet.
    frozen_bytes: usize,
}

/// The head takes rows up to this many times the size at which it is flushed: when flushing keeps failing, memory is the
/// other thing that must not run out.
const MAX_FILL: usize = 4;

/// The first and the last time of the samples and histograms of an append.
fn times(insert: &Insert) -> Option<(i64, i64)> {
    let samples = insert.samples.points().iter().map(|point| point.time);
    let of = |(table, _): &&(Table, RecordBatch)| *table == Table::Histograms;
    let columns = insert.batches.iter().filter(of).filter_map(|(_, rows)| {
        let times = rows.column_by_name("time")?;
        times.as_primitive_opt::<Int64Type>()
    });
    let histograms = columns.flat_map(|times| times.values().iter().copied());
    let widened = |range: Option<(i64, i64)>, time: i64| match range {
        Some((first, last)) => Some((first.min(time), last.max(time))),
        None => Some((time, time)),
    };
    samples.chain(histograms).fold(None, widened)
}

impl Head {
    /// An empty head.
    pub(crate) fn new(config: &StoreConfig, integrity: Arc<Integrity>) -> Self {
        Self {
            full_rows: config.flush_rows,
            full_bytes: config.flush_bytes,
            recent_bytes: config.recent_bytes,
            integrity,
            inner: RwLock::default(),
        }
    }

    /// Rows as they stand in files or in the log, ready for [`Head::insert`].
    pub(crate) fn prepare(
        &self,
        tenant: TenantId,
        mut batches: Vec<(Table, RecordBatch)>,
    ) -> Result<Insert, StoreError> {
        let index = self.index(&tenant);
        let of = |wanted: Table| move |(table, _): &&(Table, RecordBatch)| *table == wanted;
        let mut series = Vec::new();
        for (_, batch) in batches.iter().filter(of(Table::Series)) {
            series.extend(intern_series(&index, batch)?);
        }
        let mut samples = Samples::default();
        for (_, batch) in batches.iter().filter(of(Table::Samples)) {
            samples.extend(&samples_of_batch(&index, batch)?);
        }
        samples.sort();
        batches.retain(|(table, _)| !matches!(table, Table::Samples | Table::Series));
        Ok(Insert {
            tenant,
            batches,
            samples,
            series,
        })
    }

    /// Makes rows visible, all at once.
    pub(crate) fn insert(&self, inserts: Vec<Insert>) {
        let mut inner = self.inner.write();
        for insert in inserts {
            let mut rows = 0;
            let mut bytes = 0;
            let times = times(&insert);
            let tenant = inner.tenants.entry(insert.tenant).or_default();
            let known = insert.series.iter().map(|new| (new.series, new.day));
            tenant.index.make_known(known);
            if let Some(times) = times {
                tenant.settled.came(times);
            }
            if !insert.samples.is_empty() {
                rows += insert.samples.len();
                bytes += insert.samples.memory_bytes();
                Arc::make_mut(&mut tenant.samples.active).push(Arc::new(insert.samples));
            }
            for (table, batch) in insert.batches {
                rows += batch.num_rows();
                bytes += batch.get_array_memory_size();
                Arc::make_mut(&mut tenant.tables[table.index()].active).push(batch);
            }
            rows += insert.series.len();
            bytes += size_of_val(insert.series.as_slice());
            tenant.series.push(insert.series);
            inner.active_rows += rows;
            inner.active_bytes += bytes;
        }
    }

    /// Notes that files have these rows of the `series` table.
    pub(crate) fn make_known(&self, tenant: &TenantId, series: &[NewSeries]) {
        let known = series.iter().map(|new| (new.series, new.day));
        self.index(tenant).make_known(known);
    }

    /// Adds committed files of a table.
    pub(crate) fn add_files(&self, table: Table, files: Vec<(TenantId, DataFile)>) {
        let mut inner = self.inner.write();
        inner.add_files(table, files);
        if table == Table::Samples {
            for tenant in inner.tenants.values_mut() {
                let files = tenant.tables[table.index()].files.clone();
                tenant.samples.recent.not_kept(files.iter());
            }
        }
    }

    /// Replaces the list of a table's files, for all tenants at one moment.
    pub(crate) fn set_files(&self, table: Table, files: Vec<(TenantId, DataFile)>) {
        self.inner.write().set_files(table, files);
    }

    /// Replaces a table's frozen rows by the files that hold them, for all tenants at one moment. `kept`: the rows of these
    /// files, of the tenants of which they are at hand.
    pub(crate) fn publish(&self, table: Table, files: Vec<(TenantId, DataFile)>, kept: Blocks) {
        let mut inner = self.inner.write();
        if table == Table::Samples {
            inner.keep_recent(&files, kept, self.recent_bytes);
        }
        inner.add_files(table, files);
        inner.drop_frozen(table);
    }

    /// Replaces a table's frozen rows and the list of its files by all the files that there are, at one moment.
    pub(crate) fn publish_all(&self, table: Table, files: Vec<(TenantId, DataFile)>) {
        let mut inner = self.inner.write();
        inner.set_files(table, files);
        inner.drop_frozen(table);
    }

    /// Moves the active rows to the frozen ones. `seq`: the last sequence number that was inserted.
    pub(crate) fn freeze(&self, seq: u64) -> Frozen {
        let mut inner = self.inner.write();
        inner.frozen_bytes += inner.active_bytes;
        inner.active_rows = 0;
        inner.active_bytes = 0;
        let mut tables: BTreeMap<Table, TenantRows> = BTreeMap::new();
        for (id, tenant) in &mut inner.tenants {
            for (table, rows) in tenant.freeze() {
                tables.entry(table).or_default().push((id.clone(), rows));
            }
        }
        Frozen { seq, tables }
    }

    /// Merges small batches, so that reading stays cheap however small the appends are.
    pub(crate) fn coalesce(&self) {
        // Only the caller's thread changes `active`, so that it may be merged without the lock.
        for (tenant, table, active) in self.scattered() {
            let Some(merged) = batch::merge_tail(&active) else {
                continue;
            };
            if let Some(tenant) = self.inner.write().tenants.get_mut(&tenant) {
                tenant.tables[table.index()].active = Arc::new(merged);
            }
        }
        for (tenant, active) in self.scattered_samples() {
            let Some(merged) = runs::merge_tail(&active) else {
                continue;
            };
            if let Some(tenant) = self.inner.write().tenants.get_mut(&tenant) {
                tenant.samples.active = Arc::new(merged);
            }
        }
    }

    /// Merges blocks of samples that files hold as well, so that the samples of a series are in few places. Only who publishes
    /// may call it, and not where nothing may block.
    pub(crate) fn merge_recent(&self) {
        let max_bytes = self.recent_bytes / recent::MAX_SHARE;
        let loose = |inner: &Inner| {
            let mut tenants = inner.tenants.iter();
            tenants.find_map(|(id, one)| Some((id.clone(), one.samples.recent.loose(max_bytes)?)))
        };
        while let Some((tenant, blocks)) = {
            let inner = self.inner.read();
            loose(&inner)
        } {
            let merged = Arc::new(Block::merge(&blocks));
            if let Some(tenant) = self.inner.write().tenants.get_mut(&tenant) {
                tenant.samples.recent.replace(&blocks, merged);
            }
        }
    }

    /// Whether it is time to flush.
    pub(crate) fn is_full(&self) -> bool {
        let inner = self.inner.read();
        inner.active_rows >= self.full_rows || inner.active_bytes >= self.full_bytes
    }

    /// Whether no more rows may be taken until some are in files.
    pub(crate) fn is_overfull(&self) -> bool {
        let inner = self.inner.read();
        let limit = self.full_bytes.saturating_mul(MAX_FILL);
        inner.active_bytes.saturating_add(inner.frozen_bytes) >= limit
    }

    /// Whether there is any row that is in no file.
    pub(crate) fn has_rows(&self) -> bool {
        let inner = self.inner.read();
        inner.tenants.values().any(TenantHead::has_rows)
    }

    /// The series of `tenant`.
    pub(crate) fn index(&self, tenant: &TenantId) -> Arc<SeriesIndex> {
        if let Some(tenant) = self.inner.read().tenants.get(tenant) {
            return tenant.index.clone();
        }
        let mut inner = self.inner.write();
        inner
            .tenants
            .entry(tenant.clone())
            .or_default()
            .index
            .clone()
    }

    /// What an append to `tenant` has to hold until its rows are in the head.
    pub(crate) fn gate(&self, tenant: &TenantId) -> Arc<Gate> {
        if let Some(tenant) = self.inner.read().tenants.get(tenant) {
            return tenant.gate.clone();
        }
        let mut inner = self.inner.write();
        let tenant = inner.tenants.entry(tenant.clone()).or_default();
        tenant.gate.clone()
    }

    /// Forgets the series of a tenant that has no row anywhere.
    pub(crate) fn forget_series(&self, tenant: &TenantId) {
        if let Some(tenant) = self.inner.write().tenants.get_mut(tenant) {
            tenant.index = Arc::new(SeriesIndex::after(&tenant.index));
            tenant.samples.recent.give_up();
        }
    }

    /// The tenants that have rows, sorted.
    pub(crate) fn tenants(&self) -> Vec<TenantId> {
        let inner = self.inner.read();
        let has_any = |tenant: &TenantHead| {
            tenant.has_rows() || tenant.tables.iter().any(|table| !table.files.is_empty())
        };
        let tenants = inner.tenants.iter().filter(|(_, tenant)| has_any(tenant));
        tenants.map(|(id, _)| id.clone()).collect()
    }

    /// What there is of `tenant` now.
    pub(crate) fn snapshot(&self, tenant: &TenantId) -> Snapshot {
        let inner = self.inner.read();
        match inner.tenants.get(tenant) {
            Some(found) => Snapshot::new(
                tenant,
                found.tables.clone(),
                (found.samples.clone(), found.series.clone()),
                found.index.clone(),
            )
            .settled_as(found.settled),
            None => Snapshot::new(
                tenant,
                Default::default(),
                Default::default(),
                Arc::default(),
            ),
        }
        .checked_by(self.integrity.clone())
    }

    fn scattered(&self) -> Vec<(TenantId, Table, Arc<Vec<RecordBatch>>)> {
        let inner = self.inner.read();
        let mut scattered = Vec::new();
        for (id, tenant) in &inner.tenants {
            for table in Table::ALL {
                let active = &tenant.tables[table.index()].active;
                if batch::has_loose_tail(active) {
                    scattered.push((id.clone(), table, active.clone()));
                }
            }
        }
        scattered
    }

    fn scattered_samples(&self) -> Vec<(TenantId, Runs)> {
        let inner = self.inner.read();
        let scattered = inner
            .tenants
            .iter()
            .filter(|(_, tenant)| runs::has_loose_tail(&tenant.samples.active));
        scattered
            .map(|(id, tenant)| (id.clone(), tenant.samples.active.clone()))
            .collect()
    }
}

impl Inner {
    fn set_files(&mut self, table: Table, files: Vec<(TenantId, DataFile)>) {
        let rows = |tenant: &TenantHead| {
            let files = tenant.tables[table.index()].files.iter();
            files.map(|file| file.rows).sum::<u64>()
        };
        let tenants = self.tenants.iter();
        let before: BTreeMap<TenantId, u64> =
            tenants.map(|(id, one)| (id.clone(), rows(one))).collect();
        for tenant in self.tenants.values_mut() {
            tenant.tables[table.index()].files = Arc::default();
        }
        self.add_files(table, files);
        for (id, tenant) in &mut self.tenants {
            // Merging leaves the rows as they are; whatever else it was, what is kept may no longer be what files hold.
            if before.get(id) == Some(&rows(tenant)) {
                continue;
            }
            tenant.settled.went();
            if table == Table::Samples {
                let files = tenant.tables[table.index()].files.clone();
                tenant.samples.recent.give_up();
                tenant.samples.recent.not_kept(files.iter());
            }
        }
    }

    fn drop_frozen(&mut self, table: Table) {
        for tenant in self.tenants.values_mut() {
            tenant.tables[table.index()].frozen = Arc::default();
            if table == Table::Samples {
                tenant.samples.frozen = Arc::default();
            }
            if table == Table::Series {
                tenant.series.frozen = Arc::default();
            }
        }
        if self.tenants.values().all(|tenant| !tenant.has_frozen()) {
            self.frozen_bytes = 0;
        }
    }

    fn add_files(&mut self, table: Table, files: Vec<(TenantId, DataFile)>) {
        for (tenant, file) in files {
            let tenant = self.tenants.entry(tenant).or_default();
            Arc::make_mut(&mut tenant.tables[table.index()].files).push(file);
        }
    }

    /// Keeps samples that have just been written to `files`, and gives up the oldest ones of whoever has most, so that all
    /// together stay below `limit` bytes.
    fn keep_recent(&mut self, files: &[(TenantId, DataFile)], kept: Blocks, limit: usize) {
        for (id, file) in files {
            if kept.iter().all(|(owner, _)| owner != id) {
                let tenant = self.tenants.entry(id.clone()).or_default();
                tenant.samples.recent.not_kept(std::iter::once(file));
            }
        }
        for (id, kept) in kept {
            let tenant = self.tenants.entry(id).or_default();
            tenant.samples.recent.keep(kept);
        }
        loop {
            let sizes = self.tenants.values_mut().map(|tenant| {
                let bytes = tenant.samples.recent.bytes();
                (bytes, tenant)
            });
            let sizes: Vec<(usize, &mut TenantHead)> = sizes.collect();
            if sizes.iter().map(|(bytes, _)| bytes).sum::<usize>() <= limit {
                return;
            }
            if let Some((_, most)) = sizes.into_iter().max_by_key(|(bytes, _)| *bytes) {
                most.samples.recent.give_up_oldest();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use demarc_proto::{Labels, Millis, SeriesId};

    use super::*;
    use crate::{MetricKind, SeriesEntry};

    fn insert(head: &Head, tenant: &TenantId, count: i64) {
        let labels = Labels::from_pairs([("__name__", "up")]);
        let series = head.index(tenant).intern(SeriesEntry {
            id: SeriesId::of(tenant, &labels),
            labels,
            kind: MetricKind::Gauge,
            unit: String::new(),
            help: String::new(),
        });
        let mut samples = Samples::default();
        for time in 0..count {
            samples.push(series, Millis(time), 1.0);
        }
        head.insert(vec![Insert {
            tenant: tenant.clone(),
            batches: Vec::new(),
            samples,
            series: Vec::new(),
        }]);
    }

    #[test]
    fn rows_that_cannot_be_flushed_count_against_the_limit() {
        let config = StoreConfig {
            flush_bytes: 3_000,
            ..StoreConfig::default()
        };
        let head = Head::new(&config, Arc::default());
        let tenant = TenantId::default();
        insert(&head, &tenant, 200);
        assert!(head.is_full() && !head.is_overfull());
        head.freeze(1);
        insert(&head, &tenant, 400);
        assert!(head.is_overfull());
        head.freeze(2);
        assert!(head.is_overfull());
        head.publish(Table::Samples, Vec::new(), Vec::new());
        assert!(!head.is_overfull());
    }
}
