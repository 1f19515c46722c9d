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

/// The files of one day to merge next, given all `files` of one table and tenant in the order of writing; `None` when they are
/// few enough. `today`: `YYYY-MM-DD`; a day before it is taken for complete, and its files are merged down to as few as there
/// can be. Days for which `skip` says so are left alone.
///
/// They were written one after the other, so that the merged file can take their place: of two values at one time, the later
/// one counts. Sizes grow by at least a quarter of the largest in a merge, so that a row is copied a number of times that grows
/// with the logarithm of the day's size only.
pub(super) fn next(
    files: &[DataFile],
    today: &str,
    rules: Rules,
    skip: impl Fn(&str) -> bool,
) -> Option<Vec<DataFile>> {
    let mut days: BTreeMap<&str, Vec<&DataFile>> = BTreeMap::new();
    for file in files {
        days.entry(&file.date).or_default().push(file);
    }
    for (day, files) in days.into_iter().filter(|(day, _)| !skip(day)) {
        let enough = if day < today { 2 } else { rules.min_files };
        let enough = enough.clamp(2, MAX_FILES);
        if let Some(chosen) = cheapest(&files, enough, rules.target_bytes) {
            return Some(chosen.iter().copied().cloned().collect());
        }
    }
    None
}

/// Of the runs of at least `enough` files that may be merged, the one that copies the fewest bytes for each file saved.
fn cheapest<'a, 'f>(
    files: &'a [&'f DataFile],
    enough: usize,
    target_bytes: u64,
) -> Option<&'a [&'f DataFile]> {
    let mut best: Option<(u64, &[&DataFile])> = None;
    for start in 0..files.len() {
        let (mut bytes, mut largest) = (0, 0);
        let longest = &files[start..files.len().min(start + MAX_FILES)];
        for (at, file) in longest.iter().enumerate() {
            bytes += file.size_bytes;
            largest = file.size_bytes.max(largest);
            if bytes > target_bytes {
                break;
            }
            let is_worth_it = largest <= TINY_BYTES || largest <= (bytes - largest) * MAX_RATIO;
            let cost = bytes / (at as u64).max(1);
            if at + 1 >= enough && is_worth_it && best.is_none_or(|(least, _)| cost < least) {
                best = Some((cost, &longest[..=at]));
            }
        }
    }
    best.map(|(_, chosen)| chosen)
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
        let chosen = next(&files, "2026-01-02", RULES, |_| false)?;
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
    fn what_was_written_in_between_is_merged_as_well_or_nothing_is() {
        let day = "2026-01-01";
        let apart = [(day, 10), (day, 900_000), (day, 20)];
        assert_eq!(sizes(&apart), None);
        let between = [(day, 400), (day, 70_000), (day, 70_001), (day, 30)];
        assert_eq!(sizes(&between), Some(vec![400, 70_000, 70_001, 30]));
    }

    #[test]
    fn a_day_whose_files_cannot_be_merged_does_not_keep_the_next_from_it() {
        let files = [file("2025-12-30", 1), file("2025-12-30", 2)];
        let more = [file("2025-12-31", 3), file("2025-12-31", 4)];
        let all = [files, more].concat();
        let chosen = next(&all, "2026-01-02", RULES, |day| day == "2025-12-30").unwrap();
        assert_eq!(chosen[0].size_bytes, 3);
    }

    #[test]
    fn days_are_never_mixed() {
        assert_eq!(sizes(&[("2025-12-31", 10), ("2026-01-01", 10)]), None);
    }
}
