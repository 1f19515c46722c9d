//! Segment files.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;

use super::{
    codec::{SEGMENT_HEADER_LEN, segment_header},
    mark,
};
use crate::StoreError;

/// A segment that is not written to any more.
#[derive(Debug)]
struct Closed {
    path: PathBuf,
    /// The last sequence number that it may hold.
    last_seq: u64,
}

/// The closed segments, shared by the writer, which closes them, and the flusher, which deletes them.
#[derive(Clone, Debug)]
pub(crate) struct Segments {
    dir: PathBuf,
    closed: Arc<Mutex<Vec<Closed>>>,
}

impl Segments {
    /// Of the log in `dir`; none is closed yet.
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            closed: Arc::default(),
        }
    }

    /// Takes note of a segment that is complete.
    pub(super) fn close(&self, path: PathBuf, last_seq: u64) {
        self.closed.lock().push(Closed { path, last_seq });
    }

    /// Deletes the segments whose records all tables have in files, that is those with no number above `covered`.
    pub(crate) fn delete_covered(&self, covered: u64) -> Result<(), StoreError> {
        let mut closed = self.closed.lock();
        if closed.iter().all(|one| one.last_seq > covered) {
            return Ok(());
        }
        mark::set_covered(&self.dir, covered)?;
        while let Some(at) = closed.iter().position(|one| one.last_seq <= covered) {
            let path = &closed[at].path;
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StoreError::io("delete", path)(error));
                }
                _ => drop(closed.remove(at)),
            }
        }
        Ok(())
    }
}

/// What became of a group that was to be written.
#[derive(Debug)]
pub(super) enum Failure {
    /// The group was cut off again; the segment may be used on.
    CutOff(StoreError),
    /// Nobody knows what is on disk behind the last good record; the segment must not be used any more.
    Unusable(StoreError),
}

/// The segment that is being written.
#[derive(Debug)]
pub(crate) struct SegmentWriter {
    path: PathBuf,
    file: File,
    /// Length up to the last record that is on disk for sure.
    good_len: u64,
}

impl SegmentWriter {
    /// Creates segment `number` in `dir`, on disk with its directory entry.
    pub(super) fn create(dir: &Path, number: u64, first_seq: u64) -> Result<Self, StoreError> {
        let path = dir.join(file_name(number));
        let error = |action| StoreError::io(action, &path);
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(error("create"))?;
        let written = file
            .write_all(&segment_header(first_seq))
            .and_then(|()| file.sync_all());
        if let Err(source) = written {
            // The number may be used again only once the half-made file is gone.
            fs::remove_file(&path).map_err(error("delete"))?;
            return Err(error("write")(source));
        }
        sync_dir(dir)?;
        Ok(Self {
            path,
            file,
            good_len: SEGMENT_HEADER_LEN as u64,
        })
    }

    /// Writes `group` and waits until it is on disk: all of it, or none that recovery would take for acknowledged.
    pub(super) fn write(&mut self, group: &[u8]) -> Result<(), Failure> {
        if let Err(source) = self.file.write_all(group) {
            return Err(self.cut_off(StoreError::io("write", &self.path)(source)));
        }
        if let Err(source) = self.file.sync_data() {
            // After a failed sync the kernel may have dropped the pages, so that a later success would prove nothing.
            let error = StoreError::io("sync", &self.path)(source);
            self.cut_off_file().ok();
            return Err(Failure::Unusable(error));
        }
        self.good_len += group.len() as u64;
        Ok(())
    }

    /// Length of the segment.
    pub(super) fn len(&self) -> u64 {
        self.good_len
    }

    /// Whether it has no record.
    pub(super) fn is_empty(&self) -> bool {
        self.good_len == SEGMENT_HEADER_LEN as u64
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn cut_off(&mut self, error: StoreError) -> Failure {
        match self.cut_off_file() {
            Ok(()) => Failure::CutOff(error),
            Err(_) => Failure::Unusable(error),
        }
    }

    fn cut_off_file(&mut self) -> io::Result<()> {
        use std::io::{Seek, SeekFrom};
        self.file.set_len(self.good_len)?;
        self.file.seek(SeekFrom::Start(self.good_len))?;
        self.file.sync_all()
    }
}

/// The name of segment `number`.
pub(super) fn file_name(number: u64) -> String {
    format!("{number:016}.wal")
}

/// Numbers and paths of the segments in `dir`, in order.
pub(super) fn list(dir: &Path) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(dir).map_err(StoreError::io("list", dir))? {
        let path = entry.map_err(StoreError::io("list", dir))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let number = name.and_then(|name| name.strip_suffix(".wal"));
        if let Some(number) = number.and_then(|number| number.parse().ok()) {
            segments.push((number, path));
        }
    }
    segments.sort();
    Ok(segments)
}

/// Makes the entries of a directory survive a power cut.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(StoreError::io("sync", dir))
}

/// Creates `dir` and what is missing above it, on disk when this returns.
pub(crate) fn create_dir(dir: &Path) -> Result<(), StoreError> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        create_dir(parent)?;
        match fs::create_dir(dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(StoreError::io("create", dir)(error));
            }
            _ => sync_dir(parent)?,
        }
    }
    Ok(())
}
