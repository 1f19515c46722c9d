//! Entries of a Delta log as files: there whole or not at all, and sealed, so that a damaged one is told from an intact one.
//!
//! The seal is a checksum of the whole entry, in the `demarcSeal` field of its `commitInfo`. Other writers' entries have none
//! and are taken as they are.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::{StoreError, wal::sync_dir};

/// Name of an entry that is being written; no Delta reader takes it for one.
const STAGED: &str = ".staged";
const FIELD: &str = "\"demarcSeal\":\"";
const OPEN_SEAL: &str = "--------";

/// What an entry's bytes are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seal {
    /// Written by the store, as it was written.
    Intact,
    /// Written by someone else.
    Foreign,
    /// Damaged or unfinished.
    Broken,
}

/// The field of `commitInfo` that holds the seal, before the entry is sealed.
pub(super) fn open_seal() -> (&'static str, &'static str) {
    ("demarcSeal", OPEN_SEAL)
}

/// The bytes of an entry whose first line is its `commitInfo` with the open seal.
pub(super) fn seal(lines: &[String]) -> Vec<u8> {
    let text = lines.join("\n");
    let seal = format!("{:08x}", crc32fast::hash(text.as_bytes()));
    text.replacen(OPEN_SEAL, &seal, 1).into_bytes()
}

/// Whether an entry is as it was written.
pub(super) fn check(bytes: &[u8]) -> Seal {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Seal::Broken;
    };
    let Some(at) = text.find(FIELD).map(|at| at + FIELD.len()) else {
        return if is_json_lines(text) {
            Seal::Foreign
        } else {
            Seal::Broken
        };
    };
    let seal = text.get(at..at + OPEN_SEAL.len()).unwrap_or_default();
    let mut unsealed = bytes.to_vec();
    if let Some(place) = unsealed.get_mut(at..at + OPEN_SEAL.len()) {
        place.copy_from_slice(OPEN_SEAL.as_bytes());
    }
    if seal == format!("{:08x}", crc32fast::hash(&unsealed)) {
        Seal::Intact
    } else {
        Seal::Broken
    }
}

fn is_json_lines(text: &str) -> bool {
    let mut lines = text.lines().filter(|line| !line.is_empty()).peekable();
    lines.peek().is_some()
        && lines.all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok())
}

/// Writes entry `version`, on disk when this returns. Fails when there is one already.
pub(super) fn write(dir: &Path, version: u64, bytes: &[u8]) -> Result<(), StoreError> {
    let (staged, path) = (dir.join(STAGED), path(dir, version));
    let written = File::create(&staged).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(StoreError::io("write", &staged))?;
    // A link, unlike a rename, never replaces what is there.
    fs::hard_link(&staged, &path).map_err(StoreError::io("create", &path))?;
    fs::remove_file(&staged).map_err(StoreError::io("delete", &staged))?;
    sync_dir(dir)
}

/// All entries of the log in `dir`, by version.
pub(super) fn read_all(dir: &Path) -> Result<BTreeMap<u64, Vec<u8>>, StoreError> {
    let mut entries = BTreeMap::new();
    for (version, path) in list(dir, ".json")? {
        let bytes = fs::read(&path).map_err(StoreError::io("read", &path))?;
        entries.insert(version, bytes);
    }
    Ok(entries)
}

/// Makes a checkpoint of `version` survive a power cut.
pub(super) fn sync_checkpoint(dir: &Path, version: u64) -> Result<(), StoreError> {
    let checkpoints = list(dir, ".checkpoint.parquet")?;
    let paths = checkpoints
        .into_iter()
        .filter(|(found, _)| *found == version)
        .map(|(_, path)| path);
    for path in paths.chain([dir.join("_last_checkpoint")]) {
        File::open(&path)
            .and_then(|file| file.sync_all())
            .map_err(StoreError::io("sync", &path))?;
    }
    sync_dir(dir)
}

/// Deletes entries and checkpoints of versions below `version`, which has a checkpoint.
pub(super) fn forget_before(dir: &Path, version: u64) -> Result<(), StoreError> {
    for suffix in [".json", ".checkpoint.parquet"] {
        for (old, path) in list(dir, suffix)? {
            if old < version {
                remove(&path)?;
            }
        }
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::io("delete", path)(error))
        }
        _ => Ok(()),
    }
}

/// Where entry `version` is.
pub(super) fn path(dir: &Path, version: u64) -> PathBuf {
    dir.join(format!("{version:020}.json"))
}

/// Versions and paths of the files in `dir` that are named `<version><suffix>`.
fn list(dir: &Path, suffix: &str) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(StoreError::io("list", dir))? {
        let path = entry.map_err(StoreError::io("list", dir))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let version = name.and_then(|name| name.strip_suffix(suffix));
        if let Some(version) = version.and_then(|version| version.parse().ok()) {
            found.push((version, path));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_flipped_bit_and_any_missing_byte_breaks_the_seal() {
        let (field, open) = open_seal();
        let info = format!("{{\"commitInfo\":{{\"{field}\":\"{open}\"}}}}");
        let bytes = seal(&[info, "{\"add\":{\"size\":5}}".to_owned()]);
        assert_eq!(check(&bytes), Seal::Intact);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            // A flip in the field's name makes it a stranger's field; the entry still says what it said.
            assert_ne!(check(&damaged), Seal::Intact, "byte {at}");
            assert_ne!(check(&bytes[..at]), Seal::Intact, "cut at {at}");
        }
        assert_eq!(check(b""), Seal::Broken);
        assert_eq!(check(b"{\"commitInfo\":{}}"), Seal::Foreign);
    }
}
