//! What ingest remembers of each tenant's series: which are announced to the store, and the newest value of each.
//!
//! A series is found by a hash of the bytes in which its sender writes its labels, so that the labels of a series that is
//! known are neither read nor copied. What is remembered is only what is durable: a request whose rows were refused leaves
//! no trace, and sending it again is no duplicate.

use std::{
    collections::HashMap,
    hash::Hasher,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
};

use demarc_proto::{Nanos, TenantId};
use parking_lot::{Mutex, RwLock};

use demarc_store::{SeriesIndex, SeriesRef};

use crate::{IngestError, limit::Rate, metric::Deltas, remote_write::Metadata};

mod table;

pub(crate) use table::Table;

const SHARDS: usize = 64;
/// Most metric families whose metadata is remembered by name.
const MAX_FAMILIES: usize = 100_000;

/// All tenants.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    tenants: RwLock<HashMap<TenantId, Arc<Tenant>>>,
    /// Series of all tenants in the store, when they were last counted.
    counted: AtomicUsize,
}

/// One tenant.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) rows: Rate,
    pub(crate) bytes: Rate,
    pub(crate) deltas: Mutex<Deltas>,
    shards: [Mutex<Table>; SHARDS],
    active: AtomicUsize,
    /// Its series in the store, when those of all tenants were last counted.
    counted: AtomicUsize,
    /// Rises with every change of `families`.
    version: AtomicU32,
    families: RwLock<HashMap<String, Metadata>>,
    /// The series of the store.
    pub(crate) index: Arc<SeriesIndex>,
}

/// Where in each shard the next series of a request is most likely found.
#[derive(Debug)]
pub(crate) struct Path([u32; SHARDS]);

impl Default for Path {
    fn default() -> Self {
        Self([u32::MAX; SHARDS])
    }
}

/// What is known of one series. With its key it takes 48 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) series: SeriesRef,
    /// Time of the newest value, in milliseconds.
    pub(crate) newest: i64,
    /// Bits of the newest value; of a histogram, a hash of it.
    pub(crate) bits: u64,
    /// Minutes since the epoch when a value came last.
    pub(crate) seen_minute: u32,
    /// Hash of the metadata that the store was told.
    pub(crate) metadata: u32,
    /// The last bits of the version of the tenant's metadata by family that `metadata` was looked up in.
    pub(crate) version: u16,
    /// Whether the topology looks out for it.
    pub(crate) is_watched: bool,
}

impl Registry {
    /// The tenant's state, made when it is the first time, and made anew when the store has begun anew with its series.
    pub(crate) fn tenant(
        &self,
        id: &TenantId,
        max_tenants: usize,
        index: Arc<SeriesIndex>,
    ) -> Result<Arc<Tenant>, IngestError> {
        if let Some(tenant) = self.tenants.read().get(id)
            && Arc::ptr_eq(&tenant.index, &index)
        {
            return Ok(Arc::clone(tenant));
        }
        let mut tenants = self.tenants.write();
        if !tenants.contains_key(id) && tenants.len() >= max_tenants {
            return Err(IngestError::TooManyTenants { limit: max_tenants });
        }
        let tenant = tenants
            .entry(id.clone())
            .and_modify(|tenant| {
                if !Arc::ptr_eq(&tenant.index, &index) {
                    *tenant = Arc::new(Tenant::new(Arc::clone(&index)));
                }
            })
            .or_insert_with(|| Arc::new(Tenant::new(Arc::clone(&index))));
        Ok(Arc::clone(tenant))
    }

    /// Whether the tenant is among those that may send, or there is room for another.
    pub(crate) fn has_room(&self, id: &TenantId, max_tenants: usize) -> bool {
        let tenants = self.tenants.read();
        tenants.len() < max_tenants || tenants.contains_key(id)
    }

    /// Forgets the tenants that the store has deleted: `index` tells the series of a tenant as they are now. Else their labels would
    /// stay in memory until they send again.
    pub(crate) fn forget_deleted(&self, index: impl Fn(&TenantId) -> Arc<SeriesIndex>) {
        let mut tenants = self.tenants.write();
        tenants.retain(|id, tenant| Arc::ptr_eq(&tenant.index, &index(id)));
    }

