//! Which series exist, and which of them matchers select.
//!
//! Series get ordinals in the order of their arrival and are never taken out, so that every list of ordinals is sorted by
//! being appended to, and a reader that remembers how many series there were sees the index as it was.

mod matcher;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use demarc_proto::{Labels, Matcher, SeriesId};
use parking_lot::RwLock;

use self::matcher::Compiled;
use crate::{
    StoreError,
    day::Day,
    rows::{MetricKind, NewSeries},
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
pub(crate) struct SeriesIndex {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    series: Vec<Series>,
    by_id: HashMap<SeriesId, u32>,
    /// Ordinals by the label's name and value.
    postings: BTreeMap<String, BTreeMap<String, Vec<u32>>>,
}

#[derive(Debug)]
struct Series {
    entry: Arc<SeriesEntry>,
    /// The days on which it has values.
    days: BTreeSet<Day>,
}

/// What is selected.
#[derive(Debug)]
pub(crate) struct Selection<'a> {
    /// All of them must hold.
    pub(crate) matchers: &'a [Matcher],
    /// Only series with values on some day from the first to the last of these.
    pub(crate) days: Option<(Day, Day)>,
    /// Only so many of the oldest series exist for this reader.
    pub(crate) visible: u32,
}

impl SeriesIndex {
    /// Whether the `series` table has a row of this series for this day.
    pub(crate) fn is_known(&self, id: SeriesId, day: Day) -> bool {
        let inner = self.inner.read();
        let ordinal = inner.by_id.get(&id);
        ordinal.is_some_and(|at| inner.series[*at as usize].days.contains(&day))
    }

    /// Adds a series, or another day of a series; kind, unit and help are those that came last.
    pub(crate) fn insert(&self, new: NewSeries) {
        let mut inner = self.inner.write();
        if let Some(at) = inner.by_id.get(&new.entry.id).copied() {
            let series = &mut inner.series[at as usize];
            series.days.insert(new.day);
            if *series.entry != new.entry {
                series.entry = Arc::new(new.entry);
            }
            return;
        }
        let ordinal =
            u32::try_from(inner.series.len()).expect("fewer than 2^32 series fit in memory");
        inner.by_id.insert(new.entry.id, ordinal);
        for (name, value) in new.entry.labels.iter() {
            if !inner.postings.contains_key(name) {
                inner.postings.insert(name.to_owned(), BTreeMap::new());
            }
            let values = inner.postings.get_mut(name).expect("inserted above");
            match values.get_mut(value) {
                Some(ordinals) => ordinals.push(ordinal),
                None => drop(values.insert(value.to_owned(), vec![ordinal])),
            }
        }
        inner.series.push(Series {
            entry: Arc::new(new.entry),
            days: BTreeSet::from([new.day]),
        });
    }

    /// How many series there are.
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.inner.read().series.len()).expect("fewer than 2^32 series fit in memory")
    }

    /// The selected series, sorted by their labels.
    pub(crate) fn select(
        &self,
        selection: &Selection<'_>,
    ) -> Result<Vec<Arc<SeriesEntry>>, StoreError> {
        let compiled: Result<Vec<_>, _> = selection.matchers.iter().map(Compiled::new).collect();
        // A matcher that the empty text satisfies also selects series without the label, which no list of ordinals names.
        let (filters, selectors): (Vec<_>, Vec<_>) = compiled?
            .into_iter()
            .partition(|matcher| matcher.matches(""));
        let inner = self.inner.read();
        let mut found = Vec::new();
        for ordinal in inner.candidates(&selectors, selection.visible) {
            let series = &inner.series[ordinal as usize];
            let labels = &series.entry.labels;
            let passes = filters.iter().all(|one| one.matches(labels.get(one.name)));
            if passes && series.is_active(selection.days) {
                found.push(series.entry.clone());
            }
        }
        drop(inner);
        found.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(found)
    }
}

impl Series {
    fn is_active(&self, days: Option<(Day, Day)>) -> bool {
        match days {
            Some((first, last)) => self.days.range(first..=last).next().is_some(),
            None => true,
        }
    }
}

impl Inner {
    /// Ordinals below `visible` whose series satisfy all `selectors`; sorted.
    fn candidates(&self, selectors: &[Compiled<'_>], visible: u32) -> Vec<u32> {
        let mut lists: Vec<Vec<u32>> = Vec::with_capacity(selectors.len());
        for selector in selectors {
            lists.push(self.ordinals(selector, visible));
        }
        lists.sort_by_key(Vec::len);
        let mut lists = lists.into_iter();
        let Some(mut candidates) = lists.next() else {
            return (0..visible).collect();
        };
        for list in lists {
            candidates.retain(|ordinal| list.binary_search(ordinal).is_ok());
        }
        candidates
    }

    /// Ordinals below `visible` of the series that have the selector's label with a matching value; sorted.
    fn ordinals(&self, selector: &Compiled<'_>, visible: u32) -> Vec<u32> {
        let Some(values) = self.postings.get(selector.name) else {
            return Vec::new();
        };
        let mut ordinals: Vec<u32> = match selector.only_value() {
            Some(value) => values.get(value).cloned().unwrap_or_default(),
            None => values
                .iter()
                .filter(|(value, _)| selector.matches(value))
                .flat_map(|(_, ordinals)| ordinals.iter().copied())
                .collect(),
        };
        ordinals.sort_unstable();
        ordinals.truncate(ordinals.partition_point(|ordinal| *ordinal < visible));
        ordinals
    }
}

#[cfg(test)]
mod tests;
