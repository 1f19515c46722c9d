//! Finds the two sides of each call: a client span and the server span that is its child.

mod peer;

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::BuildHasherDefault,
    sync::Arc,
};

use demarc_proto::{
    CallObservation, CallSide, Nanos, Observation, Peer, SpanId, TenantId, TimeRange, TraceId,
};
use demarc_store::{SpanKind, SpanStatus, SpanView};
use xxhash_rust::xxh3::xxh3_128;

use self::peer::Named;
use crate::{origin::Origin, registry::ByKey, span_metrics::Trace};

/// One call as far as it is known.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) client: Option<Box<Side>>,
    pub(crate) server: Option<Box<Side>>,
    /// When its first side arrived, by our clock.
    arrived: Nanos,
}

/// One side of a call.
#[derive(Clone, Debug)]
pub(crate) struct Side {
    pub(crate) origin: Arc<Origin>,
    pub(crate) failed: bool,
    pub(crate) duration_ns: i64,
    /// The span itself.
    pub(crate) trace: Trace,
    kind: SpanKind,
    has_parent: bool,
    start: Nanos,
    operation: Box<str>,
    peer: Option<Peer>,
    /// Name of the database that a client span calls.
    database: Option<String>,
    /// What a span says of its other side, for when that is never seen.
    peer_name: Option<String>,
}

impl Side {
    fn of(origin: &Arc<Origin>, span: SpanView<'_>) -> Self {
        let kind = span.kind();
        let is_client = matches!(kind, SpanKind::Client | SpanKind::Producer);
        let named = Named::of(span);
        Self {
            origin: Arc::clone(origin),
            failed: span.status() == SpanStatus::Error,
            duration_ns: span.duration_ns(),
            trace: Trace::of(span),
            kind,
            has_parent: span.parent_span_id().is_some(),
            start: span.start(),
            operation: span.name().into(),
            peer: match kind {
                // A consumer names the queue that it takes from.
                SpanKind::Consumer => named
                    .peer()
                    .filter(|peer| matches!(peer, Peer::Messaging { .. })),
                _ if is_client => named.peer(),
                _ => None,
            },
            database: if is_client { named.database() } else { None },
            peer_name: named.name(),
        }
    }

    fn call_side(&self) -> CallSide {
        CallSide {
            tenant: self.origin.tenant.clone(),
            resource: (*self.origin.resource).clone(),
            operation: self.operation.to_string(),
        }
    }
}

/// Calls that wait for their other side.
#[derive(Debug, Default)]
pub(crate) struct Pairing {
    /// By the client span: a server span names it as its parent.
    pending: HashMap<(TraceId, SpanId), Call>,
}

