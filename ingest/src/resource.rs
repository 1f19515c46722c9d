//! What a request says of the resource that sent it.

use std::{collections::HashMap, sync::Arc};

use demarc_proto::{
    Attributes, EntityRef, Nanos, Observation, ResourceObservation, TenantId, otlp,
};

use crate::{Limits, attribute::attributes, receipt::Refusal};

/// A resource is reported again after this much of its own time, so that the topology knows that it still lives.
const REPEAT_NS: i64 = 30_000_000_000;
/// Most resources remembered; beyond, the memory is cleared and each is reported anew.
const MAX_REMEMBERED: usize = 100_000;

/// Takes over a resource's attributes.
pub(crate) fn resource(
    resource: Option<otlp::resource::v1::Resource>,
    limits: &Limits,
) -> Result<Arc<Attributes>, Refusal> {
    let pairs = resource
        .map(|resource| resource.attributes)
        .unwrap_or_default();
    attributes(pairs, limits).map(Arc::new)
}

/// `service.name`, or what the specification says to show when there is none.
pub(crate) fn service_name(resource: &Attributes) -> &str {
    resource.str("service.name").unwrap_or("unknown_service")
}

/// The entities that a resource names as such.
pub(crate) fn entity_refs(resource: Option<&otlp::resource::v1::Resource>) -> Vec<EntityRef> {
    let refs = resource.map_or(&[][..], |resource| &resource.entity_refs);
    refs.iter()
        .map(|one| EntityRef {
            kind: one.r#type.clone(),
            id_keys: one.id_keys.clone(),
            description_keys: one.description_keys.clone(),
        })
        .collect()
}

/// Remembers which resources were reported, and when.
#[derive(Debug, Default)]
pub(crate) struct Reported {
    last: HashMap<u64, Nanos>,
}

impl Reported {
    /// An observation of `resource`, unless one was made within the last half minute of its time.
    pub(crate) fn observe(
        &mut self,
        tenant: &TenantId,
        (resource, entities): (&Attributes, Vec<EntityRef>),
        at: Nanos,
    ) -> Option<Observation> {
        let key = key(tenant, resource, &entities);
        if self
            .last
            .get(&key)
            .is_some_and(|last| (at.0 - last.0).abs() < REPEAT_NS)
        {
            return None;
        }
        if self.last.len() >= MAX_REMEMBERED {
            self.last.clear();
        }
        self.last.insert(key, at);
        Some(Observation::Resource(ResourceObservation {
            tenant: tenant.clone(),
            at,
            resource: resource.clone(),
            entities,
        }))
    }
}

fn key(tenant: &TenantId, resource: &Attributes, entities: &[EntityRef]) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    tenant.hash(&mut hasher);
    for (key, value) in resource.iter() {
        key.hash(&mut hasher);
        value.text().hash(&mut hasher);
    }
    // Signals that name no entities must not keep quiet those that do.
    for one in entities {
        one.kind.hash(&mut hasher);
    }
    hasher.finish()
}
