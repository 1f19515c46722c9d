//! Two numbers in files beside the segments: of the last acknowledged record, and of the last one that may be gone.
//!
//! The first is written after each group and never synced: it may be behind, never ahead, so that a log which ends before it has
//! lost something. Without it a segment that was cut in half could not be told from one with an unfinished record at its end.
//! The second is on disk before segments are deleted. Without it, what one table has in files already would be taken for what
//! may be gone, and another table may lack it yet.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::FileExt,
    path::Path,
};

use super::segment::sync_dir;
use crate::StoreError;

const NAME: &str = "acknowledged";
const COVERED: &str = "covered";

/// The file, open for writing.
#[derive(Debug)]
pub(crate) struct Mark(File);

impl Mark {
    /// Opens the mark in `dir` and sets it to `seq`.
    pub(crate) fn open(dir: &Path, seq: u64) -> Result<Self, StoreError> {
        let path = dir.join(NAME);
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(false).write(true);
        let file = options
            .open(&path)
            .map_err(StoreError::io("create", &path))?;
        let mark = Self(file);
        mark.set(seq);
        Ok(mark)
    }

    /// Notes that all records up to `seq` are acknowledged.
    pub(super) fn set(&self, seq: u64) {
        // Without it some damage is not noticed, but nothing is lost.
        self.0.write_all_at(&encode(seq), 0).ok();
    }
}

/// The number of the last acknowledged record in `dir`; `None` when there is none or it was not written whole.
pub(super) fn acknowledged(dir: &Path) -> Option<u64> {
    read(&dir.join(NAME))
}

/// The number up to which all tables had the records of `dir` in files when segments were deleted last; `None` when none ever were.
pub(super) fn covered(dir: &Path) -> Option<u64> {
    read(&dir.join(COVERED))
}

/// Notes that all tables have the records up to `seq` in files, on disk when this returns. In place: when the disk is full, the
/// segments that may go then are what makes room.
pub(super) fn set_covered(dir: &Path, seq: u64) -> Result<(), StoreError> {
    let path = dir.join(COVERED);
    let mut options = OpenOptions::new();
    let options = options.create(true).truncate(false).write(true);
    let written = options.open(&path).and_then(|file| {
        file.write_all_at(&encode(seq), 0)?;
        file.sync_all()
    });
    written.map_err(StoreError::io("write", &path))?;
    sync_dir(dir)
}

fn read(path: &Path) -> Option<u64> {
    let bytes = fs::read(path).ok()?;
    let seq = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
    (bytes == encode(seq)).then_some(seq)
}

fn encode(seq: u64) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&seq.to_le_bytes());
    let crc = crc32fast::hash(&bytes[..8]);
    bytes[8..].copy_from_slice(&crc.to_le_bytes());
    bytes
}
