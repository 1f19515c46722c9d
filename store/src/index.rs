//! Which series exist, and which of them matchers select.
//!
//! Series get ordinals in the order of their arrival and are never taken out, so that a reader that remembers how many
//! series there were sees the index as it was. A series is interned before its first samples are on disk; readers see it
//! once it is known on some day, which is when they are. When a tenant is deleted, a new index takes the place of the old one and
//! goes on counting where that ended: a number of the old one is never taken for a series of the new one.

mod matcher;
mod order;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
};

use demarc_proto::{Labels, Matcher, SeriesId};
use hashbrown::HashTable;
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use roaring::{MultiOps, RoaringBitmap};

use self::{
    matcher::{Compiled, Reach},
    order::Order,
};
use crate::{
    StoreError,
    day::Day,
    rows::{MetricKind, Samples, SeriesRef},
};

/// One series.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesEntry {
    /// Its id, as in the `series_id` columns.
    pub id: SeriesId,
    /// Its labels, the name among them.
    pub labels: Labels,
    /// What kind of metric it is.
    pub kind: MetricKind,
    /// The unit, empty when unknown.
    pub unit: String,
    /// What the metric means, empty when unknown.
    pub help: String,
}

/// The series of one tenant.
#[derive(Debug, Default)]
pub struct SeriesIndex {
    inner: RwLock<Inner>,
    /// Brought up to date by whoever selects many series.
    order: Mutex<Arc<Order>>,
}

/// Selections of fewer series are sorted by themselves.
const MIN_ORDERED: usize = 256;
/// Sorting more new series than this is not done under the lock that new series wait for.
const MAX_SORTED_LOCKED: usize = 4096;

/// Series that matchers selected, sorted by their labels.
#[derive(Clone, Debug, Default)]
pub struct Selected {
    /// Their numbers.
    pub numbers: Vec<SeriesRef>,
    /// What they are, in the same order.
    pub entries: Vec<Arc<SeriesEntry>>,
}

#[derive(Debug, Default)]
struct Inner {
    /// The ordinal of the first series.
    first: u32,
    series: Vec<Arc<SeriesEntry>>,
    ids: Vec<SeriesId>,
    /// The day on which each series was made known last, the first thing to look at; `None` before it is known at all.
    last_days: Vec<Option<Day>>,
    /// Ordinals by the id, which is looked up in `ids`.
    by_id: HashTable<u32>,
    /// Ordinals by the label's name and value.
    postings: BTreeMap<String, Values>,
    /// Ordinals of the series that have a row in the `series` table, by its day.
    days: BTreeMap<Day, RoaringBitmap>,
    /// How often the labels of a known series have changed.
    label_changes: u64,
}

/// Ordinals of the series that have a label, by its value.
type Values = BTreeMap<String, RoaringBitmap>;

/// What is selected.
#[derive(Debug)]
pub(crate) struct Selection<'a> {
    /// All of them must hold.
    pub(crate) matchers: &'a [Matcher],
    /// Only series with values on some day from the first to the last of these.
    pub(crate) days: Option<(Day, Day)>,
    /// Only series with lower numbers exist for this reader.
    pub(crate) visible: u32,
}

/// The ids and entries of series, held against changes.
#[derive(Debug)]
pub(crate) struct Reader<'a>(RwLockReadGuard<'a, Inner>);

impl Reader<'_> {
    /// The id of a series.
    pub(crate) fn id(&self, series: SeriesRef) -> SeriesId {
        self.0.ids[self.0.place(series.0)]
    }

    /// The labels and more of a series.
    pub(crate) fn entry(&self, series: SeriesRef) -> &Arc<SeriesEntry> {
        self.0.entry(series.0)
    }
}

impl SeriesIndex {
    /// An empty index whose numbers `old` has not given out.
    pub(crate) fn after(old: &Self) -> Self {
        let end = old.end();
        let index = Self::default();
        // Begun anew long before numbers run out: what is left of those days is no longer under way.
        index.inner.write().first = if end > u32::MAX / 2 { 0 } else { end };
        index
    }

