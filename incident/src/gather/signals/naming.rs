//! The entities that the labels of a series name.

use std::collections::BTreeMap;

use demarc_proto::{EntityId, Labels, TenantId};
use demarc_topology::{EntityKind, Graph};

use super::source::Naming;
use crate::{ProcessFact, Shift, StoredQuery};

/// Hosts and nodes in scope by the address under which their exporters are scraped.
pub(super) struct Machines<'a>(BTreeMap<String, Vec<&'a EntityId>>);

impl<'a> Machines<'a> {
    pub(super) fn of(graph: &'a Graph, scope: impl Iterator<Item = &'a EntityId>) -> Self {
        let mut machines: BTreeMap<String, Vec<&EntityId>> = BTreeMap::new();
        for entity in scope.filter_map(|id| graph.get(id)) {
            let is_machine = matches!(entity.kind, EntityKind::Host | EntityKind::Node);
            let scraped = entity.attributes.text("metrics.instance");
            if let Some(instance) = scraped.filter(|_| is_machine) {
                let known = machines.entry(instance.into_owned()).or_default();
                known.push(&entity.id);
            }
        }
        Self(machines)
    }

    fn scraped_at(&self, instance: &str) -> &[&'a EntityId] {
        self.0.get(instance).map_or(&[], Vec::as_slice)
    }
}

impl Naming {
    /// The ids that the labels may mean.
    pub(super) fn entities(
        self,
        tenant: &TenantId,
        labels: &Labels,
        machines: &Machines<'_>,
    ) -> Vec<EntityId> {
        match self {
            Self::Host | Self::Process => hosts(labels, machines),
            Self::Pod => vec![pod(labels)],
            Self::Link => {
                let name = labels.get("network_link_name");
                vec![EntityId(format!("link:{name}"))]
            }
            Self::Service => vec![service_id(tenant, labels)],
        }
    }
}

fn hosts(labels: &Labels, machines: &Machines<'_>) -> Vec<EntityId> {
    let instance = labels.get("instance");
    // An exporter is scraped at `host:port`, where the host may be an address that says nothing: the topology knows whose it is.
    let address = instance.split(':').next().unwrap_or(instance);
    let named = ["host_name", "k8s_node_name", "node"].map(|label| labels.get(label));
    let mut ids = Vec::new();
    for name in named.into_iter().chain([address]) {
        if !name.is_empty() {
            ids.extend(["host", "node"].map(|kind| EntityId(format!("{kind}:{name}"))));
        }
    }
    ids.extend(machines.scraped_at(instance).iter().copied().cloned());
    ids.sort();
    ids.dedup();
    ids
}

fn pod(labels: &Labels) -> EntityId {
    let first_of = |names: [&str; 2]| {
        let values = names.map(|name| labels.get(name));
        values.into_iter().find(|value| !value.is_empty())
    };
    let steps = [
        first_of(["k8s_cluster_name", "cluster"]),
        first_of(["k8s_namespace_name", "namespace"]),
        first_of(["k8s_pod_name", "pod"]),
    ];
    let steps: Vec<&str> = steps.into_iter().flatten().collect();
    EntityId(format!("pod:{}", steps.join("/")))
}

/// The service that the labels of its resource name.
pub(crate) fn service_id(tenant: &TenantId, labels: &Labels) -> EntityId {
    let name = match labels.get("service_name") {
        "" => labels.get("service"),
        name => name,
    };
    EntityId(match labels.get("service_namespace") {
        "" => format!("service:{tenant}/{name}"),
        namespace => format!("service:{tenant}/{namespace}/{name}"),
    })
}

impl ProcessFact {
    /// A process on `host`, as its labels name it.
    pub(super) fn of(
        host: EntityId,
        labels: &Labels,
        graph: &Graph,
        (cpu, query): (Shift, StoredQuery),
    ) -> Self {
        let name = labels.get("process_executable_name").to_owned();
        let service = service_of_process(graph, &host, labels.get("process_owner"), &name);
        Self {
            host,
            name,
            service,
            cpu,
            query,
        }
    }
}

/// The service on `host` that a process is of: the one of its name, its owner's before others'.
fn service_of_process(graph: &Graph, host: &EntityId, owner: &str, name: &str) -> Option<EntityId> {
    let mut services: Vec<_> = graph
        .carried_by(host)
        .into_iter()
        .filter(|entity| entity.name == name && entity.kind != EntityKind::Instance)
        .collect();
    services.sort_by_key(|entity| {
        entity
            .tenant
            .as_ref()
            .is_none_or(|tenant| tenant.as_str() != owner)
    });
    services.first().map(|entity| entity.id.clone())
}
