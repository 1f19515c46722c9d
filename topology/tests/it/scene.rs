//! Observations in a line each.
//!
//! `<second> resource <tenant> key=value ...`
//! `<second> series <tenant> <metric> label=value ...`
//! `<second> calls <tenant>/<service> -> <tenant>/<service> <count> <errors> [as <address>]`
//! `<second> calls <tenant>/<service> -> <tenant>/<service> <count> <errors> over <system>@<queue>`; `-` is a caller that sends no spans
//! `<second> calls <tenant>/<service> -> queue <system>@<queue> <count> <errors>`
//! `<second> calls <tenant>/<service> -> db <system>@<address> <count> <errors>`
//! `<second> calls <tenant>/<service> -> remote <address> <count> <errors>`

use demarc_proto::{
    AttrValue, Attributes, CallObservation, CallSide, Labels, Nanos, Observation, Peer,
    ResourceObservation, SeriesObservation, TenantId, TimeRange,
};

const SECOND: i64 = 1_000_000_000;

pub(crate) fn second(number: i64) -> Nanos {
    Nanos(number * SECOND)
}

pub(crate) fn observations(text: &str) -> Vec<Observation> {
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(observation)
        .collect()
}

fn observation(line: &str) -> Observation {
    let words: Vec<&str> = line.split_whitespace().collect();
    let at = second(words[0].parse().unwrap());
    match words[1] {
        "resource" => {
            let pairs = words[3..].iter().map(|pair| pair.split_once('=').unwrap());
            let resource = pairs
                .map(|(key, value)| (key, AttrValue::from(value)))
                .collect();
            Observation::Resource(ResourceObservation {
                tenant: tenant(words[2]),
                at,
                resource,
                entities: Vec::new(),
            })
        }
        "series" => {
            let pairs = words[4..].iter().map(|pair| pair.split_once('=').unwrap());
            let labels = pairs.chain([("__name__", words[3])]);
            Observation::Series(SeriesObservation {
                tenant: tenant(words[2]),
                at,
                labels: Labels::from_pairs(labels),
                value: 1.0,
                resource: None,
            })
        }
        "calls" => Observation::Calls(calls(at, &words[2..])),
        other => panic!("{other}: {line}"),
    }
}

fn calls(at: Nanos, words: &[&str]) -> CallObservation {
    let client = (words[0] != "-").then(|| side(words[0]));
    assert_eq!(words[1], "->");
    let (server, rest) = match words[2] {
        "db" => {
            let (system, address) = words[3].split_once('@').unwrap();
            let (system, address) = (system.to_owned(), Some(address.to_owned()));
            (
                Peer::Database {
                    system,
                    namespace: None,
                    address,
                },
                &words[4..],
            )
        }
        "remote" => (
            Peer::Remote {
                address: words[3].to_owned(),
            },
            &words[4..],
        ),
        "queue" => (queue(words[3]), &words[4..]),
        service => (Peer::Instrumented(side(service)), &words[3..]),
    };
    let alias = match rest {
        [_, _, "as", address] => Some(Box::new(Peer::Remote {
            address: (*address).to_owned(),
        })),
        [_, _, "over", name] => Some(Box::new(queue(name))),
        _ => None,
    };
    let count: u64 = rest[0].parse().unwrap();
    CallObservation {
        window: TimeRange::new(at, Nanos(at.0 + SECOND)).unwrap(),
        client,
        server,
        alias,
        count,
        errors: rest[1].parse().unwrap(),
        client_duration_ns: count * 2_000_000,
        server_duration_ns: count * 1_000_000,
    }
}

fn queue(name: &str) -> Peer {
    let (system, destination) = name.split_once('@').unwrap();
    Peer::Messaging {
        system: system.to_owned(),
        destination: destination.to_owned(),
    }
}

fn side(text: &str) -> CallSide {
    let (tenant_name, service) = text.split_once('/').unwrap();
    let resource: Attributes = [("service.name", AttrValue::from(service))]
        .into_iter()
        .collect();
    CallSide {
        tenant: tenant(tenant_name),
        resource,
        operation: "GET".to_owned(),
    }
}

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}
