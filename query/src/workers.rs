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
};

use parking_lot::Mutex;
use tokio::{
    runtime::Runtime,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::AbortHandle,
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
        })
    }

    /// Does `work` once `who` gets a place; refused at once when too many of its queries wait already.
    pub(crate) async fn in_turn<T: Send + 'static>(
        &self,
        (who, config): (&str, &QueryConfig),
        budget: &Arc<Budget>,
        work: impl Future<Output = Result<T, QueryError>> + Send + 'static,
    ) -> Result<T, QueryError> {
        let place = tokio::time::timeout(budget.left(), self.place(who, config)).await;
        let place = place.map_err(|_| QueryError::Timeout(budget.timeout()))??;
        let work = async move {
            let _place = place;
            work.await
        };
        self.at_once(budget, work).await
    }

    /// Does `work` without waiting for a place.
    pub(crate) async fn at_once<T: Send + 'static>(
        &self,
        budget: &Arc<Budget>,
        work: impl Future<Output = Result<T, QueryError>> + Send + 'static,
    ) -> Result<T, QueryError> {
        let runtime = self.runtime.as_ref().ok_or(QueryError::Canceled)?;
        let task = runtime.spawn(work.in_current_span());
        let _cancel = CancelOnDrop {
            budget: Arc::clone(budget),
            task: task.abort_handle(),
        };
        match tokio::time::timeout(budget.left(), task).await {
            Ok(Ok(result)) => result,
            Ok(Err(ended)) if ended.is_panic() => Err(QueryError::Panicked),
            Ok(Err(_)) => Err(QueryError::Canceled),
            Err(_) => Err(QueryError::Timeout(budget.timeout())),
        }
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
