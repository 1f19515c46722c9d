//! What one query has used up so far, and whether it must stop.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{QueryConfig, QueryError, memory::Total};

/// Bytes of a computed value in memory.
const CELL_BYTES: usize = 8;

/// What one query may use up. Long loops ask [`Budget::check`] now and then: nothing else stops them.
#[derive(Debug)]
pub(crate) struct Budget {
    started: Instant,
    timeout: Duration,
    cancelled: AtomicBool,
    shed: AtomicBool,
    series: Gauge,
    samples: Gauge,
    cells: Gauge,
    bytes: Gauge,
    /// What all queries hold, this one among them.
    total: Arc<Total>,
    /// Its part of that.
    held: AtomicUsize,
}

impl Drop for Budget {
    fn drop(&mut self) {
        self.total.give_back(*self.held.get_mut());
    }
}

/// A count and its limit.
#[derive(Debug)]
struct Gauge {
    what: &'static str,
    used: AtomicUsize,
    limit: usize,
}

impl Gauge {
    fn new(what: &'static str, limit: usize) -> Self {
        let used = AtomicUsize::new(0);
        Self { what, used, limit }
    }

    fn take(&self, count: usize) -> Result<(), QueryError> {
        let before = self.used.fetch_add(count, Ordering::Relaxed);
        if before.saturating_add(count) > self.limit {
            let (what, limit) = (self.what, self.limit);
            return Err(QueryError::Limit { what, limit });
        }
        Ok(())
    }
}

impl Budget {
    /// A budget as `config` allows, whose time begins now and whose bytes are part of `total`.
    pub(crate) fn new(config: &QueryConfig, timeout: Duration, total: Arc<Total>) -> Self {
        Self {
            started: Instant::now(),
            timeout,
            cancelled: AtomicBool::new(false),
            shed: AtomicBool::new(false),
            series: Gauge::new("series", config.max_series),
            samples: Gauge::new("samples", config.max_samples),
            cells: Gauge::new("samples", config.max_samples),
            bytes: Gauge::new("bytes", config.max_bytes),
            total,
            held: AtomicUsize::new(0),
        }
    }

    /// An error once the query has been given up or its time is over.
    pub(crate) fn check(&self) -> Result<(), QueryError> {
        if self.shed.load(Ordering::Relaxed) {
            return Err(QueryError::Shed);
        }
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(QueryError::Canceled);
        }
        if self.started.elapsed() > self.timeout {
            return Err(QueryError::Timeout(self.timeout));
        }
        Ok(())
    }

    /// Makes every later [`Budget::check`] fail.
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Makes every later [`Budget::check`] fail, for memory runs short; `false` when it was so before.
    pub(crate) fn shed(&self) -> bool {
        !self.shed.swap(true, Ordering::Relaxed)
    }

    /// Counts selected series.
    pub(crate) fn take_series(&self, count: usize) -> Result<(), QueryError> {
        self.series.take(count)?;
        self.check()
    }

    /// Counts samples as they are loaded.
    pub(crate) fn take_samples(&self, count: usize) -> Result<(), QueryError> {
        self.samples.take(count)?;
        self.check()
    }

    /// Counts bytes of [`Budget::take_bytes`] that are held no longer.
    pub(crate) fn give_back_bytes(&self, bytes: usize) {
        self.bytes.used.fetch_sub(bytes, Ordering::Relaxed);
        self.held.fetch_sub(bytes, Ordering::Relaxed);
        self.total.give_back(bytes);
    }

    /// Counts computed values, before there is room for them.
    pub(crate) fn take_cells(&self, count: usize) -> Result<(), QueryError> {
        self.cells.take(count)?;
        self.take_bytes(count.saturating_mul(CELL_BYTES))
    }

    /// Counts bytes of an answer or of what it is made from.
    pub(crate) fn take_bytes(&self, count: usize) -> Result<(), QueryError> {
        self.bytes.take(count)?;
        self.total.take(count)?;
        self.held.fetch_add(count, Ordering::Relaxed);
        self.check()
    }

    /// Samples counted so far.
    pub(crate) fn samples(&self) -> usize {
        self.samples.used.load(Ordering::Relaxed)
    }

    /// Time that the query has had.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Time that the query may take in all.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Time that is left.
    pub(crate) fn left(&self) -> Duration {
        self.timeout.saturating_sub(self.started.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;

    #[test]
    fn a_budget_ends_by_count_by_time_and_by_cancelling() {
        let config = QueryConfig {
            max_samples: 10,
            ..QueryConfig::default()
        };
        let total = || Memory::new(&config).unwrap().total();
        let budget = Budget::new(&config, Duration::from_secs(60), total());
        budget.take_samples(10).unwrap();
        let over = budget.take_samples(1).unwrap_err();
        assert!(matches!(over, QueryError::Limit { limit: 10, .. }));
        budget.check().unwrap();
        budget.cancel();
        assert!(matches!(budget.check(), Err(QueryError::Canceled)));
        let over = Budget::new(&config, Duration::ZERO, total());
        assert!(matches!(over.check(), Err(QueryError::Timeout(_))));
    }

    #[test]
    fn bytes_count_until_they_are_let_go_and_against_those_of_other_queries() {
        let config = QueryConfig {
            max_bytes: 1600,
            total_memory_bytes: 2000,
            ..QueryConfig::default()
        };
        let memory = Memory::new(&config).unwrap();
        let budget = || Budget::new(&config, Duration::from_secs(60), memory.total());
        let (a, b) = (budget(), budget());
        a.take_bytes(1600).unwrap();
        a.give_back_bytes(640);
        a.take_bytes(640).unwrap();
        let full = b.take_bytes(960).unwrap_err();
        assert!(matches!(full, QueryError::Memory { held: 1600, .. }));
        drop(a);
        b.take_bytes(480).unwrap();
    }
}
