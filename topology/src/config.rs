//! What `topology` may be told.

use std::{path::PathBuf, time::Duration};

/// When an entity or a relation counts as gone.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TopologyConfig {
    /// An entity that was not seen for this long is gone, in seconds.
    pub entity_gap_seconds: u64,
    /// A relation that was not seen for this long is gone, in seconds.
    pub relation_gap_seconds: u64,
    /// How long the past is kept in memory, in days; the store keeps it as long as its own retention says.
    pub history_days: u32,
    /// Most entities known at once; beyond, new ones are refused and counted.
    pub max_entities: usize,
    /// Most relations known at once; beyond, new ones are refused and counted.
    pub max_relations: usize,
    /// Tables of mapping rules beside the shipped ones.
    pub mapping_files: Vec<PathBuf>,
    /// The tenant that sees everything: the platform operator's.
    pub operator_tenant: String,
}

impl Default for TopologyConfig {
    fn default() -> Self {
        Self {
            entity_gap_seconds: 900,
            relation_gap_seconds: 300,
            history_days: 35,
            max_entities: 1_000_000,
            max_relations: 10_000_000,
            mapping_files: Vec::new(),
            operator_tenant: "operator".to_owned(),
        }
    }
}

impl TopologyConfig {
    pub(crate) fn entity_gap(&self) -> Duration {
        Duration::from_secs(self.entity_gap_seconds)
    }

    pub(crate) fn history(&self) -> Duration {
        Duration::from_secs(u64::from(self.history_days) * 86_400)
    }

    pub(crate) fn relation_gap(&self) -> Duration {
        Duration::from_secs(self.relation_gap_seconds)
    }
}
