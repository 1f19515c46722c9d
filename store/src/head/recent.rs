//! Samples that files hold already and that are kept in memory all the same: nearly every query asks for the newest ones.

use std::sync::Arc;

use crate::{DataFile, rows::Samples};

/// The samples of the last flushes of one tenant; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Recent {
    /// In the order of writing.
    kept: Arc<Vec<Kept>>,
    /// Samples of files from this time on are all kept, in milliseconds.
    since: i64,
}

/// The samples of one flush.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    samples: Arc<Samples>,
    first_time: i64,
    last_time: i64,
}

impl Kept {
    /// Sorted samples that a flush has written.
    pub(crate) fn new(samples: Arc<Samples>) -> Self {
        let times = || samples.points().iter().map(|point| point.time);
        Self {
            first_time: times().min().unwrap_or(i64::MAX),
            last_time: times().max().unwrap_or(i64::MIN),
            samples,
        }
    }
}

impl Default for Recent {
    /// There are no files.
    fn default() -> Self {
        Self {
            kept: Arc::default(),
            since: i64::MIN,
        }
    }
}

impl Recent {
    /// The samples of the flushes that have any within a span of time, both ends inclusive; in the order of writing.
    pub(super) fn within(&self, (first, last): (i64, i64)) -> impl Iterator<Item = &Arc<Samples>> {
        let overlaps = move |kept: &&Kept| kept.first_time <= last && first <= kept.last_time;
        self.kept.iter().filter(overlaps).map(|kept| &kept.samples)
    }

    /// Samples of files from this time on are all among these.
    pub(crate) fn since(&self) -> i64 {
        self.since
    }

    /// Memory that they take.
    pub(super) fn bytes(&self) -> usize {
        let bytes = self.kept.iter().map(|kept| kept.samples.memory_bytes());
        bytes.sum()
    }

    /// Keeps what a flush has written.
    pub(super) fn keep(&mut self, kept: Kept) {
        Arc::make_mut(&mut self.kept).push(kept);
    }

    /// Gives up the oldest flush.
    pub(super) fn give_up_oldest(&mut self) {
        if self.kept.is_empty() {
            return;
        }
        let oldest = Arc::make_mut(&mut self.kept).remove(0);
        self.since = self.since.max(oldest.last_time.saturating_add(1));
    }

    /// Takes note of files whose rows are not kept.
    pub(super) fn not_kept<'a>(&mut self, files: impl Iterator<Item = &'a DataFile>) {
        for file in files {
            let last = file.max_time.unwrap_or(i64::MAX);
            self.since = self.since.max(last.saturating_add(1));
        }
    }

    /// Gives up everything, for files hold other rows now.
    pub(super) fn give_up(&mut self) {
        while !self.kept.is_empty() {
            self.give_up_oldest();
        }
    }
}
