//! PromQL: our own scripts, and those of Prometheus.

use std::{
    collections::BTreeSet,
    io::Write,
    path::{Path, PathBuf},
};

use demarc_proto::{Labels, METRIC_NAME, Millis};
use demarc_query::{
    QueryConfig, QueryError,
    promql_script::{self, Report},
};
use demarc_store::{MetricRows, Rows, Sample};

use crate::fixture::{Bed, tenant};

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

/// A store with one series `a` with a value per second.
async fn seconds() -> Bed {
    let bed = Bed::new().await;
    let samples = (0..600).map(|second| Sample::new(Millis(second * 1000), second as f64));
    let one = MetricRows {
        labels: Labels::from_pairs([(METRIC_NAME, "a")]),
        samples: samples.collect(),
        ..MetricRows::default()
    };
    let rows = Rows {
        metrics: vec![one],
        ..Rows::default()
    };
    bed.append(&tenant("a"), rows).await;
    bed
}

#[tokio::test]
async fn the_deepest_and_widest_queries_are_answered_or_refused() {
    let bed = seconds().await;
    let deep = format!("{}a{}", "abs(".repeat(390), ")".repeat(390));
    let long = vec!["a"; 390].join(" or ");
    for query in [deep, long] {
        let answer = bed.engine.instant(&tenant("a"), &query, Millis(5000)).await;
        assert!(answer.is_ok(), "{answer:?}");
    }
    let refused = [
        "max_over_time(a[1y:1ms])",
        "sum_over_time(vector(1)[1y:1ms])",
        "count_over_time(count_over_time(a[1h:1ms])[30d:1ms])",
    ];
    for query in refused {
        let answer = bed.engine.instant(&tenant("a"), query, Millis(5000)).await;
        let is_limit = matches!(answer, Err(QueryError::Limit { .. }));
        assert!(is_limit, "{query}: {answer:?}");
    }
}

#[tokio::test]
async fn an_evaluation_ends_soon_after_nobody_waits_for_it() {
    let config = QueryConfig {
        timeout_seconds: 1,
        ..QueryConfig::default()
    };
    let bed = Bed::with(config).await;
    let slow = vec!["sum_over_time(vector(time())[7d:100ms])"; 200].join(" + ");
    let answer = bed.engine.instant(&tenant("a"), &slow, Millis(5000)).await;
    assert!(
        matches!(
            answer,
            Err(QueryError::Timeout(_) | QueryError::Limit { .. })
        ),
        "{answer:?}"
    );
}
