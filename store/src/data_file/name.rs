//! Names of data files. They sort as their rows were written: of two values at one time, the later one counts.
//!
//! `demarc-w<seq>-<id>.parquet` is the file of a flush, `seq` the position of the write-ahead log; `demarc-<order>.<id>.parquet`
//! holds rows of several files, of which the newest is called `<order>`. Older versions named files by the time of writing
//! alone, without the `w`: they sort before all others.

use std::path::Path;

use uuid::Uuid;

/// What the names of our data files begin with; others in the same directories are none of our business.
const PREFIX: &str = "demarc-";
const SUFFIX: &str = ".parquet";

/// When the rows of a file were written, as its name says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Order(String);

impl Order {
    /// Of rows that the write-ahead log has up to the position `seq`; later than any other of the same position.
    pub(crate) fn of_flush(seq: u64) -> Self {
        // Ids of one process rise, so that the files of one flush sort as well.
        Self(format!("w{seq:016x}-{}", Uuid::now_v7()))
    }

    /// Of the rows of a file that the store has written.
    pub(crate) fn of_file(path: &Path) -> Self {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.unwrap_or_default();
        let name = name.strip_prefix(PREFIX).unwrap_or(name);
        Self(name.split('.').next().unwrap_or_default().to_owned())
    }

    /// The name of a file with rows that are new.
    pub(super) fn name(&self) -> String {
        format!("{PREFIX}{}{SUFFIX}", self.0)
    }

    /// The name of a file with rows that others had before, the newest of which is `self`.
    pub(super) fn name_of_merged(&self) -> String {
        format!("{PREFIX}{}.{}{SUFFIX}", self.0, Uuid::now_v7())
    }
}

/// Whether a file is called as the store calls its files.
pub(crate) fn is_ours(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merged_file_takes_the_place_of_its_newest_input() {
        let older = format!("{PREFIX}{}{SUFFIX}", Uuid::now_v7());
        let flushed = |seq| Order::of_flush(seq).name();
        let (first, second, third) = (flushed(9), flushed(10), flushed(300));
        let merged = Order::of_file(Path::new(&second)).name_of_merged();
        let again = Order::of_file(Path::new(&merged)).name_of_merged();
        assert!(older < first && first < merged && merged < third);
        assert!(first < again && again < third);
        assert_eq!(
            Order::of_file(Path::new(&again)),
            Order::of_file(Path::new(&second))
        );
        assert!(is_ours(Path::new(&again)) && is_ours(Path::new(&older)));
    }
}
