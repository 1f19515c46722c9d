//! All that is known of entities and relations, with the intervals in which they were seen.

use std::{collections::BTreeMap, time::Duration};

use demarc_proto::{Attributes, EntityId, Nanos, TenantId};

use crate::{CallStats, EntityKind, Provenance, RelationKind, TopologyConfig};

/// Key of a relation.
pub(crate) type RelationKey = (EntityId, EntityId, RelationKind);

/// Most intervals kept of one entity or relation; the oldest are forgotten here, not in the store.
const MAX_INTERVALS: usize = 64;

/// What is known; merging into it is commutative.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct State {
    pub(crate) entities: BTreeMap<EntityId, EntityHistory>,
    pub(crate) relations: BTreeMap<RelationKey, RelationHistory>,
    /// Caller and the name that it calls by -> the instrumented entity that answers to it.
    pub(crate) aliases: BTreeMap<(EntityId, EntityId), EntityId>,
}

/// One entity through time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EntityHistory {
    pub(crate) kind: EntityKind,
    pub(crate) name: String,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) attributes: Attributes,
    /// The time of the newest telemetry that the attributes are from.
    pub(crate) attributes_at: Nanos,
    pub(crate) seen: Vec<Interval<()>>,
}

/// One relation through time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RelationHistory {
    pub(crate) provenance: Provenance,
    pub(crate) seen: Vec<Interval<CallStats>>,
}

/// A time without a gap, both ends inclusive, and what was summed up within it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Interval<T> {
    pub(crate) first: Nanos,
    pub(crate) last: Nanos,
    pub(crate) sum: T,
    /// Whether the store has this version.
    pub(crate) is_persisted: bool,
}

/// An entity as one observation tells of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sighting {
    pub(crate) id: EntityId,
    pub(crate) kind: EntityKind,
    pub(crate) name: String,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) attributes: Attributes,
}

/// Values that can be summed.
pub(crate) trait Summable: Copy {
    fn plus(self, other: Self) -> Self;
}

impl Summable for () {
    fn plus(self, (): ()) {}
}

impl Summable for CallStats {
    fn plus(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            errors: self.errors + other.errors,
            client_duration_ns: self.client_duration_ns + other.client_duration_ns,
            server_duration_ns: self.server_duration_ns + other.server_duration_ns,
        }
    }
}

impl State {
    /// Notes that an entity was seen during `[first, last]`.
    pub(crate) fn entity(
        &mut self,
        sighting: Sighting,
        (first, last): (Nanos, Nanos),
        config: &TopologyConfig,
    ) {
        let history = self
            .entities
            .entry(sighting.id)
            .or_insert_with(|| EntityHistory {
                kind: sighting.kind,
                name: sighting.name,
                tenant: sighting.tenant.clone(),
                attributes: Attributes::default(),
                attributes_at: Nanos(i64::MIN),
                seen: Vec::new(),
            });
        // A service that also says what database it is, is that database.
        history.kind = history.kind.max(sighting.kind);
        // Told of by two tenants, it is shared.
        if history.tenant != sighting.tenant {
            history.tenant = None;
        }
        let is_newer = last >= history.attributes_at;
        for (key, value) in sighting.attributes.0 {
            if is_newer || !history.attributes.0.contains_key(&key) {
                history.attributes.0.insert(key, value);
            }
        }
        history.attributes_at = history.attributes_at.max(last);
        widen(&mut history.seen, first, last, (), config.entity_gap());
    }

    /// Takes all that is known as what the store has.
    pub(crate) fn mark_persisted(&mut self) {
        let entities = self
            .entities
            .values_mut()
            .flat_map(|history| &mut history.seen);
        entities.for_each(|interval| interval.is_persisted = true);
        let relations = self
            .relations
            .values_mut()
            .flat_map(|history| &mut history.seen);
        relations.for_each(|interval| interval.is_persisted = true);
    }

    /// Notes that a relation was seen during `[first, last]`.
    pub(crate) fn relation(
        &mut self,
        key: RelationKey,
        provenance: Provenance,
        (first, last): (Nanos, Nanos),
        calls: CallStats,
        config: &TopologyConfig,
    ) {
        let history = self
            .relations
            .entry(key)
            .or_insert_with(|| RelationHistory {
                provenance,
                seen: Vec::new(),
            });
        if provenance.confidence() > history.provenance.confidence() {
            history.provenance = provenance;
        }
        widen(&mut history.seen, first, last, calls, config.relation_gap());
    }
}

/// Adds `[first, last]` and joins what is no further apart than `gap`.
fn widen<T: Summable>(
    seen: &mut Vec<Interval<T>>,
    first: Nanos,
    last: Nanos,
    sum: T,
    gap: Duration,
) {
    let at = seen.partition_point(|interval| interval.first <= first);
    seen.insert(
        at,
        Interval {
            first,
            last,
            sum,
            is_persisted: false,
        },
    );
    let mut joined: Vec<Interval<T>> = Vec::with_capacity(seen.len());
    for interval in seen.drain(..) {
        match joined.last_mut() {
            Some(before) if interval.first <= before.last.plus(gap) => {
                before.last = before.last.max(interval.last);
                before.sum = before.sum.plus(interval.sum);
                before.is_persisted = false;
            }
            _ => joined.push(interval),
        }
    }
    let surplus = joined.len().saturating_sub(MAX_INTERVALS);
    joined.drain(..surplus);
    *seen = joined;
}

/// The interval that `at` falls into, or that ended less than `gap` before it.
pub(crate) fn alive<T>(seen: &[Interval<T>], at: Nanos, gap: Duration) -> Option<&Interval<T>> {
    seen.iter()
        .rev()
        .find(|interval| interval.first <= at && at <= interval.last.plus(gap))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_closes_an_interval_and_a_late_arrival_bridges_it() {
        let gap = Duration::from_nanos(10);
        let mut seen = Vec::new();
        widen(&mut seen, Nanos(0), Nanos(5), (), gap);
        widen(&mut seen, Nanos(30), Nanos(31), (), gap);
        assert_eq!(seen.len(), 2);
        assert!(alive(&seen, Nanos(20), gap).is_none());
        widen(&mut seen, Nanos(14), Nanos(21), (), gap);
        assert_eq!(seen.len(), 1);
        assert_eq!((seen[0].first, seen[0].last), (Nanos(0), Nanos(31)));
    }
}
