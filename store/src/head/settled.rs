//! Up to which time the data of a tenant is what it will be.

/// Samples so much older than the newest one, in milliseconds, are expected to come yet. Source: Grafana Mimir's default of
/// `max_cache_freshness`.
const LATE_MS: i64 = 600_000;

/// What is known of the order in which samples came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    newest: i64,
    version: u64,
}

impl Default for Settled {
    fn default() -> Self {
        Self {
            newest: i64::MIN,
            version: 0,
        }
    }
}

impl Settled {
    /// The last time, in milliseconds, of which the version says whether its data has changed.
    pub(crate) fn until(&self) -> i64 {
        self.newest.saturating_sub(LATE_MS)
    }

    /// Changes whenever data that was settled does.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Takes note of samples between two times, both inclusive.
    pub(super) fn came(&mut self, (first, last): (i64, i64)) {
        if first <= self.until() {
            self.version += 1;
        }
        self.newest = self.newest.max(last);
    }

    /// Takes note of data that went.
    pub(super) fn went(&mut self) {
        self.version += 1;
    }
}