    /// The number under which samples of a series are appended; a series that is new gets one. Kind, unit and help are
    /// those that came last, as far as they say anything. Whoever appends a lot keeps the number.
    pub fn intern(&self, entry: SeriesEntry) -> SeriesRef {
        if let Some(series) = self.inner.read().unchanged(&entry) {
            return series;
        }
        self.inner.write().intern(entry)
    }

    /// How many series there are, those included that have no sample yet.
    pub fn len(&self) -> u32 {
        ordinal(self.inner.read().series.len())
    }

    /// The number after that of the last series.
    pub(crate) fn end(&self) -> u32 {
        self.inner.read().end()
    }

    /// Whether `series` is a number that this index has given out.
    pub(crate) fn has(&self, series: SeriesRef) -> bool {
        let inner = self.inner.read();
        (inner.first..inner.end()).contains(&series.0)
    }

    /// Whether there is no series.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Looks at several series while nothing changes.
    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader(self.inner.read())
    }

    /// The number of a series that is interned.
    pub fn find(&self, id: SeriesId) -> Option<SeriesRef> {
        self.inner.read().find(id)
    }

    /// Whether the `series` table has a row of this series for this day.
    pub(crate) fn is_known(&self, series: SeriesRef, day: Day) -> bool {
        self.inner.read().is_known(series, day)
    }

    /// Series and days of `samples` that have no row in the `series` table yet, each with its first time.
    pub(crate) fn unknown(&self, samples: &Samples) -> BTreeMap<(SeriesRef, Day), i64> {
        let inner = self.inner.read();
        let mut unknown: BTreeMap<(SeriesRef, Day), i64> = BTreeMap::new();
        for point in samples.points() {
            let day = Day::of_millis(demarc_proto::Millis(point.time));
            if !inner.is_known(point.series, day) {
                let first = unknown.entry((point.series, day)).or_insert(point.time);
                *first = point.time.min(*first);
            }
        }
        unknown
    }

    /// Notes that the `series` table has a row of this series for this day.
    pub(crate) fn make_known(&self, known: impl Iterator<Item = (SeriesRef, Day)>) {
        let mut inner = self.inner.write();
        for (series, day) in known {
            inner.days.entry(day).or_default().insert(series.0);
            let place = inner.place(series.0);
            inner.last_days[place] = Some(day);
        }
    }

    /// Notes that the `series` table has no rows any more for the days that `is_gone` accepts.
    pub(crate) fn forget_days(&self, is_gone: impl Fn(Day) -> bool) {
        let mut inner = self.inner.write();
        inner.days.retain(|day, _| !is_gone(*day));
        for last in &mut inner.last_days {
            *last = last.filter(|day| !is_gone(*day));
        }
    }

    /// The selected series, sorted by their labels.
    pub(crate) fn select(&self, selection: &Selection<'_>) -> Result<Selected, StoreError> {
        let compiled: Result<Vec<_>, _> = selection.matchers.iter().map(Compiled::new).collect();
        let found = self.inner.read().ordinals(&compiled?, selection);
        let mut numbers: Vec<u32> = found.iter().collect();
        let order = self.order(&numbers);
        let inner = self.inner.read();
        match order {
            Some(order) => order.sort(&mut numbers),
            None => {
                let labels = |at: &u32| &inner.entry(*at).labels;
                numbers.sort_unstable_by(|a, b| labels(a).cmp(labels(b)));
            }
        }
        let entries = numbers.iter().map(|at| Arc::clone(inner.entry(*at)));
        Ok(Selected {
            entries: entries.collect(),
            numbers: numbers.into_iter().map(SeriesRef).collect(),
        })
    }

    /// The values that the label `name` has in the selected series, sorted.
    pub(crate) fn label_values(
        &self,
        name: &str,
        selection: &Selection<'_>,
    ) -> Result<Vec<String>, StoreError> {
        let compiled: Result<Vec<_>, _> = selection.matchers.iter().map(Compiled::new).collect();
        let compiled = compiled?;
        let inner = self.inner.read();
        let found = inner.ordinals(&compiled, selection);
        let Some(values) = inner.postings.get(name) else {
            return Ok(Vec::new());
        };
        if found.len() < values.len() as u64 {
            let value = |at: u32| inner.entry(at).labels.get(name);
            let values: BTreeSet<&str> = found.iter().map(value).collect();
            let present = values.into_iter().filter(|value| !value.is_empty());
            return Ok(present.map(str::to_owned).collect());
        }
        if found.len() == inner.series.len() as u64 {
            return Ok(values.keys().cloned().collect());
        }
        let has_any = |(_, ordinals): &(&String, &RoaringBitmap)| !found.is_disjoint(ordinals);
        let values = values.iter().filter(has_any);
        Ok(values.map(|(value, _)| value.clone()).collect())
    }

    /// The names of the labels of the selected series, sorted.
    pub(crate) fn label_names(&self, selection: &Selection<'_>) -> Result<Vec<String>, StoreError> {
        let compiled: Result<Vec<_>, _> = selection.matchers.iter().map(Compiled::new).collect();
        let compiled = compiled?;
        let inner = self.inner.read();
        let found = inner.ordinals(&compiled, selection);
        if found.len() < MIN_ORDERED as u64 {
            let labels = found.iter().map(|at| &inner.entry(at).labels);
            let names = labels.flat_map(|labels| labels.iter().map(|(name, _)| name));
            let names: BTreeSet<&str> = names.collect();
            return Ok(names.into_iter().map(str::to_owned).collect());
        }
        let has_any = |values: &Values| values.values().any(|one| !found.is_disjoint(one));
        let names = inner.postings.iter().filter(|(_, values)| has_any(values));
        Ok(names.map(|(name, _)| name.clone()).collect())
    }

    /// The order of all series, where bringing it up to date costs no more than sorting `found` a few times would.
    fn order(&self, found: &[u32]) -> Option<Arc<Order>> {
        if found.len() < MIN_ORDERED {
            return None;
        }
        let mut order = self.order.lock();
        let inner = self.inner.read();
        if order.changes != inner.label_changes {
            *order = Arc::new(Order::new(inner.first, inner.label_changes));
        }
        let new = inner.series.len() - order.len();
        if new > 8 * found.len() {
            return None;
        }
        if new > MAX_SORTED_LOCKED {
            let series = inner.series.clone();
            drop(inner);
            *order = Arc::new(order.extended(&series));
        } else if new > 0 {
            *order = Arc::new(order.extended(&inner.series));
        }
        Some(Arc::clone(&order))
    }
}

