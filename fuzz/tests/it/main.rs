//! Seeds, and inputs that once showed a fault, go through every target without libFuzzer.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on is to panic where it stands"
)]

use std::{fs, path::Path};

use demarc_fuzz::{Ground, Target};

/// The inputs in `found/<target>/`, each named for its symptom.
fn found(target: Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("found");
    match fs::read_dir(folder.join(target.name())) {
        Ok(entries) => entries
            .map(|entry| fs::read(entry.unwrap().path()).unwrap())
            .collect(),
        Err(_) => Vec::new(),
    }
}

#[test]
fn seeds_and_what_was_found_pass_every_target() {
    let ground = Ground::new();
    for target in Target::ALL {
        let seeds = target.seeds(&ground);
        assert!(!seeds.is_empty(), "{} has no seed", target.name());
        for input in seeds.into_iter().chain(found(target)) {
            target.run(&ground, &input);
        }
    }
}

#[test]
fn every_target_has_a_program() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let manifest = fs::read_to_string(manifest).unwrap();
    for target in Target::ALL {
        let name = target.name();
        assert!(
            manifest.contains(&format!("name = \"fuzz_{name}\"")),
            "{name}"
        );
        let program = format!("{}/fuzz_targets/{name}.rs", env!("CARGO_MANIFEST_DIR"));
        let program = fs::read_to_string(program).unwrap();
        assert!(
            program.contains(&format!("Target::{target:?},")),
            "{program}"
        );
    }
}
