//! Prometheus' own rule files: those that it takes are taken, those that it refuses are refused.

use std::{io::Write, path::Path};

use demarc_rules::{RuleSet, Scope};

#[derive(serde::Deserialize)]
struct Entry {
    file: String,
    check: String,
    valid: Option<bool>,
}

/// Files that Prometheus takes and we refuse, or the other way round; `docs/compatibility.md` says why.
const KNOWN_GAPS: &str = include_str!("../known_gaps.txt");

#[test]
fn files_are_taken_and_refused_as_prometheus_does() {
    let folder = Path::new("../../shared/compat/rules");
    let Ok(manifest) = std::fs::read_to_string(folder.join("manifest.jsonl")) else {
        writeln!(
            std::io::stderr(),
            "skipped: {} is not there",
            folder.display()
        )
        .unwrap();
        return;
    };
    let (mut wrong, mut reasons) = (Vec::new(), Vec::new());
    let mut count = 0;
    for line in manifest.lines() {
        let Ok(entry) = serde_json::from_str::<Entry>(line) else {
            continue;
        };
        let (true, Some(valid)) = (entry.check == "rule file load", entry.valid) else {
            continue;
        };
        let text = std::fs::read_to_string(folder.join(&entry.file)).unwrap();
        count += 1;
        let read = RuleSet::from_yaml(Scope::EveryTenant, &text);
        if read.is_ok() != valid {
            reasons.push(format!("{}: {:?}", entry.file, read.err()));
            wrong.push(entry.file);
        }
    }
    let known: Vec<&str> = KNOWN_GAPS.lines().collect();
    assert!(count > 10);
    assert_eq!(
        wrong, known,
        "not judged as Prometheus judges them: {reasons:#?}"
    );
}
