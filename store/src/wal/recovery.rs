//! Reading the log back after a start.

use std::{
    fs::{self, OpenOptions},
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use super::{
    body::{self, Body},
    codec::{Item, parse_segment_header, scan},
    segment::{self, Segments},
};
use crate::{StoreError, metric};

/// What recovery leaves for the writer.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// The segments read, to be deleted once their rows are in data files.
    pub(crate) segments: Segments,
    /// The last sequence number found; 0 without any record.
    pub(crate) last_seq: u64,
    /// The number of the next segment.
    pub(crate) next_segment: u64,
}

struct Segment {
    path: PathBuf,
    bytes: Vec<u8>,
    /// `None` when the header is damaged.
    first_seq: Option<u64>,
}

/// Reads all records in `dir`, in order, and gives each to `replay`. Damaged ones go to files beside the segments.
pub(crate) fn recover(
    dir: &Path,
    mut replay: impl FnMut(u64, Body) -> Result<(), StoreError>,
) -> Result<Recovered, StoreError> {
    let listed = segment::list(dir)?;
    let mut recovered = Recovered {
        segments: Segments::default(),
        last_seq: 0,
        next_segment: listed.last().map_or(0, |(number, _)| number + 1),
    };
    let mut listed = listed.into_iter().map(|(_, path)| read(path)).peekable();
    while let Some(segment) = listed.next() {
        let segment = segment?;
        // A record that bears a number of the next segment belongs to a group that failed.
        let end = match listed.peek() {
            Some(Ok(next)) => next.first_seq.unwrap_or(u64::MAX),
            _ => u64::MAX,
        };
        let last_seq = replay_segment(&segment, end, &mut replay)?;
        recovered.last_seq = recovered.last_seq.max(last_seq);
        recovered.segments.close(segment.path, last_seq);
    }
    Ok(recovered)
}

fn read(path: PathBuf) -> Result<Segment, StoreError> {
    let bytes = fs::read(&path).map_err(StoreError::io("read", &path))?;
    let first_seq = parse_segment_header(&bytes);
    Ok(Segment {
        path,
        bytes,
        first_seq,
    })
}

/// Replays the records of one segment numbered below `end`; returns the last number seen.
fn replay_segment(
    segment: &Segment,
    end: u64,
    replay: &mut impl FnMut(u64, Body) -> Result<(), StoreError>,
) -> Result<u64, StoreError> {
    let mut last_seq = segment.first_seq.map_or(0, |first| first.saturating_sub(1));
    for item in scan(&segment.bytes) {
        match item {
            Item::Record { seq, .. } if seq >= end => {}
            Item::Record { seq, whole, body } => {
                last_seq = last_seq.max(seq);
                match body::decode(&segment.bytes[body]) {
                    Ok(body) => replay(seq, body)?,
                    Err(reason) => quarantine(segment, whole, &reason)?,
                }
            }
            Item::Damaged(range) => quarantine(segment, range, "checksum or marker is wrong")?,
            Item::Torn(range) => cut_off(segment, range)?,
        }
    }
    // What a killed process wrote may not be on disk yet, and from now on it counts as acknowledged.
    sync(&segment.path)?;
    Ok(last_seq)
}

/// Keeps damaged bytes in a file of their own, so that they outlive their segment and someone can look at them.
fn quarantine(segment: &Segment, range: Range<usize>, reason: &str) -> Result<(), StoreError> {
    let path = segment
        .path
        .with_extension(format!("{}.damaged", range.start));
    if path.exists() {
        return Ok(());
    }
    let (offset, bytes) = (range.start, range.len());
    fs::write(&path, &segment.bytes[range]).map_err(StoreError::io("write", &path))?;
    metric::WAL_DAMAGED_RECORDS.add(1, &[]);
    let file = path.display().to_string();
    tracing::error!(file, offset, bytes, reason, "damaged record put aside");
    Ok(())
}

fn cut_off(segment: &Segment, range: Range<usize>) -> Result<(), StoreError> {
    let (path, bytes) = (&segment.path, range.len());
    OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|file| file.set_len(range.start as u64))
        .map_err(StoreError::io("truncate", path))?;
    let file = path.display().to_string();
    tracing::warn!(file, bytes, "unfinished record cut off");
    Ok(())
}

fn sync(path: &Path) -> Result<(), StoreError> {
    let synced: io::Result<()> = fs::File::open(path).and_then(|file| file.sync_all());
    synced.map_err(StoreError::io("sync", path))
}
