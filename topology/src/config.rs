//! What `topology` may be told.

use std::time::Duration;

/// When an entity or a relation counts as gone.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TopologyConfig {
    /// An entity that was not seen for this long is gone, in seconds.
    pub entity_gap_seconds: u64,
    /// A relation that was not seen for this long is gone, in seconds.
    pub relation_gap_seconds: u64,
    /// The tenant that sees everything: the platform operator's.
    pub operator_tenant: String,
}

impl Default for TopologyConfig {
    fn default() -> Self {
        Self {
            entity_gap_seconds: 900,
            relation_gap_seconds: 300,
            operator_tenant: "operator".to_owned(),
        }
    }
}

impl TopologyConfig {
    pub(crate) fn entity_gap(&self) -> Duration {
        Duration::from_secs(self.entity_gap_seconds)
    }

    pub(crate) fn relation_gap(&self) -> Duration {
        Duration::from_secs(self.relation_gap_seconds)
    }
}
