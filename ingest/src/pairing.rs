//! Finds the two sides of each call: a client span and the server span that is its child.

use std::collections::{BTreeMap, HashMap};

use demarc_proto::{
    Attributes, CallObservation, CallSide, Nanos, Observation, Peer, SpanId, TenantId, TimeRange,
    TraceId,
};
use demarc_store::{SpanKind, SpanRow, SpanStatus};

/// One call as far as it is known.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) client: Option<Side>,
    pub(crate) server: Option<Side>,
    /// When its first side arrived, by our clock.
    arrived: Nanos,
}

/// One side of a call.
#[derive(Clone, Debug)]
pub(crate) struct Side {
    pub(crate) tenant: TenantId,
    pub(crate) service: String,
    pub(crate) failed: bool,
    pub(crate) duration_ns: i64,
    start: Nanos,
    operation: String,
    resource: std::sync::Arc<Attributes>,
    peer: Option<Peer>,
}

impl Side {
    fn of(tenant: &TenantId, span: &SpanRow) -> Self {
        let is_client = matches!(span.kind, SpanKind::Client | SpanKind::Producer);
        Self {
            tenant: tenant.clone(),
            service: span.service.clone(),
            failed: span.status == SpanStatus::Error,
            duration_ns: span.duration_ns,
            start: span.start,
            operation: span.name.clone(),
            resource: std::sync::Arc::clone(&span.resource),
            peer: match span.kind {
                // A consumer names the queue that it takes from.
                SpanKind::Consumer => {
                    peer(span).filter(|peer| matches!(peer, Peer::Messaging { .. }))
                }
                _ if is_client => peer(span),
                _ => None,
            },
        }
    }

    fn call_side(&self) -> CallSide {
        CallSide {
            tenant: self.tenant.clone(),
            resource: (*self.resource).clone(),
            operation: self.operation.clone(),
        }
    }
}

/// Whom a client span says it called; `None` when it names nobody.
pub(crate) fn peer(span: &SpanRow) -> Option<Peer> {
    let text = |keys: &[&str]| {
        keys.iter()
            .find_map(|key| span.attributes.text(key))
            .map(|text| text.into_owned())
    };
    let host = text(&["server.address", "net.peer.name", "peer.address"]);
    let address = match (host, text(&["server.port", "net.peer.port"])) {
        (Some(host), Some(port)) => Some(format!("{host}:{port}")),
        (host, _) => host,
    };
    if let Some(system) = text(&["db.system.name", "db.system"]) {
        return Some(Peer::Database {
            system,
            namespace: text(&["db.namespace", "db.name"]),
            address,
        });
    }
    if let Some(system) = text(&["messaging.system"]) {
        let destination = text(&["messaging.destination.name"]).unwrap_or_default();
        return Some(Peer::Messaging {
            system,
            destination,
        });
    }
    text(&["peer.service"])
        .or(address)
        .map(|address| Peer::Remote { address })
}

/// Calls that wait for their other side.
#[derive(Debug, Default)]
pub(crate) struct Pairing {
    /// By the client span: a server span names it as its parent.
    pending: HashMap<(TraceId, SpanId), Call>,
}

impl Pairing {
    /// Takes a span in. Spans that are no side of a call are left aside.
    pub(crate) fn add(&mut self, tenant: &TenantId, span: &SpanRow, now: Nanos) {
        let side = Side::of(tenant, span);
        match span.kind {
            SpanKind::Client | SpanKind::Producer => {
                self.entry((span.trace_id, span.span_id), now).client = Some(side);
            }
            SpanKind::Server | SpanKind::Consumer => {
                // Without a parent it is a root; its own id keeps it apart from every client span.
                let client = span.parent_span_id.unwrap_or(span.span_id);
                self.entry((span.trace_id, client), now).server = Some(side);
            }
            SpanKind::Internal | SpanKind::Unspecified => {}
        }
    }

    fn entry(&mut self, key: (TraceId, SpanId), now: Nanos) -> &mut Call {
        self.pending.entry(key).or_insert(Call {
            client: None,
            server: None,
            arrived: now,
        })
    }

    /// The calls that are complete, and those whose first side arrived by `deadline`. Beyond `max_pending`, all of them.
    pub(crate) fn take(&mut self, deadline: Nanos, max_pending: usize) -> Vec<Call> {
        let is_over_full = self.pending.len() > max_pending;
        let is_due = |call: &Call| {
            let is_complete = call.client.is_some() && call.server.is_some();
            is_complete || call.arrived <= deadline || is_over_full
        };
        self.pending
            .extract_if(|_, call| is_due(call))
            .map(|(_, call)| call)
            .collect()
    }
}

