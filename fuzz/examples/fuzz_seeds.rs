//! Writes the seeds of every target to `$FUZZ_SEEDS/<target>/`.
//!
//! A program of libFuzzer like the others, for the instrumented libraries call into it; `-runs=0` ends it.
#![no_main]

use std::{fs, io, path::PathBuf};

use demarc_fuzz::{Ground, Target};

libfuzzer_sys::fuzz_target!(
    init: write().expect("FUZZ_SEEDS names a folder that can be written to"),
    |_bytes: &[u8]| {}
);

fn write() -> io::Result<()> {
    let folder = std::env::var_os("FUZZ_SEEDS").map(PathBuf::from);
    let folder = folder.ok_or(io::ErrorKind::NotFound)?;
    for target in Target::ALL {
        let folder = folder.join(target.name());
        fs::create_dir_all(&folder)?;
        for (number, seed) in target.seeds(&Ground::new()).into_iter().enumerate() {
            fs::write(folder.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
