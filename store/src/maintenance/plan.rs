//! Which files are to be merged next. Pure.

use std::collections::BTreeMap;

use crate::DataFile;

/// When files are merged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// A merged file is at most about so large.
    pub(super) target_bytes: u64,
    /// Files of a day that is not over that are merged at once, at least.
    pub(super) min_files: usize,
}

/// Files that are merged at once, at most: each costs memory while it is read.
const MAX_FILES: usize = 16;
/// A file is merged with smaller ones only if those together are at least one part in so many of it.
const MAX_RATIO: u64 = 4;
/// Files up to this size are merged with each other whatever their sizes.
const TINY_BYTES: u64 = 64 << 10;

/// The files of one day to merge next, given all `files` of one table and tenant in the order of writing; `None` when they are few enough. `today`:
/// `YYYY-MM-DD`; a day before it is taken for complete, and its files are merged down to as few as there can be.
///
/// Sizes grow by at least a quarter of the largest in a merge, so that a row is copied a number of times that grows with the
/// logarithm of the day's size only.
pub(super) fn next(files: &[DataFile], today: &str, rules: Rules) -> Option<Vec<DataFile>> {
    let mut days: BTreeMap<&str, Vec<&DataFile>> = BTreeMap::new();
    for file in files {
        days.entry(&file.date).or_default().push(file);
    }
    for (day, files) in days {
        let mut by_size = files.clone();
        by_size.sort_by_key(|file| file.size_bytes);
        let chosen = smallest(&by_size, rules.target_bytes);
        let enough = if day < today {
            2
        } else {
            rules.min_files.max(2)
        };
        if chosen.len() >= enough.min(MAX_FILES) {
            // As they were written: of two values at one time, the later one counts.
            let is_chosen = |file: &&DataFile| chosen.iter().any(|one| one.path == file.path);
            return Some(files.into_iter().filter(is_chosen).cloned().collect());
        }
    }
    None
}

/// As many of the smallest files as can be merged without copying a large one for the sake of a few small ones.
fn smallest<'a>(files: &[&'a DataFile], target_bytes: u64) -> Vec<&'a DataFile> {
    let mut chosen = Vec::new();
    let mut bytes = 0;
    for file in files.iter().take(MAX_FILES) {
        let size = file.size_bytes;
        let is_too_large = bytes + size > target_bytes
            || (!chosen.is_empty() && size > TINY_BYTES && size > bytes * MAX_RATIO);
        if is_too_large {
            break;
        }
        bytes += size;
        chosen.push(*file);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const RULES: Rules = Rules {
        target_bytes: 1 << 20,
        min_files: 4,
    };

    fn file(date: &str, size_bytes: u64) -> DataFile {
        DataFile {
            path: format!("{date}-{size_bytes}").into(),
            size_bytes,
            rows: 1,
            date: date.to_owned(),
            min_time: None,
            max_time: None,
            crc32: None,
            lease: Arc::default(),
        }
    }

    fn sizes(files: &[(&str, u64)]) -> Option<Vec<u64>> {
        let files: Vec<DataFile> = files.iter().map(|(day, size)| file(day, *size)).collect();
        let chosen = next(&files, "2026-01-02", RULES)?;
        Some(chosen.iter().map(|file| file.size_bytes).collect())
    }

    #[test]
    fn a_day_that_goes_on_waits_until_there_are_enough_files() {
        let day = "2026-01-02";
        assert_eq!(sizes(&[(day, 10), (day, 20), (day, 30)]), None);
        let four = [(day, 10), (day, 40), (day, 30), (day, 20)];
        assert_eq!(sizes(&four), Some(vec![10, 40, 30, 20]));
    }

    #[test]
    fn a_day_that_is_over_is_merged_as_far_as_the_target_allows() {
        let day = "2026-01-01";
        assert_eq!(sizes(&[(day, 10), (day, 20)]), Some(vec![10, 20]));
        assert_eq!(sizes(&[(day, 700_000), (day, 600_000)]), None);
    }

    #[test]
    fn a_late_row_does_not_make_a_large_file_be_copied() {
        let day = "2026-01-01";
        assert_eq!(sizes(&[(day, 10), (day, 900_000)]), None);
        assert_eq!(
            sizes(&[(day, 300_000), (day, 600_000)]),
            Some(vec![300_000, 600_000])
        );
    }

    #[test]
    fn days_are_never_mixed() {
        assert_eq!(sizes(&[("2025-12-31", 10), ("2026-01-01", 10)]), None);
    }
}
