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
    mark,
    segment::{self, Segments},
};
use crate::{
    StoreError, metric,
    quarantine::{Damage, DamageKind},
};

/// What recovery leaves for the writer.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// The segments read, to be deleted once their rows are in data files.
    pub(crate) segments: Segments,
    /// The last sequence number found; 0 without any record.
    pub(crate) last_seq: u64,
    /// The number of the next segment.
    pub(crate) next_segment: u64,
    /// What was found damaged or missing.
    pub(crate) damage: Vec<Damage>,
}

struct Segment {
    path: PathBuf,
    bytes: Vec<u8>,
    /// `None` when the header is damaged.
    first_seq: Option<u64>,
}

/// Reads all records in `dir`, in order, and gives each to `replay`. Damaged ones go to files beside the segments. Records up
/// to the number that was noted when segments were deleted last are in data files and may be gone; where none was noted, those up
/// to `in_files`.
pub(crate) fn recover(
    dir: &Path,
    in_files: u64,
    mut replay: impl FnMut(u64, Body) -> Result<(), StoreError>,
) -> Result<Recovered, StoreError> {
    let listed = segment::list(dir)?;
    let next_segment = listed.last().map_or(0, |(number, _)| number + 1);
    let mut found = Found {
        dir,
        last_seq: 0,
        covered: mark::covered(dir).unwrap_or(in_files),
        damage: Vec::new(),
    };
    let closed = Segments::new(dir);
    let mut listed = listed.into_iter().map(|(_, path)| read(path)).peekable();
    while let Some(segment) = listed.next() {
        let segment = segment?;
        // A record that bears a number of the next segment belongs to a group that failed.
        let end = match listed.peek() {
            Some(Ok(next)) => next.first_seq.unwrap_or(u64::MAX),
            _ => u64::MAX,
        };
        let last_seq = replay_segment(&segment, end, &mut found, &mut replay)?;
        closed.close(segment.path, last_seq);
    }
    if mark::covered(dir).is_none()
        && let Err(error) = mark::set_covered(dir, in_files)
    {
        // Without it some damage is not noticed, but nothing is lost.
        tracing::warn!(%error, "what may be gone of the log was not noted");
    }
    // What comes after the last acknowledged record is not missing.
    let acknowledged = mark::acknowledged(dir).unwrap_or(0);
    found.expect_up_to(acknowledged);
    Ok(Recovered {
        segments: closed,
        last_seq: found.last_seq,
        next_segment,
        damage: found.damage,
    })
}

/// What recovery has come across.
struct Found<'a> {
    dir: &'a Path,
    /// The last number.
    last_seq: u64,
    /// The last number whose absence means nothing.
    covered: u64,
    damage: Vec<Damage>,
}

impl Found<'_> {
    /// Notes the record `seq`.
    fn record(&mut self, seq: u64) {
        self.expect_up_to(seq.saturating_sub(1));
        self.last_seq = self.last_seq.max(seq);
    }

    /// Reports the numbers up to `seq` that have not come.
    fn expect_up_to(&mut self, seq: u64) {
        let known = self.last_seq.max(self.covered);
        if seq > known {
            let reason = format!("records {} to {seq} are missing", known + 1);
            self.damage
                .push(Damage::new(DamageKind::Wal, self.dir, reason));
            self.last_seq = seq;
        }
    }

    fn damaged(&mut self, aside: PathBuf, reason: &str) {
        metric::WAL_DAMAGED_RECORDS.add(1, &[]);
        self.damage
            .push(Damage::new(DamageKind::Wal, &aside, reason));
    }
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
    found: &mut Found<'_>,
    replay: &mut impl FnMut(u64, Body) -> Result<(), StoreError>,
) -> Result<u64, StoreError> {
    let mut last_seq = segment.first_seq.map_or(0, |first| first.saturating_sub(1));
    for item in scan(&segment.bytes) {
        match item {
            Item::Record { seq, .. } if seq >= end => {}
            Item::Record { seq, whole, body } => {
                last_seq = last_seq.max(seq);
                found.record(seq);
                match body::decode(&segment.bytes[body]) {
                    Ok(body) => replay(seq, body)?,
                    Err(reason) => put_aside(segment, whole, &reason, found),
                }
            }
            Item::Damaged(range) => {
                put_aside(segment, range, "checksum or marker is wrong", found);
            }
            Item::Torn(range) => cut_off(segment, range)?,
        }
    }
    // What a killed process wrote may not be on disk yet, and from now on it counts as acknowledged.
    sync(&segment.path)?;
    Ok(last_seq)
}

/// Keeps damaged bytes in a file of their own, so that they outlive their segment and someone can look at them.
fn put_aside(segment: &Segment, range: Range<usize>, reason: &str, found: &mut Found) {
    let path = segment
        .path
        .with_extension(format!("{}.damaged", range.start));
    if path.exists() {
        return;
    }
    if let Err(error) = fs::write(&path, &segment.bytes[range]) {
        // They are still in the segment, which stays until there is room to write its rows into files.
        let file = path.display().to_string();
        tracing::warn!(file, %error, "damaged record was not put aside");
        fs::remove_file(&path).ok();
    }
    found.damaged(path, reason);
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
