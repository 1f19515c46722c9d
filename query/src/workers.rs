//! Threads that do nothing but answer queries, and who may use them.
//!
//! A query that computes for long holds up other queries' threads at worst, never the sockets. Places are given to tenants
//! in turn: none can take them all.

use std::{
    collections::HashMap,
    future::Future,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    runtime::Runtime,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{AbortHandle, JoinHandle},
};
use tracing::Instrument;

use crate::{QueryConfig, QueryError, budget::Budget};

/// Deep queries recurse deeply.
const STACK_BYTES: usize = 16 << 20;
/// Threads beyond the places of clients: for rules and verdicts, which wait in no queue.
const EXTRA_THREADS: usize = 4;

/// The threads and their places.
#[derive(Debug)]
pub(crate) struct Workers {
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    places: Arc<Semaphore>,
    lanes: Mutex<HashMap<String, Weak<Lane>>>,
    /// Queries of clients that may still run, the oldest first.
    begun: Mutex<Vec<(Weak<Budget>, AbortHandle)>>,
}

/// The places of one tenant, or of one combination of tenants.
#[derive(Debug)]
struct Lane {
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// A place, given back when the work has really ended.
#[derive(Debug)]
struct Place {
    _lane: Arc<Lane>,
    _of_lane: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

/// Cancels the query when whoever asked goes away.
#[derive(Debug)]
struct CancelOnDrop {
    budget: Arc<Budget>,
    task: AbortHandle,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.budget.cancel();
        self.task.abort();
    }
}

/// Work that was begun; given up when this is dropped.
#[derive(Debug)]
pub(crate) struct Task<T> {
    work: JoinHandle<Result<T, QueryError>>,
    cancel: CancelOnDrop,
}

impl<T> Task<T> {
    /// What came of it, when its time was enough.
    pub(crate) async fn done(mut self) -> Result<T, QueryError> {
        let budget = &self.cancel.budget;
        match tokio::time::timeout(budget.left(), &mut self.work).await {
            Ok(Ok(result)) => result,
            Ok(Err(ended)) if ended.is_panic() => Err(QueryError::Panicked),
            Ok(Err(_)) => Err(budget.check().err().unwrap_or(QueryError::Canceled)),
            Err(_) => Err(QueryError::Timeout(budget.timeout())),
        }
    }
}

impl Workers {
    pub(crate) fn new(config: &QueryConfig) -> Result<Self, QueryError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(config.max_concurrent + EXTRA_THREADS)
            .thread_name("demarc-query")
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()
            .map_err(QueryError::Threads)?;
        Ok(Self {
            runtime: Some(runtime),
            places: Arc::new(Semaphore::new(config.max_concurrent)),
            lanes: Mutex::default(),
            begun: Mutex::default(),
        })
    }

    /// Begins `work` once `who` gets a place; refused at once when too many of its queries wait already.
    pub(crate) async fn in_turn<T: Send + 'static>(
        &self,
        (who, config): (&str, &QueryConfig),
        budget: &Arc<Budget>,
        work: impl Future<Output = Result<T, QueryError>> + Send + 'static,
    ) -> Result<Task<T>, QueryError> {
        let place = tokio::time::timeout(budget.left(), self.place(who, config)).await;
        let place = place.map_err(|_| QueryError::Timeout(budget.timeout()))??;
        let work = async move {
            let _place = place;
            work.await
        };
        let task = self.at_once(budget, work)?;
        let mut begun = self.begun.lock();
        begun.retain(|(_, task)| !task.is_finished());
        begun.push((Arc::downgrade(budget), task.work.abort_handle()));
        Ok(task)
    }

    /// Ends the oldest query of a client that has run for at least `age`; whether there was one.
    pub(crate) fn shed(&self, age: Duration) -> bool {
        for (budget, task) in self.begun.lock().iter() {
            let budget = budget.upgrade().filter(|budget| budget.elapsed() >= age);
            if let Some(budget) = budget
                && !task.is_finished()
                && budget.shed()
            {
                task.abort();
                return true;
            }
        }
        false
    }

    /// Begins `work` without waiting for a place.
    pub(crate) fn at_once<T: Send + 'static>(
        &self,
        budget: &Arc<Budget>,
        work: impl Future<Output = Result<T, QueryError>> + Send + 'static,
    ) -> Result<Task<T>, QueryError> {
        let runtime = self.runtime.as_ref().ok_or(QueryError::Canceled)?;
        let work = runtime.spawn(work.in_current_span());
        let cancel = CancelOnDrop {
            budget: Arc::clone(budget),
            task: work.abort_handle(),
        };
        Ok(Task { work, cancel })
    }

    async fn place(&self, who: &str, config: &QueryConfig) -> Result<Place, QueryError> {
        let lane = self.lane(who, config);
        let waiting = Waiting::enter(&lane, config.max_queued_per_tenant)?;
        let closed = |_| QueryError::Canceled;
        let of_lane = Arc::clone(&lane.places).acquire_owned().await;
        let of_lane = of_lane.map_err(closed)?;
        let of_all = Arc::clone(&self.places).acquire_owned().await;
        let of_all = of_all.map_err(closed)?;
        drop(waiting);
        Ok(Place {
            _lane: lane,
            _of_lane: of_lane,
            _of_all: of_all,
        })
    }

    fn lane(&self, who: &str, config: &QueryConfig) -> Arc<Lane> {
        let mut lanes = self.lanes.lock();
        if let Some(lane) = lanes.get(who).and_then(Weak::upgrade) {
            return lane;
        }
        // Whoever asks no more is forgotten, so that invented tenants do not add up.
        lanes.retain(|_, lane| lane.strong_count() > 0);
        let lane = Arc::new(Lane {
            places: Arc::new(Semaphore::new(config.max_concurrent_per_tenant.min(1024))),
            waiting: AtomicUsize::new(0),
        });
        lanes.insert(who.to_owned(), Arc::downgrade(&lane));
        lane
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // Dropped within another runtime, where waiting for threads is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// One query in a lane's queue.
struct Waiting<'a>(&'a Lane);

impl<'a> Waiting<'a> {
    fn enter(lane: &'a Lane, limit: usize) -> Result<Self, QueryError> {
        let places = lane.places.available_permits();
        let before = lane.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Self(lane);
        if before >= limit.saturating_add(places) {
            return Err(QueryError::Busy { queued: limit });
        }
        Ok(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;

    #[tokio::test]
    async fn the_oldest_query_makes_room_when_memory_runs_short() {
        let config = QueryConfig::default();
        let workers = Workers::new(&config).unwrap();
        let total = Memory::new(&config).unwrap().total();
        let budget = || {
            let timeout = Duration::from_secs(60);
            Arc::new(Budget::new(&config, timeout, Arc::clone(&total)))
        };
        let endless = || std::future::pending::<Result<(), QueryError>>();
        let (old, new) = (budget(), budget());
        let who = ("tenant", &config);
        let old_task = workers.in_turn(who, &old, endless()).await.unwrap();
        let new_task = workers.in_turn(who, &new, endless()).await.unwrap();
        assert!(!workers.shed(Duration::from_secs(60)));
        assert!(workers.shed(Duration::ZERO));
        assert!(matches!(old_task.done().await, Err(QueryError::Shed)));
        assert!(new.check().is_ok());
        drop(new_task);
    }
}
