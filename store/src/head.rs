//! What is in memory: per tenant and table the rows that are in no file yet, and the list of files.
//!
//! One lock guards all of it, held for moments only: whoever takes a snapshot sees each acknowledged row exactly once,
//! either in the head or in a file. Rows pass through three stations: `active` (appended to), `frozen` (being written to
//! files), and files. Only the writer of the log moves rows into `active` and from there to `frozen`; only the flusher moves
//! a table from `frozen` to files.

mod batch;

use std::{collections::BTreeMap, sync::Arc};

use arrow::array::RecordBatch;
use demarc_proto::TenantId;
use parking_lot::RwLock;

use crate::{DataFile, Snapshot, StoreConfig, Table, index::SeriesIndex, rows::NewSeries};

/// The rows of one append, ready for the head.
#[derive(Debug)]
pub(crate) struct Insert {
    /// Whose rows.
    pub(crate) tenant: TenantId,
    /// Table and rows.
    pub(crate) batches: Vec<(Table, RecordBatch)>,
    /// The series among them that are new.
    pub(crate) series: Vec<NewSeries>,
}

/// One table's rows by tenant.
pub(crate) type TenantRows = Vec<(TenantId, Arc<Vec<RecordBatch>>)>;

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
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    tenants: BTreeMap<TenantId, TenantHead>,
    active_rows: usize,
    active_bytes: usize,
}

#[derive(Debug, Default)]
struct TenantHead {
    tables: [TableHead; Table::ALL.len()],
    index: Arc<SeriesIndex>,
}

/// One table of one tenant; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct TableHead {
    /// Committed files, oldest first.
    pub(crate) files: Arc<Vec<DataFile>>,
    /// Rows being flushed.
    pub(crate) frozen: Arc<Vec<RecordBatch>>,
    /// Rows appended since.
    pub(crate) active: Arc<Vec<RecordBatch>>,
}

impl Head {
    /// An empty head.
    pub(crate) fn new(config: &StoreConfig) -> Self {
        Self {
            full_rows: config.flush_rows,
            full_bytes: config.flush_bytes,
            inner: RwLock::default(),
        }
    }

    /// Makes rows visible, all at once.
    pub(crate) fn insert(&self, inserts: Vec<Insert>) {
        let mut inner = self.inner.write();
        for insert in inserts {
            let mut rows = 0;
            let mut bytes = 0;
            let tenant = inner.tenants.entry(insert.tenant).or_default();
            for new in insert.series {
                tenant.index.insert(new);
            }
            for (table, batch) in insert.batches {
                rows += batch.num_rows();
                bytes += batch.get_array_memory_size();
                Arc::make_mut(&mut tenant.tables[table.index()].active).push(batch);
            }
            inner.active_rows += rows;
            inner.active_bytes += bytes;
        }
    }

    /// Adds committed files of a table.
    pub(crate) fn add_files(&self, table: Table, files: Vec<(TenantId, DataFile)>) {
        let mut inner = self.inner.write();
        inner.add_files(table, files);
    }

    /// Replaces a table's frozen rows by the files that hold them, for all tenants at one moment.
    pub(crate) fn publish(&self, table: Table, files: Vec<(TenantId, DataFile)>) {
        let mut inner = self.inner.write();
        inner.add_files(table, files);
        for tenant in inner.tenants.values_mut() {
            tenant.tables[table.index()].frozen = Arc::default();
        }
    }

    /// Moves the active rows to the frozen ones. `seq`: the last sequence number that was inserted.
    pub(crate) fn freeze(&self, seq: u64) -> Frozen {
        let mut inner = self.inner.write();
        inner.active_rows = 0;
        inner.active_bytes = 0;
        let mut tables: BTreeMap<Table, TenantRows> = BTreeMap::new();
        for (id, tenant) in &mut inner.tenants {
            for table in Table::ALL {
                let head = &mut tenant.tables[table.index()];
                let active = std::mem::take(&mut head.active);
                if head.frozen.is_empty() {
                    head.frozen = active;
                } else if !active.is_empty() {
                    Arc::make_mut(&mut head.frozen).extend(active.iter().cloned());
                }
                if !head.frozen.is_empty() {
                    let rows = (id.clone(), head.frozen.clone());
                    tables.entry(table).or_default().push(rows);
                }
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
            let mut inner = self.inner.write();
            if let Some(tenant) = inner.tenants.get_mut(&tenant) {
                tenant.tables[table.index()].active = Arc::new(merged);
            }
        }
    }

    /// Whether it is time to flush.
    pub(crate) fn is_full(&self) -> bool {
        let inner = self.inner.read();
        inner.active_rows >= self.full_rows || inner.active_bytes >= self.full_bytes
    }

    /// Whether there is any row that is in no file.
    pub(crate) fn has_rows(&self) -> bool {
        let inner = self.inner.read();
        let mut tables = inner.tenants.values().flat_map(|tenant| &tenant.tables);
        tables.any(|table| !table.active.is_empty() || !table.frozen.is_empty())
    }

    /// The series of `tenant`; `None` when it has never had a row.
    pub(crate) fn index(&self, tenant: &TenantId) -> Option<Arc<SeriesIndex>> {
        let inner = self.inner.read();
        inner.tenants.get(tenant).map(|tenant| tenant.index.clone())
    }

    /// The tenants that have rows, sorted.
    pub(crate) fn tenants(&self) -> Vec<TenantId> {
        self.inner.read().tenants.keys().cloned().collect()
    }

    /// What there is of `tenant` now.
    pub(crate) fn snapshot(&self, tenant: &TenantId) -> Snapshot {
        let inner = self.inner.read();
        match inner.tenants.get(tenant) {
            Some(found) => Snapshot::new(tenant, found.tables.clone(), found.index.clone()),
            None => Snapshot::new(tenant, Default::default(), Arc::default()),
        }
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
}

impl Inner {
    fn add_files(&mut self, table: Table, files: Vec<(TenantId, DataFile)>) {
        for (tenant, file) in files {
            let tenant = self.tenants.entry(tenant).or_default();
            Arc::make_mut(&mut tenant.tables[table.index()].files).push(file);
        }
    }
}
