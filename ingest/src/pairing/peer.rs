//! What a span says of the other side of its call.

use demarc_proto::Peer;
use demarc_store::SpanView;

/// The attributes of a span that name its other side.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Named<'a> {
    service: Option<&'a str>,
    server: [Option<&'a str>; 3],
    server_port: [Option<&'a str>; 2],
    network: [Option<&'a str>; 2],
    system: [Option<&'a str>; 2],
    namespace: [Option<&'a str>; 2],
    messaging: Option<&'a str>,
    destination: Option<&'a str>,
}

/// The first that is there.
fn first<'a>(texts: &[Option<&'a str>]) -> Option<&'a str> {
    texts.iter().find_map(|text| *text)
}

/// The first that is there, unless it is empty.
fn told(texts: &[Option<&str>]) -> Option<String> {
    let first = first(texts).filter(|text| !text.is_empty());
    first.map(str::to_owned)
}

impl<'a> Named<'a> {
    pub(crate) fn of(span: SpanView<'a>) -> Self {
        let mut named = Self::default();
        for (key, text) in span.attributes() {
            // Most attributes are told apart by the first letter.
            if !key.starts_with(['p', 's', 'n', 'd', 'm']) {
                continue;
            }
            let place = match key {
                "peer.service" => &mut named.service,
                "server.address" => &mut named.server[0],
                "net.peer.name" => &mut named.server[1],
                "peer.address" => &mut named.server[2],
                "server.port" => &mut named.server_port[0],
                "net.peer.port" => &mut named.server_port[1],
                "network.peer.address" => &mut named.network[0],
                "network.peer.port" => &mut named.network[1],
                "db.system.name" => &mut named.system[0],
                "db.system" => &mut named.system[1],
                "db.namespace" => &mut named.namespace[0],
                "db.name" => &mut named.namespace[1],
                "messaging.system" => &mut named.messaging,
                "messaging.destination.name" => &mut named.destination,
                _ => continue,
            };
            *place = Some(text);
        }
        named
    }

    /// The attribute `peer.service`.
    pub(crate) fn service(&self) -> Option<&'a str> {
        self.service
    }

    /// What a span calls its other side. Source: Tempo, `peer_attributes`.
    pub(super) fn name(&self) -> Option<String> {
        let [system_name, system] = self.system;
        told(&[self.service, self.namespace[1], system, system_name])
    }

    /// The name of the database that a client span calls; `None` when it calls none. Source: Tempo, service graphs.
    pub(super) fn database(&self) -> Option<String> {
        let own = told(&self.namespace);
        let [system_name, system] = self.system;
        let system = told(&[system, system_name]);
        if own.is_none() && system.is_none() {
            return None;
        }
        let address = || {
            let [address, port] = self.network.map(|text| told(&[text]));
            let address = address?;
            Some(match port {
                Some(port) => format!("{address}:{port}"),
                None => address,
            })
        };
        told(&[self.service])
            .or_else(|| told(&self.server[..1]))
            .or_else(address)
            .or(own)
            .or(system)
    }

    /// Whom a client span says it called; `None` when it names nobody.
    pub(super) fn peer(&self) -> Option<Peer> {
        let host = first(&self.server);
        let address = match (host, first(&self.server_port)) {
            (Some(host), Some(port)) => Some(format!("{host}:{port}")),
            (host, _) => host.map(str::to_owned),
        };
        if let Some(system) = first(&self.system) {
            return Some(Peer::Database {
                system: system.to_owned(),
                namespace: first(&self.namespace).map(str::to_owned),
                address,
            });
        }
        if let Some(system) = self.messaging {
            return Some(Peer::Messaging {
                system: system.to_owned(),
                destination: self.destination.unwrap_or_default().to_owned(),
            });
        }
        let service = self.service.map(str::to_owned);
        service.or(address).map(|address| Peer::Remote { address })
    }
}
