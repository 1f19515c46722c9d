//! Finds the two sides of each call: a client span and the server span that is its child.

mod peer;
mod sums;

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use demarc_proto::{CallSide, Nanos, Peer, SpanId, TenantId, TraceId};
use demarc_store::{SpanKind, SpanStatus, SpanView};

pub(crate) use self::{peer::Named, sums::Sums};

use crate::{origin::Origin, span_metrics::Trace};

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
    fn of(origin: &Arc<Origin>, span: SpanView<'_>, named: &Named<'_>) -> Self {
        let kind = span.kind();
        let is_client = Role::of(kind) == Some(Role::Client);
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
    /// Takes a span in. Returns the call that it completes. Spans that are no side of a call are left aside.
    pub(crate) fn add(
        &mut self,
        origin: &Arc<Origin>,
        span: SpanView<'_>,
        named: &Named<'_>,
        now: Nanos,
    ) -> Option<Call> {
        let role = Role::of(span.kind())?;
        let client = match role {
            Role::Client => span.span_id(),
            // Without a parent it is a root; its own id keeps it apart from every client span.
            Role::Server => span.parent_span_id().unwrap_or(span.span_id()),
        };
        let side = Box::new(Side::of(origin, span, named));
        match self.pending.entry((span.trace_id(), client)) {
            Entry::Occupied(waiting) if waiting.get().lacks_only(role) => {
                let mut call = waiting.remove();
                *call.side(role) = Some(side);
                Some(call)
            }
            entry => {
                let call = entry.or_insert(Call {
                    client: None,
                    server: None,
                    arrived: now,
                });
                *call.side(role) = Some(side);
                None
            }
        }
    }

    /// The calls whose first side arrived by `deadline`, as far as they are known. Beyond `max_pending`, all of them.
    pub(crate) fn take(&mut self, deadline: Nanos, max_pending: usize) -> Vec<Call> {
        let is_over_full = self.pending.len() > max_pending;
        self.pending
            .extract_if(|_, call| call.arrived <= deadline || is_over_full)
            .map(|(_, call)| call)
            .collect()
    }
}

/// A call as an edge between two names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edge<'a> {
    pub(crate) client: &'a str,
    pub(crate) server: &'a str,
    /// Empty for a plain call.
    pub(crate) connection_type: &'static str,
}

/// Which side of a call a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Client,
    Server,
}

impl Role {
    /// `None` when it is no side of a call.
    pub(crate) fn of(kind: SpanKind) -> Option<Self> {
        match kind {
            SpanKind::Client | SpanKind::Producer => Some(Self::Client),
            SpanKind::Server | SpanKind::Consumer => Some(Self::Server),
            SpanKind::Internal | SpanKind::Unspecified => None,
        }
    }
}

impl Call {
    /// The place of the calling or of the called side.
    fn side(&mut self, role: Role) -> &mut Option<Box<Side>> {
        match role {
            Role::Client => &mut self.client,
            Role::Server => &mut self.server,
        }
    }

    /// Whether only the other side is missing.
    fn lacks_only(&self, role: Role) -> bool {
        match role {
            Role::Client => self.client.is_none() && self.server.is_some(),
            Role::Server => self.server.is_none() && self.client.is_some(),
        }
    }

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
