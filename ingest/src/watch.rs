//! Looks out for the series that tell of entities, among all others.

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, OnceLock},
};

use demarc_proto::{Attributes, Nanos, Observation, SeriesObservation, TenantId};
use demarc_store::MetricRows;
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

    /// Observations of those series that are looked out for and were not reported within the last half minute of their time.
    pub(crate) fn observe(
        &self,
        tenant: &TenantId,
        rows: &[MetricRows],
        resource: Option<&Arc<Attributes>>,
    ) -> Vec<Observation> {
        let Some(metrics) = self.metrics.get() else {
            return Vec::new();
        };
        let mut seen = Vec::new();
        for series in rows
            .iter()
            .filter(|one| metrics.contains(one.labels.metric()))
        {
            let Some(sample) = series
                .samples
                .last()
                .filter(|sample| !sample.value.is_nan())
            else {
                continue;
            };
            let at = sample.time.to_nanos();
            if self.is_news(key(tenant, series), at) {
                seen.push(Observation::Series(SeriesObservation {
                    tenant: tenant.clone(),
                    at,
                    labels: series.labels.clone(),
                    value: sample.value,
                    resource: resource.cloned(),
                }));
            }
        }
        seen
    }

    fn is_news(&self, key: u64, at: Nanos) -> bool {
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

fn key(tenant: &TenantId, series: &MetricRows) -> u64 {
    let mut hasher = DefaultHasher::new();
    tenant.hash(&mut hasher);
    series.labels.hash(&mut hasher);
    hasher.finish()
}
