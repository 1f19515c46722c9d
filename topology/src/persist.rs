//! What is known, to rows of the store and back.
//!
//! A row is one interval of one thing that was told: an entity's version, or a relation's claim. An interval that goes on is
//! written again each time it has grown enough; of the rows of one fact, one that lies within another is its older version.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    time::Duration,
};

use demarc_proto::{AttrValue, Attributes, EntityId, Nanos, TenantId};
use demarc_store::{EntityRow, RelationRow, Rows, Snapshot, Table};

use crate::{
    CallStats, EntityKind, Responsibility, TopologyConfig, TopologyError,
    history::{Claim, Sighting, Tie, Told},
    interval::Interval,
    state::State,
    view::View,
};

/// Attributes under which the store keeps what has no column of its own.
const NAME: &str = "demarc.entity.name";
const TENANT: &str = "demarc.entity.tenant";
const CLAIM: &str = "demarc.entity.provenance";

/// Most facts that are turned into rows at once, so that nobody waits long for the lock.
const BATCH: usize = 400;

/// How much is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Amount {
    /// What is new, has ended, or has grown by much.
    Due,
    /// Everything that changed at all.
    All,
}

/// Rows by tenant.
pub(crate) type RowsByTenant = BTreeMap<String, Rows>;

/// Takes facts off the queue and turns them into rows; `None` once the queue is empty.
///
/// `owners` are who answers at `at`; what several tenants share goes to the operator.
pub(crate) fn changed(
    state: &mut State,
    (owners, at): (&Responsibility, Nanos),
    amount: Amount,
    config: &TopologyConfig,
) -> Option<RowsByTenant> {
    if state.dirty_nodes.is_empty() && state.dirty_edges.is_empty() {
        return None;
    }
    let mut rows = RowsByTenant::new();
    let mut later = Vec::new();
    let from = state.dirty_nodes.len().saturating_sub(BATCH);
    for node in state.dirty_nodes.split_off(from) {
        let Some(history) = state.graph.node_weight_mut(node) else {
            continue;
        };
        history.is_queued = false;
        let mut is_pending = false;
        let mut told: Vec<(std::sync::Arc<Told>, Interval<()>)> = Vec::new();
        for version in &mut history.versions {
            let step = version.told.claim.gap(config.entity_gap()) / 2;
            for interval in version.seen.iter_mut() {
                match due(interval, step, amount) {
                    Due::Now => told.push((version.told.clone(), *interval)),
                    Due::Later => is_pending = true,
                    Due::Never => {}
                }
            }
        }
        let id = history.id.clone();
        if is_pending {
            history.is_queued = true;
            later.push(node);
        }
        if told.is_empty() {
            continue;
        }
        let view = View { state, config, at };
        let entity = view.entity(node);
        let owner = entity.and_then(|entity| owners.answer_for(&entity, at));
        let owner = owner.map(|answer| answer.owner);
        for (told, interval) in told {
            let home = home(told.tenant.as_ref(), config);
            let mut row = entity_row(id.clone(), &told, &interval);
            row.owner = owner.clone();
            rows.entry(home).or_default().entities.push(row);
        }
    }
    state.dirty_nodes_later.append(&mut later);
    changed_relations(state, (owners, at), amount, (&mut rows, config));
    Some(rows)
}

