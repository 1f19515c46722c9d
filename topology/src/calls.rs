//! Call observations to entities and relations.

use demarc_proto::{
    AttrValue, Attributes, CallObservation, CallSide, EntityId, Nanos, Peer, TenantId,
};

use crate::{
    CallStats, EntityKind, Provenance, RelationKind, TopologyConfig,
    entity::VIRTUAL,
    history::{Claim, Sighting, Tie, Told},
    identify::{service, told},
    state::State,
    view::is_loopback,
};

/// Notes who called whom.
pub(crate) fn calls(state: &mut State, seen: &CallObservation, config: &TopologyConfig) {
    let during = (seen.window.start(), Nanos(seen.window.end().0 - 1));
    let to = match &seen.server {
        Peer::Instrumented(side) => side_of_call(state, side, during, config),
        _ => None,
    };
    if let (Some(to), Peer::Instrumented(side), Some(alias)) =
        (&to, &seen.server, seen.alias.as_deref())
    {
        through_queue(state, (to, side, alias), during, config);
    }
    let Some(client) = &seen.client else { return };
    let Some(from) = service(&client.tenant, &client.resource) else {
        return;
    };
    let caller = from.id.clone();
    state.entity(from, during, config);
    if let (Some(to), Some(alias)) = (&to, seen.alias.as_deref()) {
        answers_to(state, (&caller, client, alias, to), during, config);
    }
    let (to, provenance) = match to {
        Some(to) => (to, Provenance::SpanPair),
        None => {
            let Some(peer) = virtual_peer(&caller, client, &seen.server) else {
                return;
            };
            let id = peer.id.clone();
            state.entity(peer, during, config);
            (id, Provenance::ClientSpan)
        }
    };
    let stats = CallStats {
        count: seen.count,
        errors: seen.errors,
        client_duration_ns: seen.client_duration_ns,
        server_duration_ns: seen.server_duration_ns,
    };
    let key = (caller, to, RelationKind::Calls);
    state.relation(key, provenance, during, stats, config);
}

/// Notes under which name a caller reaches an instrumented entity; a queue is no name of the consumer behind it, both use it.
fn answers_to(
    state: &mut State,
    (caller, client, alias, to): (&EntityId, &CallSide, &Peer, &EntityId),
    during: (Nanos, Nanos),
    config: &TopologyConfig,
) {
    if matches!(alias, Peer::Messaging { .. }) {
        return through_queue(state, (caller, client, alias), during, config);
    }
    let Some(name) = virtual_peer(caller, client, alias) else {
        return;
    };
    let claim = Claim::from(Provenance::SpanPair, caller.as_str());
    let claim = (claim, Provenance::SpanPair.confidence());
    let told = (during, CallStats::default());
    state.tie((name.id, to.clone(), Tie::Alias), claim, told, config);
}

/// Notes that a service sends to a queue or takes from it.
fn through_queue(
    state: &mut State,
    (service, side, peer): (&EntityId, &CallSide, &Peer),
    during: (Nanos, Nanos),
    config: &TopologyConfig,
) {
    if !matches!(peer, Peer::Messaging { .. }) {
        return;
    }
    let Some(queue) = virtual_peer(service, side, peer) else {
        return;
    };
    let key = (service.clone(), queue.id.clone(), RelationKind::Uses);
    let none = CallStats::default();
    state.relation(key, Provenance::ClientSpan, during, none, config);
    state.entity(queue, during, config);
}

/// Notes a side that sends spans, with its operation; returns its service.
fn side_of_call(
    state: &mut State,
    side: &CallSide,
    during: (Nanos, Nanos),
    config: &TopologyConfig,
) -> Option<EntityId> {
    let service = service(&side.tenant, &side.resource)?;
    let operation = operation(&service, side);
    let key = (
        operation.id.clone(),
        service.id.clone(),
        RelationKind::PartOf,
    );
    let none = CallStats::default();
    state.relation(key, Provenance::SpanPair, during, none, config);
    let id = service.id.clone();
    state.entity(service, during, config);
    state.entity(operation, during, config);
    Some(id)
}

fn operation(service: &Sighting, side: &CallSide) -> Sighting {
    let name = service.id.0.trim_start_matches("service:");
    let told = told(
        EntityKind::Operation,
        &side.operation,
        Some(&side.tenant),
        Attributes::default(),
    );
    Sighting {
        id: EntityId(format!("operation:{name}#{}", side.operation)),
        told,
    }
}

/// A called side that is known only from its callers.
fn virtual_peer(caller: &EntityId, client: &CallSide, peer: &Peer) -> Option<Sighting> {
    let (kind, place, name) = named(caller, peer)?;
    let mut attributes = Attributes::default();
    attributes.set(VIRTUAL, AttrValue::from(host_of(place)));
    Some(Sighting {
        id: kind.id(&client.tenant, &name),
        told: Told {
            kind,
            name,
            tenant: Some(client.tenant.clone()),
            claim: Claim::of(Provenance::ClientSpan),
            attributes,
        },
    })
}

/// The id of a called side that is known only from its callers, as the graph has it; `None` for one that sends spans.
pub fn peer_id(tenant: &TenantId, caller: &EntityId, peer: &Peer) -> Option<EntityId> {
    named(caller, peer).map(|(kind, _, name)| kind.id(tenant, &name))
}

/// Kind, address and name of a peer.
fn named<'a>(caller: &EntityId, peer: &'a Peer) -> Option<(EntityKind, &'a str, String)> {
    let (kind, system, place) = match peer {
        Peer::Instrumented(_) => return None,
        Peer::Database {
            system,
            namespace,
            address,
        } => {
            let place = address.as_deref().or(namespace.as_deref());
            (
                EntityKind::Database,
                Some(system),
                place.unwrap_or("unknown"),
            )
        }
        Peer::Messaging {
            system,
            destination,
        } => (EntityKind::Queue, Some(system), destination.as_str()),
        Peer::Remote { address } => (EntityKind::External, None, address.as_str()),
    };
    // Every machine calls itself `localhost`: the caller's name keeps them apart.
    let own = if is_loopback(host_of(place)) {
        let caller = caller.0.rsplit('/').next().unwrap_or_default();
        format!("{caller}@{place}")
    } else {
        place.to_owned()
    };
    let name = match system {
        Some(system) => format!("{system}/{own}"),
        None => own,
    };
    Some((kind, place, name))
}

/// The host of `host:port`, `[v6]:port` or a bare host.
pub(crate) fn host_of(address: &str) -> &str {
    match address.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            if port.chars().all(|c| c.is_ascii_digit()) {
                host.trim_start_matches('[').trim_end_matches(']')
            } else {
                address
            }
        }
        _ => address.trim_start_matches('[').trim_end_matches(']'),
    }
}
