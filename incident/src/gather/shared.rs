//! What the symptoms of one round have in common is read once: in a storm they ask the same of the same times.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use demarc_proto::{Labels, TenantId, TimeRange};
use parking_lot::Mutex;

use super::behaviour::Telling;
use crate::{StoredQuery, shift::Point};

/// Most points of series, spans and log lines that are held together; what comes after is read again for each symptom.
const MAX_HELD: usize = 5_000_000;

/// Series with their points.
pub(crate) type Found = Vec<(Labels, Vec<Point>)>;

/// Whose spans and log lines, and of which times.
pub(crate) type TellingKey = (BTreeSet<TenantId>, Vec<TimeRange>);

/// A query with its times: first, last and distance in milliseconds.
pub(crate) type SeriesKey = (TenantId, String, [i64; 3]);

/// Answers of one round, by what was asked. It is dropped with the round, so that nothing here outlives its time.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    size: usize,
    tellings: Vec<(TellingKey, Arc<Telling>)>,
    series: BTreeMap<SeriesKey, Arc<Found>>,
    names: BTreeMap<TenantId, Arc<BTreeSet<String>>>,
    seals: Vec<(StoredQuery, String)>,
}

impl Shared {
    pub(crate) fn telling(&self, key: &TellingKey) -> Option<Arc<Telling>> {
        let held = self.held.lock();
        let known = held.tellings.iter().find(|(known, _)| known == key);
        known.map(|(_, telling)| Arc::clone(telling))
    }

    pub(crate) fn keep_telling(&self, key: TellingKey, telling: &Arc<Telling>) {
        let mut held = self.held.lock();
        if held.has_room(telling.size()) {
            held.tellings.push((key, Arc::clone(telling)));
        }
    }

    pub(crate) fn series(&self, key: &SeriesKey) -> Option<Arc<Found>> {
        self.held.lock().series.get(key).cloned()
    }

    pub(crate) fn keep_series(&self, key: SeriesKey, found: &Arc<Found>) {
        let mut held = self.held.lock();
        // A series takes room for its labels as well.
        let size = found.iter().map(|(_, points)| 1 + points.len()).sum();
        if held.has_room(size) {
            held.series.insert(key, Arc::clone(found));
        }
    }

    pub(crate) fn names(&self, tenant: &TenantId) -> Option<Arc<BTreeSet<String>>> {
        self.held.lock().names.get(tenant).cloned()
    }

    pub(crate) fn keep_names(&self, tenant: TenantId, names: &Arc<BTreeSet<String>>) {
        self.held.lock().names.insert(tenant, Arc::clone(names));
    }
}

impl Shared {
    /// The digest of what a query returned in this round.
    pub(crate) fn seal(&self, query: &StoredQuery) -> Option<String> {
        let held = self.held.lock();
        let known = held.seals.iter().find(|(known, _)| known == query);
        known.map(|(_, digest)| digest.clone())
    }

    pub(crate) fn keep_seal(&self, query: &StoredQuery, digest: &str) {
        let mut held = self.held.lock();
        held.seals.push((query.clone(), digest.to_owned()));
    }
}

impl Held {
    fn has_room(&mut self, size: usize) -> bool {
        let is_room = self.size + size <= MAX_HELD;
        self.size += if is_room { size } else { 0 };
        is_room
    }
}
