//! Who suffers.

use super::explain::rounded;
use crate::{Evidence, Impact};

/// Services whose requests fail or take longer than before, in the order of their ids.
pub(crate) fn impact(evidence: &Evidence) -> Vec<Impact> {
    let suffers = |facts: &crate::ServiceFacts| {
        let usual = facts.latency_ms.before.unwrap_or(0.0);
        facts.errors.rose_by(0.02) || facts.latency_ms.rose_by((0.3 * usual).max(2.0))
    };
    let services = evidence.services.iter().filter(|(_, facts)| suffers(facts));
    let impact = services.map(|(id, facts)| {
        let entity = evidence.entities.get(id);
        Impact {
            service: id.clone(),
            tenant: entity
                .and_then(|entity| entity.tenant.clone())
                .unwrap_or_default(),
            owner: entity.and_then(|entity| entity.owner.clone()),
            latency_ratio: facts.latency_ms.ratio().map(rounded),
            error_ratio: rounded(facts.errors.during.unwrap_or(0.0)),
        }
    });
    impact.collect()
}
