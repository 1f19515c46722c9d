//! Resource attributes to entities and relations.
//!
//! Source of names: OpenTelemetry semantic conventions, "Resource".

use demarc_proto::{AttrValue, Attributes, EntityId, ResourceObservation, TenantId};

use crate::{
    CallStats, EntityKind, Provenance, RelationKind, TopologyConfig,
    history::{Claim, Sighting, Told},
    state::State,
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
    let id = EntityKind::Service.id(tenant, &qualified(resource, name));
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
    let told = told(kind, name, Some(tenant), attributes);
    Some(Sighting { id, told })
}

fn instance(tenant: &TenantId, resource: &Attributes) -> Option<Sighting> {
    let name = resource.str("service.name")?;
    let instance = resource.str("service.instance.id")?;
    let full = format!("{}/{instance}", qualified(resource, name));
    let id = EntityKind::Instance.id(tenant, &full);
    let attributes = attributes(resource, |key| {
        PROCESS.iter().any(|start| key.starts_with(start))
    });
    let told = told(EntityKind::Instance, instance, Some(tenant), attributes);
    Some(Sighting { id, told })
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
    let shared = |kind: EntityKind, name: &str, prefix: &str| {
        let kept = attributes(resource, |key| key.starts_with(prefix));
        sighting(seen, kind, name, kept)
    };
    let mut ground = Vec::new();
    if let Some(id) = resource.str("container.id") {
        ground.push(shared(EntityKind::Container, id, "container."));
    }
    if let Some(name) = pod_name(resource) {
        ground.push(shared(EntityKind::Pod, &name, "k8s."));
    }
    if let Some(node) = resource.str("k8s.node.name") {
        ground.push(shared(EntityKind::Node, node, "k8s.node."));
    }
    if let Some(host) = host(resource) {
        ground.push(shared(EntityKind::Host, host, "host."));
    }
    ground
}

/// The name of a resource's host, where that is a machine of its own. Within Kubernetes, `host.name` is the pod's own name, or the
/// node's.
pub(crate) fn host(resource: &Attributes) -> Option<&str> {
    let host = resource.str("host.name").or(resource.str("host.id"))?;
    let others = [resource.str("k8s.pod.name"), resource.str("k8s.node.name")];
    (!others.contains(&Some(host))).then_some(host)
}

/// Whose telemetry a resource is of: an instance, its service, or what that would run on.
pub(crate) fn teller(seen: &ResourceObservation) -> Option<EntityId> {
    let instance = instance(&seen.tenant, &seen.resource);
    let own = instance.or_else(|| service(&seen.tenant, &seen.resource));
    let teller = own.or_else(|| ground(seen).into_iter().next());
    teller.map(|teller| teller.id)
}

/// The name of a resource's pod: within its namespace, and within its cluster where that is told.
fn pod_name(resource: &Attributes) -> Option<String> {
    let pod = resource.str("k8s.pod.name")?;
    let outer = ["k8s.cluster.name", "k8s.namespace.name"];
    let mut steps: Vec<&str> = outer.iter().filter_map(|key| resource.str(key)).collect();
    steps.push(pod);
    Some(steps.join("/"))
}

/// A link and the hosts at its ends.
fn link(seen: &ResourceObservation) -> Option<(Sighting, Vec<Sighting>)> {
    let name = seen.resource.str("network.link.name")?;
    let kept = attributes(&seen.resource, |key| key.starts_with("network.link."));
    let link = sighting(seen, EntityKind::Link, name, kept);
    let ends = [
        "network.link.source.host.name",
        "network.link.destination.host.name",
    ];
    let names = ends.iter().filter_map(|key| seen.resource.str(key));
    let host = |name: &str| sighting(seen, EntityKind::Host, name, Attributes::default());
    Some((link, names.map(host).collect()))
}

/// Infrastructure that a resource tells of: it belongs to nobody in particular.
fn sighting(
    seen: &ResourceObservation,
    kind: EntityKind,
    name: &str,
    attributes: Attributes,
) -> Sighting {
    Sighting {
        id: kind.id(&seen.tenant, name),
        told: told(kind, name, None, attributes),
    }
}

/// What a resource tells of itself.
pub(crate) fn told(
    kind: EntityKind,
    name: &str,
    tenant: Option<&TenantId>,
    attributes: Attributes,
) -> Told {
    Told {
        kind,
        name: name.to_owned(),
        tenant: tenant.cloned(),
        claim: Claim::of(Provenance::Resource),
        attributes,
    }
}

/// Some of a resource's attributes, as texts: so the store keeps them, and so they are compared.
fn attributes(resource: &Attributes, keep: impl Fn(&str) -> bool) -> Attributes {
    let kept = resource.iter().filter(|(key, _)| keep(key));
    kept.map(|(key, value)| (key, AttrValue::Str(value.text().into_owned())))
        .collect()
}
