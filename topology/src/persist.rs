//! What is known, to rows of the store and back.

use std::collections::BTreeMap;

use demarc_proto::{AttrValue, Attributes, EntityId, Nanos, TenantId};
use demarc_store::{EntityRow, RelationRow, Rows, Snapshot, Table};

use crate::{
    CallStats, EntityKind, Graph, Provenance, RelationKind, TopologyConfig, TopologyError,
    state::{Sighting, State},
};

/// Attributes under which the store keeps what has no column of its own.
const NAME: &str = "demarc.entity.name";
const TENANT: &str = "demarc.entity.tenant";

/// The rows of all that changed since the last call, by tenant; what several tenants share goes to the operator.
pub(crate) fn changed(
    state: &mut State,
    graph: &Graph,
    config: &TopologyConfig,
) -> BTreeMap<String, Rows> {
    let mut rows: BTreeMap<String, Rows> = BTreeMap::new();
    let home = |tenant: Option<&TenantId>| {
        tenant.map_or(config.operator_tenant.clone(), |tenant| {
            tenant.as_str().to_owned()
        })
    };
    let mut homes = BTreeMap::new();
    for (id, history) in &mut state.entities {
        let home = home(history.tenant.as_ref());
        homes.insert(id.clone(), home.clone());
        for interval in history
            .seen
            .iter_mut()
            .filter(|interval| !interval.is_persisted)
        {
            interval.is_persisted = true;
            let mut attributes = history.attributes.clone();
            attributes.set(NAME, AttrValue::Str(history.name.clone()));
            if let Some(tenant) = &history.tenant {
                attributes.set(TENANT, AttrValue::from(tenant.as_str()));
            }
            rows.entry(home.clone())
                .or_default()
                .entities
                .push(EntityRow {
                    id: id.clone(),
                    kind: history.kind.as_str().to_owned(),
                    layer: history.kind.layer().as_str().to_owned(),
                    owner: graph.get(id).and_then(|entity| entity.owner.clone()),
                    attributes,
                    valid_from: interval.first,
                    valid_to: Some(interval.last),
                });
        }
    }
    changed_relations(state, graph, (&homes, config), &mut rows);
    rows
}

/// A relation lives where its beginning does.
fn changed_relations(
    state: &mut State,
    graph: &Graph,
    (homes, config): (&BTreeMap<EntityId, String>, &TopologyConfig),
    rows: &mut BTreeMap<String, Rows>,
) {
    for ((from, to, kind), history) in &mut state.relations {
        let home = homes.get(from).unwrap_or(&config.operator_tenant).clone();
        for interval in history
            .seen
            .iter_mut()
            .filter(|interval| !interval.is_persisted)
        {
            interval.is_persisted = true;
            rows.entry(home.clone())
                .or_default()
                .relations
                .push(RelationRow {
                    from: from.clone(),
                    to: to.clone(),
                    kind: kind.as_str().to_owned(),
                    provenance: history.provenance.as_str().to_owned(),
                    confidence: history.provenance.confidence(),
                    owner: graph.get(to).and_then(|entity| entity.owner.clone()),
                    calls: signed(interval.sum.count),
                    errors: signed(interval.sum.errors),
                    client_duration_ns: signed(interval.sum.client_duration_ns),
                    server_duration_ns: signed(interval.sum.server_duration_ns),
                    valid_from: interval.first,
                    valid_to: Some(interval.last),
                });
        }
    }
}

/// Takes in what one tenant's tables tell.
pub(crate) async fn load(
    state: &mut State,
    snapshot: &Snapshot,
    config: &TopologyConfig,
) -> Result<(), TopologyError> {
    for batch in snapshot.read(Table::Entities).await? {
        for row in EntityRow::from_batch(&batch)? {
            entity(state, row, config);
        }
    }
    // A version that was widened later is in the store twice: the widest counts.
    let mut widest: BTreeMap<_, RelationRow> = BTreeMap::new();
    for batch in snapshot.read(Table::Relations).await? {
        for row in RelationRow::from_batch(&batch)? {
            let key = (
                row.from.clone(),
                row.to.clone(),
                row.kind.clone(),
                row.valid_from,
            );
            match widest.get(&key) {
                Some(known) if known.valid_to >= row.valid_to => {}
                _ => drop(widest.insert(key, row)),
            }
        }
    }
    for row in widest.into_values() {
        relation(state, row, config);
    }
    Ok(())
}

fn entity(state: &mut State, row: EntityRow, config: &TopologyConfig) {
    let Some(kind) = EntityKind::parse(&row.kind) else {
        return;
    };
    let mut attributes = row.attributes;
    let Some(AttrValue::Str(name)) = attributes.0.remove(NAME) else {
        return;
    };
    let tenant = attributes.0.remove(TENANT);
    let tenant = tenant.and_then(|tenant| TenantId::new(tenant.text()).ok());
    let during = (row.valid_from, row.valid_to.unwrap_or(row.valid_from));
    let sighting = Sighting {
        id: row.id,
        kind,
        name,
        tenant,
        attributes: Attributes(attributes.0),
    };
    state.entity(sighting, during, config);
}

fn relation(state: &mut State, row: RelationRow, config: &TopologyConfig) {
    let known = (
        RelationKind::parse(&row.kind),
        Provenance::parse(&row.provenance),
    );
    let (Some(kind), Some(provenance)) = known else {
        return;
    };
    let during: (Nanos, Nanos) = (row.valid_from, row.valid_to.unwrap_or(row.valid_from));
    let calls = CallStats {
        count: row.calls.unsigned_abs(),
        errors: row.errors.unsigned_abs(),
        client_duration_ns: row.client_duration_ns.unsigned_abs(),
        server_duration_ns: row.server_duration_ns.unsigned_abs(),
    };
    state.relation((row.from, row.to, kind), provenance, during, calls, config);
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