/// Sums up calls between the same sides into observations, in a defined order.
pub(crate) fn observations(calls: &[Call]) -> Vec<Observation> {
    let mut sums: BTreeMap<String, CallObservation> = BTreeMap::new();
    for call in calls {
        let Some(observation) = observation(call) else {
            continue;
        };
        sums.entry(key(call))
            .and_modify(|sum| add(sum, &observation))
            .or_insert(observation);
    }
    sums.into_values().map(Observation::Calls).collect()
}

fn observation(call: &Call) -> Option<CallObservation> {
    let client = call.client.as_ref();
    let server = match (&call.server, client) {
        (Some(server), _) => Peer::Instrumented(server.call_side()),
        (None, Some(client)) => client.peer.clone()?,
        (None, None) => return None,
    };
    let first = client.or(call.server.as_ref())?;
    let window = TimeRange::new(first.start, Nanos(first.start.0.saturating_add(1)))?;
    Some(CallObservation {
        window,
        client: client.map(Side::call_side),
        alias: match server {
            Peer::Instrumented(_) => {
                let own = call.server.as_ref().and_then(|side| side.peer.clone());
                let named = client.and_then(|side| side.peer.clone());
                named.or(own).map(Box::new)
            }
            _ => None,
        },
        server,
        count: 1,
        errors: u64::from(first.failed),
        client_duration_ns: client.map_or(0, |side| side.duration_ns.unsigned_abs()),
        server_duration_ns: call
            .server
            .as_ref()
            .map_or(0, |side| side.duration_ns.unsigned_abs()),
    })
}

fn key(call: &Call) -> String {
    let side = |side: &Option<Side>| match side {
        None => String::new(),
        Some(side) => {
            let resource: Vec<String> = side
                .resource
                .iter()
                .map(|(key, value)| format!("{key}={}", value.text()))
                .collect();
            format!(
                "{}\u{1}{}\u{1}{}",
                side.tenant,
                side.operation,
                resource.join("\u{1}")
            )
        }
    };
    let peer = match &call.server {
        Some(_) => side(&call.server),
        None => format!(
            "{:?}",
            call.client.as_ref().and_then(|client| client.peer.clone())
        ),
    };
    format!("{}\u{2}{peer}", side(&call.client))
}

fn add(sum: &mut CallObservation, one: &CallObservation) {
    let start = sum.window.start().min(one.window.start());
    let end = sum.window.end().max(one.window.end());
    sum.window = TimeRange::new(start, end).unwrap_or(sum.window);
    sum.count += one.count;
    sum.errors += one.errors;
    sum.client_duration_ns += one.client_duration_ns;
    sum.server_duration_ns += one.server_duration_ns;
}

impl Call {
    /// What Tempo calls the kind of connection.
    pub(crate) fn connection_type(&self) -> &'static str {
        match (&self.client, &self.server) {
            (Some(_), Some(_)) => "",
            (None, _) => "virtual_node",
            (Some(client), None) => match client.peer {
                Some(Peer::Database { .. }) => "database",
                Some(Peer::Messaging { .. }) => "messaging_system",
                _ => "virtual_node",
            },
        }
    }

    /// Names of the two sides as labels of service-graph metrics; `None` when the called side has no name.
    pub(crate) fn names(&self) -> Option<(String, String)> {
        let client = self
            .client
            .as_ref()
            .map_or_else(|| "user".to_owned(), |side| side.service.clone());
        let server = match &self.server {
            Some(server) => server.service.clone(),
            None => peer_name(self.client.as_ref()?.peer.as_ref()?),
        };
        Some((client, server))
    }
}

fn peer_name(peer: &Peer) -> String {
    match peer {
        Peer::Instrumented(side) => side.operation.clone(),
        Peer::Database {
            system,
            namespace,
            address,
        } => namespace
            .clone()
            .or_else(|| address.clone())
            .unwrap_or_else(|| system.clone()),
        Peer::Messaging {
            system,
            destination,
        } if destination.is_empty() => system.clone(),
        Peer::Messaging { destination, .. } => destination.clone(),
        Peer::Remote { address } => address.clone(),
    }
}