/// Ids are hashes already.
fn hash(id: SeriesId) -> u64 {
    id.0 as u64
}

impl Inner {
    /// Where what is known of a series stands.
    fn place(&self, ordinal: u32) -> usize {
        (ordinal - self.first) as usize
    }

    fn entry(&self, ordinal: u32) -> &Arc<SeriesEntry> {
        &self.series[self.place(ordinal)]
    }

    fn end(&self) -> u32 {
        let end = self.first.checked_add(ordinal(self.series.len()));
        end.expect("fewer than 2^31 series fit in memory")
    }

    fn find(&self, id: SeriesId) -> Option<SeriesRef> {
        let is_it = |at: &u32| self.ids[self.place(*at)] == id;
        let found = self.by_id.find(hash(id), is_it);
        found.copied().map(SeriesRef)
    }

    /// The number of `entry`, unless interning it would change something.
    fn unchanged(&self, entry: &SeriesEntry) -> Option<SeriesRef> {
        let series = self.find(entry.id)?;
        let known = self.entry(series.0);
        let is_news = adopt(known, entry).is_some() || known.labels != entry.labels;
        (!is_news).then_some(series)
    }

    fn intern(&mut self, entry: SeriesEntry) -> SeriesRef {
        if let Some(series) = self.find(entry.id) {
            let place = self.place(series.0);
            let known = self.series[place].clone();
            if known.labels != entry.labels {
                // Until now only the id was known: the row with the labels was lost.
                self.post(series, &entry.labels);
                self.series[place] = Arc::new(entry);
                self.label_changes += 1;
            } else if let Some(better) = adopt(&known, &entry) {
                self.series[place] = Arc::new(better);
            }
            return series;
        }
        let series = SeriesRef(self.end());
        self.post(series, &entry.labels);
        self.ids.push(entry.id);
        let (ids, first) = (&self.ids, self.first);
        let hash_at = |at: &u32| hash(ids[(*at - first) as usize]);
        self.by_id.insert_unique(hash(entry.id), series.0, hash_at);
        self.last_days.push(None);
        self.series.push(Arc::new(entry));
        series
    }

