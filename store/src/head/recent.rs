//! Samples that files hold already and that are kept in memory all the same: nearly every query asks for the newest ones.

use std::sync::Arc;

use super::block::Block;
use crate::DataFile;

/// Blocks that are merged at once, at least.
const MIN_MERGED: usize = 4;
/// A merged block takes at most one part in so many of the memory that all may take: the oldest one is given up as a whole.
pub(super) const MAX_SHARE: usize = 8;

/// The samples of the last flushes of one tenant; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Recent {
    /// In the order of writing.
    kept: Arc<Vec<Arc<Block>>>,
    /// Samples of files from this time on are all kept, in milliseconds.
    since: i64,
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
    /// The blocks that have samples within a span of time, both ends inclusive; in the order of writing.
    pub(super) fn within(&self, range: (i64, i64)) -> impl Iterator<Item = &Block> {
        let kept = self.kept.iter().map(Arc::as_ref);
        kept.filter(move |block| block.overlaps(range))
    }

    /// Samples of files from this time on are all among these.
    pub(crate) fn since(&self) -> i64 {
        self.since
    }

    /// Memory that they take.
    pub(super) fn bytes(&self) -> usize {
        self.kept.iter().map(|kept| kept.memory_bytes()).sum()
    }

    /// Keeps what a flush has written.
    pub(super) fn keep(&mut self, block: Arc<Block>) {
        Arc::make_mut(&mut self.kept).push(block);
    }

    /// The last blocks, where they are many enough and of like size to become one of at most `max_bytes`.
    pub(super) fn loose(&self, max_bytes: usize) -> Option<Vec<Arc<Block>>> {
        let (mut bytes, mut largest) = (0, usize::MAX / 2);
        let mut loose = 0;
        for block in self.kept.iter().rev() {
            let next = block.memory_bytes();
            bytes += next;
            if next > 2 * largest || bytes > max_bytes {
                break;
            }
            largest = if loose == 0 { next } else { largest.max(next) };
            loose += 1;
        }
        let tail = &self.kept[self.kept.len() - loose..];
        (loose >= MIN_MERGED).then(|| tail.to_vec())
    }

    /// Puts one block in the place of those that it was merged from, unless some of them were given up meanwhile.
    pub(super) fn replace(&mut self, from: &[Arc<Block>], merged: Arc<Block>) {
        let is_same = |window: &[Arc<Block>]| {
            let mut pairs = window.iter().zip(from);
            pairs.all(|(a, b)| Arc::ptr_eq(a, b))
        };
        let at = self.kept.windows(from.len()).position(is_same);
        if let Some(at) = at {
            let kept = Arc::make_mut(&mut self.kept);
            kept.splice(at..at + from.len(), [merged]);
        }
    }

    /// Gives up the oldest block.
    pub(super) fn give_up_oldest(&mut self) {
        if self.kept.is_empty() {
            return;
        }
        let oldest = Arc::make_mut(&mut self.kept).remove(0);
        self.since = self.since.max(oldest.last_time().saturating_add(1));
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

#[cfg(test)]
mod tests {
    use demarc_proto::Millis;

    use super::*;
    use crate::rows::{Samples, SeriesRef};

    fn block(rows: u32, time: i64) -> Arc<Block> {
        let mut samples = Samples::default();
        for at in 0..rows {
            samples.push(SeriesRef(at), Millis(time), time as f64);
        }
        Arc::new(Block::of(&samples))
    }

    #[test]
    fn many_flushes_of_any_size_become_few_blocks_none_of_which_is_large() {
        let mut recent = Recent::default();
        let limit = 200_000;
        for time in 0..500 {
            recent.keep(block(if time % 3 == 0 { 1 } else { 50 }, time));
            while let Some(loose) = recent.loose(limit) {
                recent.replace(&loose, Arc::new(Block::merge(&loose)));
            }
            let largest = recent.kept.iter().map(|one| one.memory_bytes()).max();
            assert!(recent.kept.len() < 32 && largest.unwrap() <= limit);
        }
        let (mut floats, mut starts) = (Vec::new(), Vec::new());
        for block in recent.within((i64::MIN, i64::MAX)) {
            block.read(SeriesRef(0), (i64::MIN, i64::MAX), &mut floats, &mut starts);
        }
        assert!(floats.iter().map(|(time, _)| *time).eq(0..500));
    }

    #[test]
    fn what_was_given_up_while_it_was_merged_does_not_come_back() {
        let mut recent = Recent::default();
        (0..4).for_each(|time| recent.keep(block(9, time)));
        let loose = recent.loose(usize::MAX).unwrap();
        recent.give_up_oldest();
        recent.replace(&loose, Arc::new(Block::merge(&loose)));
        assert_eq!((recent.kept.len(), recent.since()), (3, 1));
        assert_eq!(recent.within((0, 0)).count(), 0);
    }
}
