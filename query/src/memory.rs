//! Memory of queries: a share for each that DataFusion runs, and a limit for all.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use datafusion::{
    error::{DataFusionError, Result},
    execution::{
        memory_pool::{FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation},
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
};

use crate::{QueryConfig, QueryError};

/// What queries share: the disk for spilling, caches, and the count of all their memory.
#[derive(Debug)]
pub(crate) struct Memory {
    shared: Arc<RuntimeEnv>,
    total: Arc<Total>,
}

/// Bytes that all queries hold.
#[derive(Debug)]
pub(crate) struct Total {
    used: AtomicUsize,
    limit: usize,
}

impl Total {
    /// Counts bytes; an error, with what others hold, when there are not so many left.
    pub(crate) fn take(&self, bytes: usize) -> std::result::Result<(), QueryError> {
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > self.limit {
            self.give_back(bytes);
            let limit = self.limit;
            return Err(QueryError::Memory {
                held: before,
                limit,
            });
        }
        Ok(())
    }

    /// Counts bytes no longer.
    pub(crate) fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Memory {
    pub(crate) fn new(config: &QueryConfig) -> Result<Self> {
        let shared = RuntimeEnvBuilder::new()
            .with_max_temp_directory_size(config.spill_bytes)
            .build_arc()?;
        let total = Arc::new(Total {
            used: AtomicUsize::new(0),
            limit: config.total_memory_bytes,
        });
        Ok(Self { shared, total })
    }

    /// What all queries together hold.
    pub(crate) fn total(&self) -> Arc<Total> {
        Arc::clone(&self.total)
    }

    /// The environment of one query, which may hold `limit_bytes`.
    pub(crate) fn share(&self, limit_bytes: usize) -> Arc<RuntimeEnv> {
        let pool = Share {
            own: FairSpillPool::new(limit_bytes),
            total: Arc::clone(&self.total),
        };
        Arc::new(RuntimeEnv {
            memory_pool: Arc::new(pool),
            ..self.shared.as_ref().clone()
        })
    }
}

/// One query's part: divided fairly among its operators, and counted with the parts of the others.
#[derive(Debug)]
struct Share {
    own: FairSpillPool,
    total: Arc<Total>,
}

impl MemoryPool for Share {
    fn name(&self) -> &str {
        "share"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.own.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.own.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.total.used.fetch_add(additional, Ordering::Relaxed);
        self.own.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.total.used.fetch_sub(shrink, Ordering::Relaxed);
        self.own.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.own.try_grow(reservation, additional)?;
        self.total.take(additional).map_err(|full| {
            self.own.shrink(reservation, additional);
            DataFusionError::ResourcesExhausted(full.to_string())
        })
    }

    fn reserved(&self) -> usize {
        self.own.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.own.memory_limit()
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "share of {}", self.own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_bound_by_itself_and_by_the_total() {
        let config = QueryConfig {
            total_memory_bytes: 100,
            ..QueryConfig::default()
        };
        let memory = Memory::new(&config).unwrap();
        let (a, b) = (memory.share(80), memory.share(80));
        let of_a = MemoryConsumer::new("a").register(&a.memory_pool);
        let of_b = MemoryConsumer::new("b").register(&b.memory_pool);
        assert!(of_a.try_grow(81).is_err());
        of_a.try_grow(80).unwrap();
        assert!(of_b.try_grow(21).is_err());
        of_b.try_grow(20).unwrap();
        drop(of_a);
        of_b.try_grow(60).unwrap();
    }
}
