//! Looks out for the series that tell of entities, among all others.

use std::{
    collections::{HashMap, HashSet},
    sync::OnceLock,
};

use demarc_proto::Nanos;
use parking_lot::Mutex;

/// A series is reported again after this much of its own time, so that the topology knows that it still lives.
const REPEAT_NS: i64 = 30_000_000_000;
/// Most series remembered; beyond, the memory is cleared and each is reported anew.
const MAX_REMEMBERED: usize = 1_000_000;

/// The metrics to look out for, and when each of their series was reported last.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    metrics: OnceLock<HashSet<String>>,
    last: Mutex<HashMap<u64, Nanos>>,
}

impl Watch {
    /// Looks out for these metrics from now on; only the first call counts.
    pub(crate) fn set(&self, metrics: impl IntoIterator<Item = String>) {
        // A second call would come from a second topology, and there is one.
        let _ = self.metrics.set(metrics.into_iter().collect());
    }

    /// Whether series of this metric are looked out for.
    pub(crate) fn contains(&self, metric: &str) -> bool {
        let metrics = self.metrics.get();
        metrics.is_some_and(|metrics| metrics.contains(metric))
    }

    /// Whether a value of a series is to be reported: none was within the last half minute of its time.
    pub(crate) fn is_news(&self, key: u64, at: Nanos) -> bool {
        let mut last = self.last.lock();
        let known = last.get(&key);
        if known.is_some_and(|known| (at.0 - known.0).abs() < REPEAT_NS) {
            return false;
        }
        if last.len() >= MAX_REMEMBERED {
            last.clear();
        }
        last.insert(key, at);
        true
    }
}
