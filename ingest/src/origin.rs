//! Where spans come from: what those of one resource have in common.

use std::{collections::HashMap, hash::BuildHasherDefault, sync::Arc};

use demarc_proto::{Attributes, TenantId};
use xxhash_rust::xxh3::xxh3_128;

use crate::{registry::ByKey, resource::service_name};

/// Most origins remembered; beyond, the memory is cleared.
const MAX_REMEMBERED: usize = 20_000;

/// A tenant and one of its resources.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) tenant: TenantId,
    pub(crate) resource: Arc<Attributes>,
    /// The service's name.
    pub(crate) service: String,
    /// The service's namespace; empty when there is none.
    pub(crate) namespace: String,
    /// The same for the same tenant and resource, and for no others.
    pub(crate) key: u128,
}

/// The origins seen lately, so that all their spans share them.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    known: HashMap<u128, Arc<Origin>, BuildHasherDefault<ByKey>>,
    scratch: Vec<u8>,
}

impl Origins {
    /// The origin of the spans of a resource.
    pub(crate) fn of(&mut self, tenant: &TenantId, resource: &Arc<Attributes>) -> Arc<Origin> {
        let key = self.key(tenant, resource);
        if let Some(known) = self.known.get(&key) {
            return Arc::clone(known);
        }
        if self.known.len() >= MAX_REMEMBERED {
            self.known.clear();
        }
        let namespace = resource.str("service.namespace").unwrap_or_default();
        let origin = Arc::new(Origin {
            tenant: tenant.clone(),
            resource: Arc::clone(resource),
            service: service_name(resource).to_owned(),
            namespace: namespace.to_owned(),
            key,
        });
        self.known.insert(key, Arc::clone(&origin));
        origin
    }

    fn key(&mut self, tenant: &TenantId, resource: &Attributes) -> u128 {
        self.scratch.clear();
        self.scratch.extend_from_slice(tenant.as_str().as_bytes());
        for (key, value) in resource.iter() {
            for text in [key, value.text().as_ref()] {
                // 0xff cannot occur in UTF-8, so no two lists of texts share these bytes.
                self.scratch.push(0xff);
                self.scratch.extend_from_slice(text.as_bytes());
            }
        }
        xxh3_128(&self.scratch)
    }
}
