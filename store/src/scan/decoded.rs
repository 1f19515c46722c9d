//! Whole row groups of samples, decoded and kept for the next query: dashboards ask for the same series again and again, and
//! one series alone costs as much as its row group.

use std::{
    collections::HashMap,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::Int32Type,
};
use demarc_proto::{Millis, SeriesId};
use parking_lot::Mutex;

use super::{
    Wanted,
    fragment::{Columns, Fragment, Read, Stretch, gallop, place, shape},
};
use crate::StoreError;

/// A row group. Within a series, samples are by time; those of equal times in the order of writing.
#[derive(Debug)]
pub(super) struct Decoded {
    /// Each series and its rows, by id.
    series: Vec<(SeriesId, Range<u32>)>,
    columns: Arc<Columns>,
}

/// A row group while it is decoded.
#[derive(Default)]
pub(super) struct Decoding {
    series: Vec<(SeriesId, Range<u32>)>,
    columns: Columns,
}

impl Decoding {
    /// Adds the next rows.
    pub(super) fn take(&mut self, batch: &RecordBatch) -> Result<(), StoreError> {
        let ids = batch.column_by_name("series_id");
        let ids = ids.and_then(|column| column.as_dictionary_opt::<Int32Type>());
        let ids = ids.ok_or_else(|| shape("series_id"))?;
        let of_keys = ids.values().as_binary_opt::<i32>();
        let of_keys = of_keys.ok_or_else(|| shape("series_id"))?;
        let mut to = place(self.columns.times.len());
        for same in ids.keys().values().chunk_by(|a, b| a == b) {
            let from = to;
            to += place(same.len());
            let key = usize::try_from(same[0]).ok();
            let key = key.filter(|key| of_keys.is_valid(*key));
            let id = key.and_then(|key| SeriesId::from_bytes(of_keys.value(key)));
            let id = id.ok_or_else(|| shape("series_id"))?;
            match self.series.last_mut() {
                Some((last, rows)) if *last == id => rows.end = to,
                _ => self.series.push((id, from..to)),
            }
        }
        let rows = Read::of(batch)?;
        self.columns.push(&rows, (0, batch.num_rows()));
        Ok(())
    }

    pub(super) fn finish(mut self) -> Decoded {
        for (_, rows) in &self.series {
            // Only another program writes files whose times are not sorted.
            self.columns.sort(rows.start as usize..rows.end as usize);
        }
        // A stable sort: what stands in several places stays in the order of writing.
        self.series.sort_by_key(|(id, _)| *id);
        Decoded {
            series: self.series,
            columns: Arc::new(self.columns),
        }
    }
}

impl Decoded {
    /// The wanted samples from the first to the last of `range`, both inclusive.
    pub(super) fn fragment(&self, wanted: &Wanted, range: (Millis, Millis)) -> Fragment {
        let mut stretches = Vec::new();
        self.each_wanted(wanted, |place, rows| {
            let times = &self.columns.times[rows.start as usize..rows.end as usize];
            let from = times.partition_point(|time| *time < range.0.0);
            let to = times.partition_point(|time| *time <= range.1.0);
            if from < to {
                stretches.push(Stretch {
                    place,
                    from: rows.start + from as u32,
                    to: rows.start + to as u32,
                });
            }
        });
        if stretches.is_empty() {
            return Fragment::default();
        }
        Fragment {
            columns: Arc::clone(&self.columns),
            stretches,
        }
    }

    /// Walks both lists at once, the shorter one step by step.
    fn each_wanted(&self, wanted: &Wanted, mut take: impl FnMut(u32, &Range<u32>)) {
        if wanted.ids.len() < self.series.len() {
            let mut rest = self.series.as_slice();
            for (id, place) in &wanted.ids {
                rest = &rest[gallop(rest, *id)..];
                let same = rest.iter().take_while(|(one, _)| one == id);
                same.for_each(|(_, rows)| take(*place, rows));
            }
            return;
        }
        let mut rest = wanted.ids.as_slice();
        for (id, rows) in &self.series {
            rest = &rest[gallop(rest, *id)..];
            if let Some((_, place)) = rest.first().filter(|(one, _)| one == id) {
                take(*place, rows);
            }
        }
    }

    fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + self.series.capacity() * size_of::<(SeriesId, Range<u32>)>()
            + self.columns.memory_bytes()
    }
}

/// The row groups that were used last.
#[derive(Debug)]
pub(crate) struct Groups {
    limit_bytes: usize,
    known: Mutex<Known>,
}

