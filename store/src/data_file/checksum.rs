//! Checksums of whole files, so that a flipped bit is never taken for a value.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
};

use crate::StoreError;

const BUFFER_BYTES: usize = 1 << 18;

/// A file that is being written, and the checksum of what was written so far.
#[derive(Debug)]
pub(super) struct Checksummed {
    file: File,
    hasher: crc32fast::Hasher,
}

/// What is known of a file once it is on disk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    /// Its size.
    pub(super) size_bytes: u64,
    /// Its checksum.
    pub(super) crc32: u32,
}

impl Checksummed {
    /// A file without content so far.
    pub(super) fn new(file: File) -> Self {
        Self {
            file,
            hasher: crc32fast::Hasher::new(),
        }
    }

    /// Puts the file on disk.
    pub(super) fn sync(self, path: &Path) -> Result<Written, StoreError> {
        let error = |action| StoreError::io(action, path);
        self.file.sync_all().map_err(error("sync"))?;
        let metadata = self.file.metadata().map_err(error("stat"))?;
        Ok(Written {
            size_bytes: metadata.len(),
            crc32: self.hasher.finalize(),
        })
    }
}

impl Write for Checksummed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The checksum of a file as it is on disk.
pub(super) fn of_file(path: &Path) -> io::Result<u32> {
    let mut file = File::open(path)?;
    let mut hasher = crc32fast::Hasher::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize()),
            read => hasher.update(&buffer[..read]),
        }
    }
}