    /// Forgets the series that had no value since `minute`, and counts those of the store.
    pub(crate) fn forget_idle(&self, minute: u32) {
        let tenants: Vec<_> = self.tenants.read().values().cloned().collect();
        let mut counted = 0;
        for tenant in tenants {
            tenant.forget_idle(minute);
            let series = tenant.index.len() as usize;
            tenant.counted.store(series, Ordering::Relaxed);
            counted += series;
        }
        self.counted.store(counted, Ordering::Relaxed);
    }

    /// How many more series of `tenant` there may be in the store when it may hold `limit` of all tenants. Those that other
    /// tenants have added since they were last counted are not seen.
    pub(crate) fn series_left(&self, tenant: &Tenant, limit: usize) -> usize {
        let counted = self.counted.load(Ordering::Relaxed);
        let others = counted.saturating_sub(tenant.counted.load(Ordering::Relaxed));
        let own = tenant.index.len() as usize;
        limit.saturating_sub(others).saturating_sub(own)
    }
}

impl Tenant {
    fn new(index: Arc<SeriesIndex>) -> Self {
        Self {
            rows: Rate::default(),
            bytes: Rate::default(),
            deltas: Mutex::default(),
            shards: std::array::from_fn(|_| Mutex::default()),
            active: AtomicUsize::new(0),
            counted: AtomicUsize::new(0),
            version: AtomicU32::new(1),
            families: RwLock::default(),
            index,
        }
    }
}

impl Tenant {
    /// What is known of the series that is written so.
    pub(crate) fn find(&self, key: u128, path: &mut Path) -> Option<Known> {
        let at = shard(key);
        let series = self.shards[at].lock();
        let place = series.place(key, path.0[at])?;
        path.0[at] = place + 1;
        Some(*series.at(place))
    }

    /// Remembers what has become durable.
    pub(crate) fn remember(&self, known: impl IntoIterator<Item = (u128, Known)>) {
        let mut path = Path::default();
        for (key, mut known) in known {
            let at = shard(key);
            let mut series = self.shards[at].lock();
            let place = match series.place(key, path.0[at]) {
                Some(place) => {
                    let before = series.at_mut(place);
                    // Another request may have got further in the meantime.
                    if before.newest > known.newest {
                        (known.newest, known.bits) = (before.newest, before.bits);
                    }
                    *before = known;
                    place
                }
                None => {
                    self.active.fetch_add(1, Ordering::Relaxed);
                    series.push(key, known)
                }
            };
            path.0[at] = place + 1;
        }
    }

    /// Counts series as active of which a request told the store before it was refused. Their values are not remembered.
    pub(crate) fn remember_series(&self, known: impl IntoIterator<Item = (u128, Known)>) {
        self.remember(known.into_iter().map(|(key, known)| {
            let nothing = Known {
                newest: i64::MIN,
                bits: 0,
                ..known
            };
            (key, nothing)
        }));
    }

    /// How many series had a value lately.
    pub(crate) fn active(&self) -> usize {
        self.active.load(Ordering::Relaxed)
    }

    /// The last bits of the version of the metadata by family.
    pub(crate) fn version(&self) -> u16 {
        self.version.load(Ordering::Acquire) as u16
    }