/// A relation lives where its beginning does.
fn changed_relations(
    state: &mut State,
    (owners, at): (&Responsibility, Nanos),
    amount: Amount,
    (rows, config): (&mut RowsByTenant, &TopologyConfig),
) {
    let from = state.dirty_edges.len().saturating_sub(BATCH);
    for edge in state.dirty_edges.split_off(from) {
        let Some((from, to)) = state.graph.edge_endpoints(edge) else {
            continue;
        };
        let history = &mut state.graph[edge];
        history.is_queued = false;
        let kind = history.kind;
        let mut is_pending = false;
        let mut told: Vec<(String, f64, Interval<CallStats>)> = Vec::new();
        for one in &mut history.claims {
            let step = one.claim.gap(config.relation_gap()) / 2;
            for interval in one.seen.iter_mut() {
                match due(interval, step, amount) {
                    Due::Now => told.push((one.claim.to_string(), one.confidence, *interval)),
                    Due::Later => is_pending = true,
                    Due::Never => {}
                }
            }
        }
        if is_pending {
            history.is_queued = true;
            state.dirty_edges_later.push(edge);
        }
        if told.is_empty() {
            continue;
        }
        let view = View { state, config, at };
        let (begin, end) = (view.entity(from), view.entity(to));
        let tenant = begin.as_ref().and_then(|entity| entity.tenant.as_ref());
        let owner = end.and_then(|entity| owners.answer_for(&entity, at));
        let owner = owner.map(|answer| answer.owner);
        let home = rows.entry(home(tenant, config)).or_default();
        for (provenance, confidence, interval) in told {
            home.relations.push(RelationRow {
                from: state.graph[from].id.clone(),
                to: state.graph[to].id.clone(),
                kind: kind.as_str().to_owned(),
                provenance,
                confidence,
                owner: owner.clone(),
                calls: signed(interval.sum.count),
                errors: signed(interval.sum.errors),
                client_duration_ns: signed(interval.sum.client_duration_ns),
                server_duration_ns: signed(interval.sum.server_duration_ns),
                valid_from: interval.first,
                valid_to: until(&interval),
            });
        }
    }
}

/// When an interval is to be written.
enum Due {
    Now,
    Later,
    Never,
}

/// Marks an interval as written if it is due.
fn due<T>(interval: &mut Interval<T>, step: Duration, amount: Amount) -> Due {
    if !interval.is_grown {
        return Due::Never;
    }
    let is_due = interval
        .kept
        .is_none_or(|kept| interval.last > kept.plus(step));
    if amount == Amount::All || is_due {
        interval.kept = Some(interval.last);
        interval.is_grown = false;
        return Due::Now;
    }
    Due::Later
}

fn home(tenant: Option<&TenantId>, config: &TopologyConfig) -> String {
    tenant.map_or(config.operator_tenant.clone(), |tenant| {
        tenant.as_str().to_owned()
    })
}

fn entity_row(id: EntityId, told: &Told, interval: &Interval<()>) -> EntityRow {
    let mut attributes = told.attributes.clone();
    attributes.set(NAME, AttrValue::Str(told.name.clone()));
    attributes.set(CLAIM, AttrValue::Str(told.claim.to_string()));
    if let Some(tenant) = &told.tenant {
        attributes.set(TENANT, AttrValue::from(tenant.as_str()));
    }
    EntityRow {
        id,
        kind: told.kind.as_str().to_owned(),
        layer: told.kind.layer().as_str().to_owned(),
        owner: None,
        attributes,
        valid_from: interval.first,
        valid_to: until(interval),
    }
}

/// An end that is open is no end.
fn until<T>(interval: &Interval<T>) -> Option<Nanos> {
    (interval.last != Nanos(i64::MAX)).then_some(interval.last)
}

/// Takes in what one tenant's tables tell of a time, both ends inclusive.
pub(crate) async fn load(
    state: &mut State,
    snapshot: &Snapshot,
    (since, until): (Nanos, Nanos),
    config: &TopologyConfig,
) -> Result<(), TopologyError> {
    let is_outside = |from: Nanos, to: Option<Nanos>| {
        from > until || to.is_some_and(|to| to.plus(config.entity_gap()) < since)
    };
    let mut entities: Facts<(EntityId, String), EntityRow> = Facts::default();
    for batch in snapshot.read(Table::Entities).await? {
        for row in EntityRow::from_batch(&batch)? {
            if is_outside(row.valid_from, row.valid_to) {
                continue;
            }
            let Some(sighting) = sighting(&row) else {
                continue;
            };
            let is_declared = sighting.told.claim.gap(Duration::MAX).is_zero();
            let key = (row.id.clone(), sighting.told.order());
            entities.add(
                key,
                Span::of(row.valid_from, row.valid_to, is_declared),
                0,
                row,
            );
        }
    }
    for ((first, last), row) in entities.newest() {
        if let Some(sighting) = sighting(&row) {
            state.entity(sighting, (first, last), config);
        }
    }
    let mut relations: Facts<(EntityId, EntityId, String, String), RelationRow> = Facts::default();
    for batch in snapshot.read(Table::Relations).await? {
        for row in RelationRow::from_batch(&batch)? {
            if is_outside(row.valid_from, row.valid_to) {
                continue;
            }
            let Some(claim) = Claim::parse(&row.provenance) else {
                continue;
            };
            let is_declared = claim.gap(Duration::MAX).is_zero();
            let (from, to) = (row.from.clone(), row.to.clone());
            let key = (from, to, row.kind.clone(), row.provenance.clone());
            let span = Span::of(row.valid_from, row.valid_to, is_declared);
            relations.add(key, span, row.calls, row);
        }
    }
    for (during, row) in relations.newest() {
        relation(state, row, during, config);
    }
    Ok(())
}

