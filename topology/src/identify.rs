//! Resource attributes to entities and relations.
//!
//! Source of names: OpenTelemetry semantic conventions, "Resource".

use demarc_proto::{Attributes, EntityId, ResourceObservation, TenantId};

use crate::{
    CallStats, EntityKind, Provenance, RelationKind, TopologyConfig,
    state::{Sighting, State},
};

/// Attributes that describe the process, not what it runs on.
const PROCESS: [&str; 4] = ["service.", "process.", "telemetry.", "deployment."];

/// Notes what a resource says of itself: a service and its instance, a link, and what they run on.
pub(crate) fn resource(state: &mut State, seen: &ResourceObservation, config: &TopologyConfig) {
    let during = (seen.at, seen.at);
    let ground = ground(seen);
    for pair in ground.windows(2) {
        let key = (pair[0].id.clone(), pair[1].id.clone(), RelationKind::RunsOn);
        state.relation(
            key,
            Provenance::Resource,
            during,
            CallStats::default(),
            config,
        );
    }
    if let Some((link, ends)) = link(seen) {
        for end in ends {
            let key = (link.id.clone(), end.id.clone(), RelationKind::Connects);
            state.relation(
                key,
                Provenance::Resource,
                during,
                CallStats::default(),
                config,
            );
            state.entity(end, during, config);
        }
        state.entity(link, during, config);
    } else if let Some(service) = service(&seen.tenant, &seen.resource) {
        own_service(state, seen, (service, ground.first()), config);
    }
    for entity in ground {
        state.entity(entity, during, config);
    }
}

/// Notes a service, its instance, and what that runs on.
fn own_service(
    state: &mut State,
    seen: &ResourceObservation,
    (service, below): (Sighting, Option<&Sighting>),
    config: &TopologyConfig,
) {
    let during = (seen.at, seen.at);
    let mut tie = |from: &EntityId, to: &EntityId, kind| {
        let key = (from.clone(), to.clone(), kind);
        state.relation(
            key,
            Provenance::Resource,
            during,
            CallStats::default(),
            config,
        );
    };
    let instance = instance(&seen.tenant, &seen.resource);
    if let Some(instance) = &instance {
        tie(&instance.id, &service.id, RelationKind::PartOf);
    }
    if let Some(below) = below {
        let runs = instance
            .as_ref()
            .map_or(&service.id, |instance| &instance.id);
        tie(runs, &below.id, RelationKind::RunsOn);
    }
    for entity in instance.into_iter().chain([service]) {
        state.entity(entity, during, config);
    }
}

/// The service that a resource is of, and what kind it is.
pub(crate) fn service(tenant: &TenantId, resource: &Attributes) -> Option<Sighting> {
    let name = resource.str("service.name")?;
    let kind = if resource.str("db.system.name").is_some() {
        EntityKind::Database
    } else if resource.str("messaging.system").is_some() {
        EntityKind::Queue
    } else if resource.str("faas.name").is_some() {
        EntityKind::Function
    } else {
        EntityKind::Service
    };
    // The id does not depend on the kind: a service is the same one before and after it says that it is a database.
    let id = EntityId(format!("service:{tenant}/{}", qualified(resource, name)));
    let attributes = attributes(resource, |key| {
        matches!(
            key,
            "service.name"
                | "service.namespace"
                | "service.version"
                | "db.system.name"
                | "messaging.system"
        ) || key.starts_with("deployment.")
    });
    Some(Sighting {
        id,
        kind,
        name: name.to_owned(),
        tenant: Some(tenant.clone()),
        attributes,
    })
}

fn instance(tenant: &TenantId, resource: &Attributes) -> Option<Sighting> {
    let name = resource.str("service.name")?;
    let instance = resource.str("service.instance.id")?;
    let id = EntityId(format!(
        "instance:{tenant}/{}/{instance}",
        qualified(resource, name)
    ));
    let attributes = attributes(resource, |key| {
        PROCESS.iter().any(|start| key.starts_with(start))
    });
    Some(Sighting {
        id,
        kind: EntityKind::Instance,
        name: instance.to_owned(),
        tenant: Some(tenant.clone()),
        attributes,
    })
}

/// The name of a service with its namespace.
pub(crate) fn qualified(resource: &Attributes, name: &str) -> String {
    match resource.str("service.namespace") {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.to_owned(),
    }
}

/// What a resource runs on, from the top down: container, pod, node, host.
fn ground(seen: &ResourceObservation) -> Vec<Sighting> {
    let resource = &seen.resource;
    let shared = |kind: EntityKind, name: String, prefix: &str| Sighting {
        id: EntityId(format!("{kind}:{name}")),
        kind,
        name,
        tenant: None,
        attributes: attributes(resource, |key| key.starts_with(prefix)),
    };
    let mut ground = Vec::new();
    if let Some(id) = resource.str("container.id") {
        ground.push(shared(EntityKind::Container, id.to_owned(), "container."));
    }
    if let Some(pod) = resource.str("k8s.pod.name") {
        let name = match resource.str("k8s.namespace.name") {
            Some(namespace) => format!("{namespace}/{pod}"),
            None => pod.to_owned(),
        };
        ground.push(shared(EntityKind::Pod, name, "k8s."));
    }
    let node = resource.str("k8s.node.name");
    if let Some(node) = node {
        ground.push(shared(EntityKind::Node, node.to_owned(), "k8s.node."));
    }
    let host = resource.str("host.name").or(resource.str("host.id"));
    // Within Kubernetes, `host.name` is the pod's own name: it is no host.
    let is_pods_own = host.is_some() && host == resource.str("k8s.pod.name");
    if let Some(host) = host.filter(|host| !is_pods_own && Some(*host) != node) {
        ground.push(shared(EntityKind::Host, host.to_owned(), "host."));
    }
    ground
}

/// A link and the hosts at its ends.
fn link(seen: &ResourceObservation) -> Option<(Sighting, Vec<Sighting>)> {
    let name = seen.resource.str("network.link.name")?;
    let link = Sighting {
        id: EntityId(format!("link:{name}")),
        kind: EntityKind::Link,
        name: name.to_owned(),
        tenant: None,
        attributes: attributes(&seen.resource, |key| key.starts_with("network.link.")),
    };
    let ends = [
        "network.link.source.host.name",
        "network.link.destination.host.name",
    ];
    let host = |key: &&str| {
        let name = seen.resource.str(key)?.to_owned();
        Some(Sighting {
            id: EntityId(format!("host:{name}")),
            kind: EntityKind::Host,
            name,
            tenant: None,
            attributes: Attributes::default(),
        })
    };
    Some((link, ends.iter().filter_map(host).collect()))
}

fn attributes(resource: &Attributes, keep: impl Fn(&str) -> bool) -> Attributes {
    let kept = resource.iter().filter(|(key, _)| keep(key));
    kept.map(|(key, value)| (key, value.clone())).collect()
}
