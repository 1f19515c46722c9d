//! `demarc test promql`

use std::{path::Path, sync::Arc};

use anyhow::{Context, bail};
use demarc_proto::{Clock, ManualClock, Nanos};
use demarc_query::{
    Engine, QueryConfig,
    promql_script::{self, Report},
};
use demarc_store::{Store, StoreConfig};

use super::print;
use crate::cli::TestPromqlArgs;

pub(crate) async fn run(args: TestPromqlArgs) -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("make a folder for the store")?;
    // Scripts begin at the epoch; nothing in them depends on today's date.
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Nanos(0)));
    let store = Store::open(folder.path(), StoreConfig::default(), clock).await?;
    let engine = Engine::new(Arc::clone(&store), QueryConfig::default())?;
    let (mut passed, mut failed) = (0, 0);
    for (at, path) in args.files.iter().enumerate() {
        let report = check(&store, &engine, &format!("script-{at}"), path).await?;
        passed += report.passed;
        failed += report.failures.len();
        print(&shown(path, &report))?;
    }
    if args.files.len() > 1 {
        print(&format!("{passed} passed, {failed} failed\n"))?;
    }
    if failed > 0 {
        bail!("{failed} evaluations do not hold");
    }
    Ok(())
}

async fn check(
    store: &Store,
    engine: &Engine,
    prefix: &str,
    path: &Path,
) -> anyhow::Result<Report> {
    let script =
        std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    promql_script::run(store, engine, prefix, &script)
        .await
        .with_context(|| path.display().to_string())
}

fn shown(path: &Path, report: &Report) -> String {
    let mut text = String::new();
    for failure in &report.failures {
        let (line, query, fault) = (failure.line, &failure.query, &failure.fault);
        text.push_str(&format!("{}:{line}: {query}\n  {fault}\n", path.display()));
    }
    let (passed, failed) = (report.passed, report.failures.len());
    text.push_str(&format!(
        "{}: {passed} passed, {failed} failed\n",
        path.display()
    ));
    text
}
