//! Calls between the same sides, summed up as observations.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::BuildHasherDefault,
};

use demarc_proto::{CallObservation, Nanos, Observation, Peer, TimeRange};
use xxhash_rust::xxh3::xxh3_128;

use super::{Call, Side};
use crate::registry::ByKey;

/// Calls that are over and not observed yet.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    /// By their sides; each with what observations are sorted by.
    by_sides: HashMap<u128, (String, CallObservation), BuildHasherDefault<ByKey>>,
    scratch: Vec<u8>,
}

impl Sums {
    /// Adds calls.
    pub(crate) fn add(&mut self, calls: &[Call]) {
        for call in calls {
            let Some(measured) = Measured::of(call) else {
                continue;
            };
            match self.by_sides.entry(key(call, &mut self.scratch)) {
                Entry::Occupied(mut sum) => measured.add_to(&mut sum.get_mut().1),
                Entry::Vacant(place) => {
                    if let Some(first) = observation(call, measured) {
                        place.insert((name(call), first));
                    }
                }
            }
        }
    }

    /// What was added since the last time, in a defined order.
    pub(crate) fn take(&mut self) -> Vec<Observation> {
        let sums = std::mem::take(&mut self.by_sides);
        let mut sums: Vec<(String, CallObservation)> = sums.into_values().collect();
        sums.sort_by(|a, b| a.0.cmp(&b.0));
        let observations = sums.into_iter().map(|(_, sum)| sum);
        observations.map(Observation::Calls).collect()
    }
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
