//! A small file system of its own in a loop-mounted file: it can be filled up, and its power can be cut.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

/// A mounted ext4 file system; unmounted and deleted when dropped.
#[derive(Debug)]
pub(crate) struct Disk {
    home: tempfile::TempDir,
}

impl Disk {
    /// A fresh disk of `bytes`; the error says why this machine cannot mount one.
    pub(crate) fn new(bytes: u64) -> Result<Self, String> {
        let home = tempfile::tempdir().map_err(|error| error.to_string())?;
        let disk = Self { home };
        let image = File::create(disk.image()).map_err(|error| error.to_string())?;
        image.set_len(bytes).map_err(|error| error.to_string())?;
        fs::create_dir(disk.root()).map_err(|error| error.to_string())?;
        run(Command::new("mkfs.ext4").arg("-q").arg(disk.image()))?;
        disk.mount()?;
        Ok(disk)
    }

    /// Where it is mounted.
    pub(crate) fn root(&self) -> PathBuf {
        self.home.path().join("root")
    }

    /// Loses what was not synced, as a power cut would: afterwards every access fails until [`Disk::power_on`].
    pub(crate) fn cut_power(&self) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cut_power.py");
        run(Command::new("python3").arg(script).arg(self.root())).unwrap();
    }

    /// Mounts the disk again with what was on it when its power was cut. No process may have a file open on it.
    pub(crate) fn power_on(&self) {
        run(Command::new("umount").arg(self.root())).unwrap();
        self.mount().unwrap();
    }

    fn image(&self) -> PathBuf {
        self.home.path().join("image")
    }

    fn mount(&self) -> Result<(), String> {
        let mut mount = Command::new("mount");
        run(mount
            .args(["-o", "loop"])
            .arg(self.image())
            .arg(self.root()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // It may not have got as far as being mounted.
        Command::new("umount")
            .arg("-q")
            .arg("-l")
            .arg(self.root())
            .output()
            .ok();
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}", errors.trim()))
}
