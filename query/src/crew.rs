//! Threads beside its own on which a query works, as far as processors are free.

use std::{
    panic::resume_unwind,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use crate::QueryError;

/// How many more threads queries may work on, all together.
#[derive(Debug)]
pub(crate) struct Crew {
    free: AtomicUsize,
}

/// Threads that a query has taken, until this is dropped.
struct Taken<'a> {
    crew: &'a Crew,
    count: usize,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.crew.free.fetch_add(self.count, Ordering::Relaxed);
    }
}

impl Crew {
    /// One for each processor but that of the query's own thread.
    pub(crate) fn new() -> Self {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Self {
            free: AtomicUsize::new(processors - 1),
        }
    }

    /// The results of `work` for each of the numbers below `count`, in their order. The first failure ends all of it.
    pub(crate) fn map<T: Send>(
        &self,
        count: usize,
        work: impl Fn(usize) -> Result<T, QueryError> + Sync,
    ) -> Result<Vec<T>, QueryError> {
        let others = self.take(count.saturating_sub(1));
        if others.count == 0 {
            return (0..count).map(work).collect();
        }
        let next = AtomicUsize::new(0);
        let run = || -> Result<Vec<(usize, T)>, QueryError> {
            let mut done = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= count {
                    return Ok(done);
                }
                let result = work(at).inspect_err(|_| next.store(count, Ordering::Relaxed));
                done.push((at, result?));
            }
        };
        let mut done = thread::scope(|scope| {
            let spawn = |_| {
                let thread = thread::Builder::new().name("demarc-query".to_owned());
                // Without another thread the work is done on this one.
                thread.spawn_scoped(scope, run).ok()
            };
            let others: Vec<_> = (0..others.count).filter_map(spawn).collect();
            let mut done = run();
            for other in others {
                match (other.join(), &mut done) {
                    (Ok(Ok(more)), Ok(done)) => done.extend(more),
                    (Ok(Err(fault)), Ok(_)) => done = Err(fault),
                    (Ok(_), Err(_)) => {}
                    (Err(panic), _) => resume_unwind(panic),
                }
            }
            done
        })?;
        done.sort_unstable_by_key(|(at, _)| *at);
        Ok(done.into_iter().map(|(_, result)| result).collect())
    }

    fn take(&self, wanted: usize) -> Taken<'_> {
        let less = |free: usize| Some(free - free.min(wanted));
        let before = self
            .free
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        Taken {
            crew: self,
            count: before.unwrap_or(0).min(wanted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_their_order_and_threads_are_given_back() {
        let crew = Crew {
            free: AtomicUsize::new(3),
        };
        let squares = crew.map(1000, |at| Ok(at * at)).unwrap();
        assert!(squares.into_iter().eq((0..1000).map(|at| at * at)));
        assert_eq!(crew.free.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn the_first_failure_ends_the_work() {
        let crew = Crew {
            free: AtomicUsize::new(1),
        };
        let done = AtomicUsize::new(0);
        let result = crew.map(100_000, |at| {
            done.fetch_add(1, Ordering::Relaxed);
            if at == 10 {
                return Err(QueryError::Canceled);
            }
            Ok(())
        });
        assert!(matches!(result, Err(QueryError::Canceled)));
        assert!(done.load(Ordering::Relaxed) < 100_000);
        assert_eq!(crew.free.load(Ordering::Relaxed), 1);
    }
}