    fn post(&mut self, series: SeriesRef, labels: &Labels) {
        for (name, value) in labels.iter() {
            if !self.postings.contains_key(name) {
                self.postings.insert(name.to_owned(), BTreeMap::new());
            }
            let values = self.postings.get_mut(name).expect("inserted above");
            if !values.contains_key(value) {
                values.insert(value.to_owned(), RoaringBitmap::new());
            }
            let ordinals = values.get_mut(value).expect("inserted above");
            ordinals.insert(series.0);
        }
    }

    fn is_known(&self, series: SeriesRef, day: Day) -> bool {
        self.last_days[self.place(series.0)] == Some(day)
            || self
                .days
                .get(&day)
                .is_some_and(|known| known.contains(series.0))
    }

    /// Ordinals of the series that are selected.
    fn ordinals(&self, matchers: &[Compiled<'_>], selection: &Selection<'_>) -> RoaringBitmap {
        // A matcher that the empty text satisfies also selects series without the label, which no bitmap names: it can
        // only take away.
        let (takers, givers): (Vec<_>, Vec<_>) =
            matchers.iter().partition(|matcher| matcher.matches(""));
        let (exact, wide): (Vec<_>, Vec<_>) = givers
            .into_iter()
            .partition(|matcher| matcher.only_value().is_some());
        let mut found = self.visible(self.having(&exact), selection);
        for matcher in wide {
            found = self.keep(found, matcher);
        }
        for matcher in takers {
            found = self.take_away(found, matcher);
        }
        found
    }

    /// Ordinals of the series that have all the labels with the only values that `exact` accept; `None` for all series.
    fn having(&self, exact: &[&Compiled<'_>]) -> Option<RoaringBitmap> {
        let posted = |matcher: &&Compiled<'_>| {
            let value = matcher.only_value()?;
            self.postings.get(matcher.name)?.get(value)
        };
        let mut lists: Vec<Option<&RoaringBitmap>> = exact.iter().map(posted).collect();
        lists.sort_by_key(|list| list.map_or(0, |ordinals| ordinals.len()));
        let (first, rest) = lists.split_first()?;
        let mut found = first.cloned().unwrap_or_default();
        for ordinals in rest.iter().flatten() {
            found &= *ordinals;
        }
        Some(found)
    }

    /// Those of `found` that the reader may see.
    fn visible(&self, found: Option<RoaringBitmap>, selection: &Selection<'_>) -> RoaringBitmap {
        let (first, last) = selection.days.unwrap_or((Day::FIRST, Day::LAST));
        let mut visible = RoaringBitmap::new();
        for (_, known) in self.days.range(first..=last) {
            match &found {
                Some(found) => visible |= found & known,
                None => visible |= known,
            }
        }
        visible.remove_range(selection.visible..);
        visible
    }

    /// Those of `found` whose label the matcher accepts; the matcher does not accept an absent one.
    fn keep(&self, found: RoaringBitmap, matcher: &Compiled<'_>) -> RoaringBitmap {
        let Some(values) = self.postings.get(matcher.name) else {
            return RoaringBitmap::new();
        };
        if found.len() < values.len() as u64 {
            return self.keep_one_by_one(found, matcher);
        }
        found & matching(values, matcher)
    }

    /// `found` without those whose label the matcher does not accept; the matcher accepts an absent one.
    fn take_away(&self, found: RoaringBitmap, matcher: &Compiled<'_>) -> RoaringBitmap {
        let Some(values) = self.postings.get(matcher.name) else {
            return found;
        };
        if found.len() < values.len() as u64 {
            return self.keep_one_by_one(found, matcher);
        }
        found - refused(values, matcher)
    }

    /// Asks each series for its label: cheaper than all values of the label where few series are left.
    fn keep_one_by_one(&self, found: RoaringBitmap, matcher: &Compiled<'_>) -> RoaringBitmap {
        let is_accepted = |at: &u32| {
            let labels = &self.entry(*at).labels;
            matcher.matches(labels.get(matcher.name))
        };
        found.iter().filter(is_accepted).collect()
    }
}

/// Ordinals of the series whose value of one label the matcher accepts.
fn matching(values: &Values, matcher: &Compiled<'_>) -> RoaringBitmap {
    if !matcher.is_negative() {
        return reached(values, matcher, |value| matcher.matches(value));
    }
    let accepted = values.iter().filter(|(value, _)| matcher.matches(value));
    union(accepted.map(|(_, ordinals)| ordinals))
}

/// Ordinals of the series whose value of one label the matcher does not accept.
fn refused(values: &Values, matcher: &Compiled<'_>) -> RoaringBitmap {
    if matcher.is_negative() {
        return reached(values, matcher, |value| !matcher.matches(value));
    }
    let refused = values.iter().filter(|(value, _)| !matcher.matches(value));
    union(refused.map(|(_, ordinals)| ordinals))
}

/// Ordinals by value of one label, of the values within the matcher's reach that pass `holds`.
fn reached(values: &Values, matcher: &Compiled<'_>, holds: impl Fn(&str) -> bool) -> RoaringBitmap {
    match matcher.reach() {
        Reach::Values(wanted) => union(wanted.iter().filter_map(|value| values.get(*value))),
        Reach::Prefix(prefix) => {
            let from = (Bound::Included(prefix), Bound::Unbounded);
            let begun = values.range::<str, _>(from);
            let begun = begun.take_while(|(value, _)| value.starts_with(prefix));
            let passed = begun.filter(|(value, _)| holds(value));
            union(passed.map(|(_, ordinals)| ordinals))
        }
    }
}

fn union<'a>(ordinals: impl Iterator<Item = &'a RoaringBitmap>) -> RoaringBitmap {
    ordinals.union()
}

/// `known` with what `entry` says beyond it of kind, unit and help; `None` when that is nothing.
fn adopt(known: &SeriesEntry, entry: &SeriesEntry) -> Option<SeriesEntry> {
    let is_news = |old: &str, new: &str| !new.is_empty() && old != new;
    let kind = entry.kind != MetricKind::Unknown && entry.kind != known.kind;
    let (unit, help) = (
        is_news(&known.unit, &entry.unit),
        is_news(&known.help, &entry.help),
    );
    if !kind && !unit && !help {
        return None;
    }
    let mut better = known.clone();
    if kind {
        better.kind = entry.kind;
    }
    if unit {
        better.unit.clone_from(&entry.unit);
    }
    if help {
        better.help.clone_from(&entry.help);
    }
    Some(better)
}

fn ordinal(count: usize) -> u32 {
    u32::try_from(count).expect("fewer than 2^32 series fit in memory")
}

#[cfg(test)]
mod tests;
