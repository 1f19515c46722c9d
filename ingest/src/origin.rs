//! Where spans come from: what those of one resource have in common.

use std::sync::Arc;

use demarc_proto::{Attributes, TenantId};
use xxhash_rust::xxh3::xxh3_128;

use crate::resource::service_name;

/// A tenant and one of its resources.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) tenant: TenantId,
    pub(crate) resource: Arc<Attributes>,
    /// The same for the same tenant and resource, and for no others.
    pub(crate) key: u128,
}

impl Origin {
    pub(crate) fn new(tenant: &TenantId, resource: &Arc<Attributes>) -> Self {
        let mut bytes = tenant.as_str().as_bytes().to_vec();
        for (key, value) in resource.iter() {
            for text in [key, value.text().as_ref()] {
                // 0xff cannot occur in UTF-8, so no two lists of texts share these bytes.
                bytes.push(0xff);
                bytes.extend_from_slice(text.as_bytes());
            }
        }
        Self {
            tenant: tenant.clone(),
            resource: Arc::clone(resource),
            key: xxh3_128(&bytes),
        }
    }

    /// The service's name.
    pub(crate) fn service(&self) -> &str {
        service_name(&self.resource)
    }

    /// The service's namespace; empty when there is none.
    pub(crate) fn namespace(&self) -> &str {
        self.resource.str("service.namespace").unwrap_or_default()
    }
}
