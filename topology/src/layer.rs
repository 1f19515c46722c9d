//! The layers, from the citizen down.

use std::fmt;

/// A layer of the stack: what a verdict blames.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// Services and what they consist of.
    Application,
    /// Databases, caches, queues, gateways.
    Middleware,
    /// Pods, workloads, namespaces, node agents.
    Platform,
    /// Virtual machines and hosts.
    Compute,
    /// Volumes and disk arrays.
    Storage,
    /// Links, load balancers, DNS.
    Network,
    /// Third parties outside the cloud.
    External,
}

impl Layer {
    /// The layer's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Middleware => "middleware",
            Self::Platform => "platform",
            Self::Compute => "compute",
            Self::Storage => "storage",
            Self::Network => "network",
            Self::External => "external",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
