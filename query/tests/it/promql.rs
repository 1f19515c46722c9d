//! PromQL: our own scripts, and those of Prometheus.

use std::{
    collections::BTreeSet,
    io::Write,
    path::{Path, PathBuf},
};

use demarc_query::promql_script::{self, Report};

use crate::fixture::Bed;

fn scripts(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "test"))
        .collect();
    found.sort();
    found
}

async fn run(bed: &Bed, path: &Path) -> Report {
    let text = std::fs::read_to_string(path).unwrap();
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    promql_script::run(&bed.store, &bed.engine, &name, &text)
        .await
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[tokio::test]
async fn our_own_scripts_hold() {
    let bed = Bed::new().await;
    let found = scripts(Path::new("tests/promql"));
    assert!(!found.is_empty());
    for path in found {
        let report = run(&bed, &path).await;
        assert!(
            report.passed > 0 && report.failures.is_empty(),
            "{}: {:#?}",
            path.display(),
            report.failures
        );
    }
}

/// Prometheus' own scripts. `known_gaps.txt` lists each `eval` that does not hold today, as `file:line`; `docs/compatibility.md`
/// says why. One that begins to hold must be taken off the list.
#[tokio::test]
async fn the_scripts_of_prometheus_hold_but_for_known_gaps() {
    let folder = Path::new("../../shared/compat/promql");
    let found = scripts(folder);
    if found.is_empty() {
        writeln!(
            std::io::stderr(),
            "skipped: {} is not there",
            folder.display()
        )
        .unwrap();
        return;
    }
    let bed = Bed::new().await;
    let (mut failing, mut total, mut faults) = (BTreeSet::new(), 0, String::new());
    for path in found {
        let report = run(&bed, &path).await;
        total += report.passed + report.failures.len();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        for failure in report.failures {
            failing.insert(format!("{name}:{}", failure.line));
            let (query, fault) = (failure.query, failure.fault);
            faults.push_str(&format!("{name}:{}: {query}: {fault}\n", failure.line));
        }
    }
    let list = Path::new("tests/promql/known_gaps.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let text: String = failing.iter().map(|one| format!("{one}\n")).collect();
        std::fs::write(list, text).unwrap();
        std::fs::write(std::env::temp_dir().join("promql-faults.txt"), &faults).unwrap();
    }
    let known: BTreeSet<String> = std::fs::read_to_string(list)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    let new: Vec<_> = failing.difference(&known).collect();
    let gone: Vec<_> = known.difference(&failing).collect();
    assert!(
        new.is_empty(),
        "{} of {total} evals fail; new among them: {new:?}\n{faults}",
        failing.len()
    );
    assert!(
        gone.is_empty(),
        "these hold now, take them off known_gaps.txt: {gone:?}"
    );
}