/// A row group's file, and its place there.
type Key = (PathBuf, usize);

/// Filled by whoever needs it first, while others wait for it.
type Slot = Arc<Mutex<Option<Arc<Decoded>>>>;

#[derive(Debug, Default)]
struct Known {
    slots: HashMap<Key, Kept>,
    bytes: usize,
    uses: u64,
}

#[derive(Debug, Default)]
struct Kept {
    slot: Slot,
    /// 0 as long as nothing is in it.
    bytes: usize,
    used: u64,
}

impl Default for Groups {
    /// Nothing is kept.
    fn default() -> Self {
        Self::new(0)
    }
}

impl Groups {
    /// Keeps at most so many bytes.
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Self {
            limit_bytes,
            known: Mutex::default(),
        }
    }

    /// Whether so many rows may be kept for a single query: one that reads more than a part of what there is room for would only
    /// drive out what others need.
    pub(super) fn has_room_for(&self, rows: usize) -> bool {
        let sample = size_of::<i64>() + size_of::<f64>();
        rows.saturating_mul(sample) <= self.limit_bytes / 2
    }

    /// A row group of a file, which never changes, as it is kept or as `decode` makes it.
    pub(super) fn of(
        &self,
        path: &Path,
        group: usize,
        decode: impl FnOnce() -> Result<Decoded, StoreError>,
    ) -> Result<Arc<Decoded>, StoreError> {
        let key = (path.to_path_buf(), group);
        let slot = self.slot(&key);
        let mut slot = slot.lock();
        if let Some(decoded) = &*slot {
            return Ok(Arc::clone(decoded));
        }
        let decoded = Arc::new(decode()?);
        *slot = Some(Arc::clone(&decoded));
        drop(slot);
        self.count(&key, decoded.memory_bytes());
        Ok(decoded)
    }

    /// Forgets files that are no more.
    pub(crate) fn forget_all_but(&self, exists: impl Fn(&PathBuf) -> bool) {
        let mut known = self.known.lock();
        known.slots.retain(|(path, _), _| exists(path));
        known.bytes = known.slots.values().map(|kept| kept.bytes).sum();
    }

    fn slot(&self, key: &Key) -> Slot {
        let mut known = self.known.lock();
        known.uses += 1;
        let used = known.uses;
        let kept = known.slots.entry(key.clone()).or_default();
        kept.used = used;
        Arc::clone(&kept.slot)
    }

    /// Counts what is in a slot now, and gives up what was not used for longest.
    fn count(&self, key: &Key, bytes: usize) {
        let mut known = self.known.lock();
        let Some(kept) = known.slots.get_mut(key) else {
            return;
        };
        let before = std::mem::replace(&mut kept.bytes, bytes);
        known.bytes = known.bytes + bytes - before;
        while known.bytes > self.limit_bytes {
            let filled = known.slots.iter().filter(|(_, kept)| kept.bytes > 0);
            let oldest = filled.min_by_key(|(_, kept)| kept.used);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else {
                return;
            };
            let gone = known.slots.remove(&oldest);
            known.bytes -= gone.map_or(0, |kept| kept.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(samples: usize) -> Decoded {
        let columns = Columns {
            times: vec![0; samples],
            values: vec![0.0; samples],
            starts: Vec::new(),
        };
        Decoded {
            series: vec![(SeriesId(1), 0..place(samples))],
            columns: Arc::new(columns),
        }
    }

    #[test]
    fn what_was_not_used_for_longest_is_given_up_and_room_is_kept_to() {
        let groups = Groups::new(4_500);
        let get = |group| {
            let mut was_decoded = false;
            let make = || {
                was_decoded = true;
                Ok(decoded(100))
            };
            groups.of(Path::new("a"), group, make).unwrap();
            was_decoded
        };
        assert!(get(0) && get(1) && !get(0));
        assert!(get(2) && !get(0) && get(1));
        assert!(groups.known.lock().bytes <= 4_500);
        groups.forget_all_but(|_| false);
        assert_eq!(groups.known.lock().bytes, 0);
        assert!(get(0));
    }

    #[test]
    fn what_could_not_be_decoded_is_tried_again() {
        let groups = Groups::new(1 << 20);
        let failed = groups.of(Path::new("a"), 0, || Err(shape("time")));
        assert!(failed.is_err());
        let found = groups.of(Path::new("a"), 0, || Ok(decoded(3))).unwrap();
        assert_eq!(found.columns.times.len(), 3);
    }
}
