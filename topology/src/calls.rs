//! Call observations to entities and relations.

use demarc_proto::{Attributes, CallObservation, CallSide, EntityId, Nanos, Peer};

use crate::{
    CallStats, EntityKind, Provenance, RelationKind, TopologyConfig,
    identify::service,
    state::{Sighting, State},
};

/// Notes who called whom.
pub(crate) fn calls(state: &mut State, seen: &CallObservation, config: &TopologyConfig) {
    let during = (seen.window.start(), Nanos(seen.window.end().0 - 1));
    let stats = CallStats {
        count: seen.count,
        errors: seen.errors,
        client_duration_ns: seen.client_duration_ns,
        server_duration_ns: seen.server_duration_ns,
    };
    let mut note = |side: &CallSide| {
        let service = service(&side.tenant, &side.resource)?;
        let operation = operation(&service, side);
        let part = (
            operation.id.clone(),
            service.id.clone(),
            RelationKind::PartOf,
        );
        let provenance = Provenance::SpanPair;
        state.relation(part, provenance, during, CallStats::default(), config);
        let id = service.id.clone();
        state.entity(service, during, config);
        state.entity(operation, during, config);
        Some(id)
    };
    let (to, provenance) = match &seen.server {
        Peer::Instrumented(side) => (note(side), Provenance::SpanPair),
        _ => (None, Provenance::ClientSpan),
    };
    let Some(client) = &seen.client else { return };
    let Some(from) = service(&client.tenant, &client.resource) else {
        return;
    };
    if let (Some(to), Some(alias)) = (&to, &seen.alias)
        && let Some(alias) = virtual_peer(client, alias)
    {
        state
            .aliases
            .insert((from.id.clone(), alias.id), to.clone());
    }
    let to = to.or_else(|| {
        let peer = virtual_peer(client, &seen.server)?;
        let id = peer.id.clone();
        state.entity(peer, during, config);
        Some(id)
    });
    if let Some(to) = to {
        let key = (from.id.clone(), to, RelationKind::Calls);
        state.relation(key, provenance, during, stats, config);
    }
    state.entity(from, during, config);
}

fn operation(service: &Sighting, side: &CallSide) -> Sighting {
    let name = service.id.0.trim_start_matches("service:");
    Sighting {
        id: EntityId(format!("operation:{name}#{}", side.operation)),
        kind: EntityKind::Operation,
        name: side.operation.clone(),
        tenant: Some(side.tenant.clone()),
        attributes: Attributes::default(),
    }
}

/// A called side that is known only from its callers.
fn virtual_peer(client: &CallSide, peer: &Peer) -> Option<Sighting> {
    let tenant = &client.tenant;
    let (kind, name) = match peer {
        Peer::Instrumented(_) => return None,
        Peer::Database {
            system,
            namespace,
            address,
        } => {
            let place = address
                .as_deref()
                .or(namespace.as_deref())
                .unwrap_or("unknown");
            (EntityKind::Database, format!("{system}/{place}"))
        }
        Peer::Messaging {
            system,
            destination,
        } => (EntityKind::Queue, format!("{system}/{destination}")),
        Peer::Remote { address } => (EntityKind::External, address.clone()),
    };
    Some(Sighting {
        id: EntityId(format!("{kind}:{tenant}/{name}")),
        kind,
        name,
        tenant: Some(tenant.clone()),
        attributes: Attributes::default(),
    })
}