impl Pairing {
    /// Takes a span in. Spans that are no side of a call are left aside.
    pub(crate) fn add(&mut self, origin: &Arc<Origin>, span: SpanView<'_>, now: Nanos) {
        let side = || Some(Box::new(Side::of(origin, span)));
        match span.kind() {
            SpanKind::Client | SpanKind::Producer => {
                self.entry((span.trace_id(), span.span_id()), now).client = side();
            }
            SpanKind::Server | SpanKind::Consumer => {
                // Without a parent it is a root; its own id keeps it apart from every client span.
                let client = span.parent_span_id().unwrap_or(span.span_id());
                self.entry((span.trace_id(), client), now).server = side();
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
    let mut sums: HashMap<u128, (String, CallObservation), BuildHasherDefault<ByKey>> =
        HashMap::default();
    let mut scratch = Vec::new();
    for call in calls {
        let Some(measured) = Measured::of(call) else {
            continue;
        };
        match sums.entry(key(call, &mut scratch)) {
            Entry::Occupied(mut sum) => measured.add_to(&mut sum.get_mut().1),
            Entry::Vacant(place) => {
                if let Some(first) = observation(call, measured) {
                    place.insert((name(call), first));
                }
            }
        }
    }
    let mut sums: Vec<(String, CallObservation)> = sums.into_values().collect();
    sums.sort_by(|a, b| a.0.cmp(&b.0));
    let observations = sums.into_iter().map(|(_, sum)| sum);
    observations.map(Observation::Calls).collect()
}

/// What is summed up of calls.
#[derive(Clone, Copy, Debug)]
struct Measured {
    window: TimeRange,
    errors: u64,
    client_duration_ns: u64,
    server_duration_ns: u64,
}

impl Measured {
    fn of(call: &Call) -> Option<Self> {
        let first = call.client.as_ref().or(call.server.as_ref())?;
        let duration = |side: &Option<Box<Side>>| {
            let side = side.as_ref();
            side.map_or(0, |side| side.duration_ns.unsigned_abs())
        };
        Some(Self {
            window: TimeRange::new(first.start, Nanos(first.start.0.saturating_add(1)))?,
            errors: u64::from(first.failed),
            client_duration_ns: duration(&call.client),
            server_duration_ns: duration(&call.server),
        })
    }

    fn add_to(self, sum: &mut CallObservation) {
        let start = sum.window.start().min(self.window.start());
        let end = sum.window.end().max(self.window.end());
        sum.window = TimeRange::new(start, end).unwrap_or(sum.window);
        sum.count += 1;
        sum.errors += self.errors;
        sum.client_duration_ns += self.client_duration_ns;
        sum.server_duration_ns += self.server_duration_ns;
    }
}

fn observation(call: &Call, measured: Measured) -> Option<CallObservation> {
    let client = call.client.as_ref();
    let server = match (&call.server, client) {
        (Some(server), _) => Peer::Instrumented(server.call_side()),
        (None, Some(client)) => client.peer.clone()?,
        (None, None) => return None,
    };
    Some(CallObservation {
        window: measured.window,
        client: client.map(|side| side.call_side()),
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
        errors: measured.errors,
        client_duration_ns: measured.client_duration_ns,
        server_duration_ns: measured.server_duration_ns,
    })
}

/// The same for calls between the same sides, and for no others.
fn key(call: &Call, scratch: &mut Vec<u8>) -> u128 {
    scratch.clear();
    for side in [&call.client, &call.server] {
        scratch.push(u8::from(side.is_some()));
        if let Some(side) = side {
            scratch.extend_from_slice(&side.origin.key.to_le_bytes());
            scratch.extend_from_slice(side.operation.as_bytes());
            scratch.push(0xff);
        }
    }
    if let (Some(client), None) = (&call.client, &call.server) {
        push_peer(scratch, client.peer.as_ref());
    }
    xxh3_128(scratch)
}

fn push_peer(scratch: &mut Vec<u8>, peer: Option<&Peer>) {
    let (kind, texts) = match peer {
        // A side that is seen is no peer by name.
        None | Some(Peer::Instrumented(_)) => (0, [None, None, None]),
        Some(Peer::Database {
            system,
            namespace,
            address,
        }) => (1, [Some(system), namespace.as_ref(), address.as_ref()]),
        Some(Peer::Messaging {
            system,
            destination,
        }) => (2, [Some(system), Some(destination), None]),
        Some(Peer::Remote { address }) => (3, [Some(address), None, None]),
    };
    scratch.push(kind);
    for text in texts {
        scratch.push(u8::from(text.is_some()));
        scratch.extend_from_slice(text.map_or(&[], |text| text.as_bytes()));
        scratch.push(0xff);
    }
}

/// What observations are sorted by.
fn name(call: &Call) -> String {
    let side = |side: &Option<Box<Side>>| match side {
        None => String::new(),
        Some(side) => {
            let resource: Vec<String> = side
                .origin
                .resource
                .iter()
                .map(|(key, value)| format!("{key}={}", value.text()))
                .collect();
            format!(
                "{}\u{1}{}\u{1}{}",
                side.origin.tenant,
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

/// A call as an edge between two names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edge<'a> {
    pub(crate) client: &'a str,
    pub(crate) server: &'a str,
    /// Empty for a plain call.
    pub(crate) connection_type: &'static str,
}

impl Call {
    /// Whose call it is: that of the calling side, else of the called one.
    pub(crate) fn tenant(&self) -> Option<&TenantId> {
        let first = self.client.as_ref().or(self.server.as_ref());
        first.map(|side| &side.origin.tenant)
    }

    /// The edge that the call is part of; `None` when one side has no name. Source: Tempo, service graphs.
    pub(crate) fn edge(&self) -> Option<Edge<'_>> {
        let edge = |client, server, connection_type| Edge {
            client,
            server,
            connection_type,
        };
        match (&self.client, &self.server) {
            (Some(client), Some(server)) => {
                let is_message = server.kind == SpanKind::Consumer;
                let kind = if is_message { "messaging_system" } else { "" };
                Some(edge(&client.origin.service, &server.origin.service, kind))
            }
            (Some(client), None) => {
                let service = client.origin.service.as_str();
                match (&client.database, &client.peer_name) {
                    (Some(database), _) => Some(edge(service, database, "database")),
                    (None, Some(peer)) => Some(edge(service, peer, "virtual_node")),
                    (None, None) => None,
                }
            }
            (None, Some(server)) => {
                let service = server.origin.service.as_str();
                match &server.peer_name {
                    Some(peer) => Some(edge(peer, service, "virtual_node")),
                    // Only a root is known to be called from outside; another's caller is merely not seen.
                    None if server.has_parent => None,
                    None => Some(edge("user", service, "virtual_node")),
                }
            }
            (None, None) => None,
        }
    }

    /// Whether either side says that it failed.
    pub(crate) fn is_failed(&self) -> bool {
        let sides = [&self.client, &self.server];
        sides.into_iter().flatten().any(|side| side.failed)
    }

    /// How long the called side took; a database does not say, so that its client speaks for it.
    pub(crate) fn server_duration(&self, connection_type: &str) -> Option<(i64, Trace)> {
        let side = match connection_type {
            "database" => self.client.as_ref(),
            _ => self.server.as_ref(),
        };
        side.map(|side| (side.duration_ns, side.trace))
    }

    /// How long a message waited between its two sides.
    pub(crate) fn messaging_duration(&self) -> Option<(i64, Trace)> {
        let (client, server) = (self.client.as_ref()?, self.server.as_ref()?);
        let sent = client.start.0.saturating_add(client.duration_ns);
        let waited = server.start.0.saturating_sub(sent);
        (server.kind == SpanKind::Consumer && waited > 0).then_some((waited, server.trace))
    }
}