/// When a row says that its fact holds.
#[derive(Clone, Copy)]
struct Span {
    first: Nanos,
    last: Nanos,
    is_declared: bool,
}

impl Span {
    fn of(first: Nanos, last: Option<Nanos>, is_declared: bool) -> Self {
        Self {
            first,
            last: last.unwrap_or(Nanos(i64::MAX)),
            is_declared,
        }
    }
}

/// Rows of each fact by its begin, of which some are older versions of others.
struct Facts<K, R>(BTreeMap<(K, Nanos), Row<R>>);

struct Row<R> {
    last: Nanos,
    calls: i64,
    row: R,
}

impl<K: Ord, R> Default for Facts<K, R> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord, R> Facts<K, R> {
    /// What telemetry tells of grows, so that the longest is the newest; what an inventory tells of is cut short by its end.
    fn add(&mut self, key: K, span: Span, calls: i64, row: R) {
        let new = Row {
            last: span.last,
            calls,
            row,
        };
        match self.0.entry((key, span.first)) {
            Entry::Vacant(place) => drop(place.insert(new)),
            Entry::Occupied(mut place) => {
                let known = place.get();
                let is_newer = match span.is_declared {
                    true => new.last < known.last,
                    false => (new.last, new.calls) > (known.last, known.calls),
                };
                if is_newer {
                    place.insert(new);
                }
            }
        }
    }

    /// What lies within no other row of its fact.
    fn newest(self) -> Vec<((Nanos, Nanos), R)> {
        let mut kept: Vec<((Nanos, Nanos), R)> = Vec::new();
        let mut covered: Option<(K, Nanos)> = None;
        for ((key, first), Row { last, row, .. }) in self.0 {
            let is_older = covered
                .as_ref()
                .is_some_and(|(known, until)| *known == key && last <= *until);
            if !is_older {
                covered = Some((key, last));
                kept.push(((first, last), row));
            }
        }
        kept
    }
}

fn sighting(row: &EntityRow) -> Option<Sighting> {
    let kind = EntityKind::parse(&row.kind)?;
    let mut attributes = row.attributes.0.clone();
    let name = attributes.remove(NAME)?.text().into_owned();
    let tenant = attributes.remove(TENANT);
    let tenant = tenant.and_then(|tenant| TenantId::new(tenant.text()).ok());
    let claim = attributes.remove(CLAIM);
    let claim = claim.and_then(|claim| Claim::parse(&claim.text()));
    let claim = claim.unwrap_or_else(|| Claim::of(crate::Provenance::Resource));
    Some(Sighting {
        id: row.id.clone(),
        told: Told {
            kind,
            name,
            tenant,
            claim,
            attributes: Attributes(attributes),
        },
    })
}

fn relation(state: &mut State, row: RelationRow, during: (Nanos, Nanos), config: &TopologyConfig) {
    let known = (Tie::parse(&row.kind), Claim::parse(&row.provenance));
    let (Some(kind), Some(claim)) = known else {
        return;
    };
    let calls = CallStats {
        count: row.calls.unsigned_abs(),
        errors: row.errors.unsigned_abs(),
        client_duration_ns: row.client_duration_ns.unsigned_abs(),
        server_duration_ns: row.server_duration_ns.unsigned_abs(),
    };
    let claim = (claim, row.confidence);
    state.tie((row.from, row.to, kind), claim, (during, calls), config);
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
