//! The number of the last acknowledged record, in a file beside the segments.
//!
//! It is written after each group and never synced: it may be behind, never ahead, so that a log which ends before it has lost
//! something. Without it a segment that was cut in half could not be told from one with an unfinished record at its end.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::FileExt,
    path::Path,
};

use crate::StoreError;

const NAME: &str = "acknowledged";

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

/// The number that the mark in `dir` shows; `None` when there is none or it was not written whole.
pub(super) fn read(dir: &Path) -> Option<u64> {
    let bytes = fs::read(dir.join(NAME)).ok()?;
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