    /// Remembers the metadata of a family. Beyond a bound, further families have none.
    pub(crate) fn set_metadata(&self, family: &str, metadata: Metadata) {
        if self.families.read().get(family) == Some(&metadata) {
            return;
        }
        let mut families = self.families.write();
        if families.len() < MAX_FAMILIES || families.contains_key(family) {
            families.insert(family.to_owned(), metadata);
            self.version.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// The metadata of the family that a series of this name belongs to.
    pub(crate) fn metadata(&self, metric: &str) -> Option<Metadata> {
        let families = self.families.read();
        if let Some(found) = families.get(metric) {
            return Some(found.clone());
        }
        let suffixes = ["_bucket", "_sum", "_count", "_total", "_created", "_info"];
        suffixes
            .iter()
            .filter_map(|suffix| metric.strip_suffix(suffix))
            .find_map(|family| families.get(family).cloned())
    }

    fn forget_idle(&self, minute: u32) {
        for shard in &self.shards {
            let forgotten = shard.lock().retain(|known| known.seen_minute >= minute);
            self.active.fetch_sub(forgotten, Ordering::Relaxed);
        }
    }
}

/// The shard of a key. The low bits choose the place within a shard.
fn shard(key: u128) -> usize {
    (key >> 122) as usize % SHARDS
}

/// The minute of `at` since the epoch.
pub(crate) fn minute(at: Nanos) -> u32 {
    u32::try_from(at.0 / 60_000_000_000).unwrap_or(0)
}

/// Keys are hashes already.
#[derive(Debug, Default)]
pub(crate) struct ByKey(u64);

impl Hasher for ByKey {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

#[cfg(test)]
mod tests {
    use demarc_proto::{Labels, SeriesId};
    use demarc_store::SeriesEntry;

    use super::*;

    fn tenant() -> Tenant {
        Tenant::new(Arc::default())
    }

    fn find(tenant: &Tenant, key: u128) -> Option<Known> {
        tenant.find(key, &mut Path::default())
    }

    fn known(tenant: &Tenant, newest: i64, seen_minute: u32) -> Known {
        let entry = SeriesEntry {
            id: SeriesId(7),
            labels: Labels::default(),
            kind: Default::default(),
            unit: String::new(),
            help: String::new(),
        };
        Known {
            series: tenant.index.intern(entry),
            newest,
            bits: 0,
            seen_minute,
            metadata: 0,
            version: 0,
            is_watched: false,
        }
    }

    #[test]
    fn a_slower_request_does_not_turn_time_back() {
        let tenant = tenant();
        tenant.remember([(1, known(&tenant, 20, 5))]);
        tenant.remember([(1, known(&tenant, 10, 5))]);
        let newest = find(&tenant, 1).map(|known| known.newest);
        assert_eq!(newest, Some(20));
        assert_eq!(tenant.active(), 1);
    }

    #[test]
    fn nothing_keeps_the_series_of_a_deleted_tenant() {
        let registry = Registry::default();
        let (id, index) = (TenantId::default(), Arc::default());
        registry.tenant(&id, 1, Arc::clone(&index)).unwrap();
        registry.forget_deleted(|_| Arc::clone(&index));
        assert_eq!(Arc::strong_count(&index), 2);
        registry.forget_deleted(|_| Arc::default());
        assert_eq!(Arc::strong_count(&index), 1);
    }

    #[test]
    fn idle_series_make_room() {
        let tenant = tenant();
        let idle = known(&tenant, 1, 5);
        let kept = known(&tenant, 1, 9);
        tenant.remember([
            (1, idle),
            (2, kept),
            (3, idle),
            (u128::MAX, kept),
            (4, kept),
        ]);
        tenant.forget_idle(6);
        assert_eq!(tenant.active(), 3);
        for key in [1, 3] {
            assert_eq!(find(&tenant, key), None);
        }
        for key in [2, 4, u128::MAX] {
            assert_eq!(find(&tenant, key), Some(kept));
        }
    }

    #[test]
    fn a_series_is_found_in_whatever_order_a_request_names_it() {
        let tenant = tenant();
        let all: Vec<_> = (0..500_u32)
            .map(|n| {
                (
                    u128::from(n) << 121 | u128::from(n),
                    known(&tenant, n.into(), n),
                )
            })
            .collect();
        tenant.remember(all.clone());
        let mut path = Path::default();
        let there = all.iter();
        let back = all.iter().rev();
        for (key, known) in there.clone().chain(back).chain(there.step_by(7)) {
            assert_eq!(tenant.find(*key, &mut path), Some(*known));
        }
        assert_eq!(tenant.find(u128::MAX - 1, &mut path), None);
        assert_eq!(tenant.active(), all.len());
    }

    #[test]
    fn a_series_finds_the_metadata_of_its_family() {
        let tenant = tenant();
        let metadata = Metadata {
            help: "h".to_owned(),
            ..Metadata::default()
        };
        tenant.set_metadata("request_seconds", metadata.clone());
        assert_eq!(tenant.metadata("request_seconds_bucket"), Some(metadata));
        assert_eq!(tenant.metadata("requests"), None);
    }

    #[test]
    fn a_series_takes_48_bytes() {
        assert_eq!(size_of::<(u128, Known)>(), 48);
    }
}
