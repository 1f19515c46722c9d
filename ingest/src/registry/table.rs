//! Series by key, kept in the order in which they came first.
//!
//! A sender writes the same series in the same order again and again, so what follows the entry found last is most likely
//! what is looked for next: it is found without a search, and memory is walked forward instead of here and there.

use hashbrown::HashTable;

use super::Known;

/// What is known of series. One entry takes 48 bytes and 5 of the search.
#[derive(Debug, Default)]
pub(crate) struct Table {
    entries: Vec<(u128, Known)>,
    /// Where the entries are, by the low half of their keys, which are hashes already.
    places: HashTable<u32>,
}

impl Table {
    pub(crate) fn reserve(&mut self, more: usize) {
        self.entries.reserve(more);
        let entries = &self.entries;
        self.places.reserve(more, |place| hash(entries, *place));
    }

    /// The place of a key; `guess` is looked at before any search.
    #[inline]
    pub(crate) fn place(&self, key: u128, guess: u32) -> Option<u32> {
        if self
            .entries
            .get(guess as usize)
            .is_some_and(|(known, _)| *known == key)
        {
            return Some(guess);
        }
        let is_it = |place: &u32| self.entries[*place as usize].0 == key;
        self.places.find(key as u64, is_it).copied()
    }

    pub(crate) fn at(&self, place: u32) -> &Known {
        &self.entries[place as usize].1
    }

    pub(crate) fn at_mut(&mut self, place: u32) -> &mut Known {
        &mut self.entries[place as usize].1
    }

    /// What is known of a key.
    pub(crate) fn get(&self, key: u128) -> Option<&Known> {
        self.place(key, u32::MAX).map(|place| self.at(place))
    }

    /// Adds a key that is not there yet, and says where.
    pub(crate) fn push(&mut self, key: u128, known: Known) -> u32 {
        let place = u32::try_from(self.entries.len()).expect("series are limited to far fewer");
        self.entries.push((key, known));
        let entries = &self.entries;
        self.places
            .insert_unique(key as u64, place, |place| hash(entries, *place));
        place
    }

    /// Adds a key, or replaces what is known of it.
    pub(crate) fn insert(&mut self, key: u128, known: Known) {
        match self.place(key, u32::MAX) {
            Some(place) => *self.at_mut(place) = known,
            None => {
                self.push(key, known);
            }
        }
    }

    /// Forgets what `keep` does not accept; the others keep their order. Says how many were forgotten.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&Known) -> bool) -> usize {
        let before = self.entries.len();
        self.entries.retain(|(_, known)| keep(known));
        let forgotten = before - self.entries.len();
        if forgotten > 0 {
            if self.entries.capacity() > 4 * self.entries.len() + 1024 {
                self.entries.shrink_to_fit();
            }
            self.search_anew();
        }
        forgotten
    }

    fn search_anew(&mut self) {
        let entries = &self.entries;
        self.places = HashTable::with_capacity(entries.len());
        for (place, (key, _)) in (0..).zip(entries) {
            self.places
                .insert_unique(*key as u64, place, |place| hash(entries, *place));
        }
    }
}

impl IntoIterator for Table {
    type Item = (u128, Known);
    type IntoIter = std::vec::IntoIter<(u128, Known)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

fn hash(entries: &[(u128, Known)], place: u32) -> u64 {
    entries[place as usize].0 as u64
}
