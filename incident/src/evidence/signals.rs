//! What metrics say, by entity: a large system has tens of thousands of them, and each is asked for many times.

use std::{collections::BTreeMap, slice};

use demarc_proto::EntityId;
use serde::{Deserialize, Serialize, Serializer};

use super::{Signal, SignalFact};

/// Facts in the order in which they were found, written as a list.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(from = "Vec<SignalFact>")]
pub struct Signals {
    facts: Vec<SignalFact>,
    /// The first fact of each entity and signal.
    places: BTreeMap<EntityId, BTreeMap<Signal, usize>>,
}

impl Signals {
    /// Takes a fact in.
    pub fn push(&mut self, fact: SignalFact) {
        let place = self.facts.len();
        let of_entity = match self.places.get_mut(&fact.entity) {
            Some(known) => known,
            None => self.places.entry(fact.entity.clone()).or_default(),
        };
        of_entity.entry(fact.signal).or_insert(place);
        self.facts.push(fact);
    }

    /// What metrics say first of a signal of an entity.
    pub fn get(&self, entity: &EntityId, signal: Signal) -> Option<&SignalFact> {
        let place = self.places.get(entity)?.get(&signal)?;
        self.facts.get(*place)
    }

    /// All of them.
    pub fn iter(&self) -> slice::Iter<'_, SignalFact> {
        self.facts.iter()
    }
}

impl From<Vec<SignalFact>> for Signals {
    fn from(facts: Vec<SignalFact>) -> Self {
        let mut signals = Self::default();
        facts.into_iter().for_each(|fact| signals.push(fact));
        signals
    }
}

impl Serialize for Signals {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.facts.serialize(serializer)
    }
}
