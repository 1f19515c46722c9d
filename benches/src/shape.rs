//! What samples, spans and log lines take on disk.
//!
//! `record` scrapes a real exporter; `shape` reads the scrapes, cuts them into stretches, each the history of one host, and prints bytes per
//! sample: of each column in several encodings, of the files that the store makes of all of it, and of the windows that it makes of
//! those days later.

mod corpus;
mod encoding;
mod files;
mod record;
mod rows;

pub(crate) use record::run as record;
pub(crate) use rows::run as run_rows;

use std::{path::Path, sync::Arc, time::Duration};

use demarc_proto::{Clock, ManualClock, SystemClock, TenantId};
use demarc_store::{MetricRows, Resolution, Rows, Store, StoreConfig, Table};

use self::corpus::Corpus;
use crate::{cli::ShapeArgs, table};

/// When all samples are of days that are over.
const WINDOWS_AFTER: Duration = Duration::from_secs(3 * 86_400);

/// Prints the table of encodings, then the store's own files by column, before and after they are merged.
pub(crate) async fn run(args: &ShapeArgs) -> anyhow::Result<()> {
    let corpus = Corpus::read(args)?;
    let samples = corpus.samples();
    table::say(&format!(
        "{} hosts, {} series, {samples} samples",
        args.hosts,
        corpus.series.len()
    ));
    table::print(&encoding::rows(&corpus)?);
    let folder = tempfile::tempdir()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = Store::open(folder.path(), files::config(), clock).await?;
    write(&store, &corpus, args.flushes).await?;
    for what in ["as written", "merged"] {
        table::say(what);
        table::print(&files::rows(&store, Table::Samples, samples as f64)?);
        let series = files::bytes(&store, Table::Series);
        let all = files::bytes(&store, Table::Samples) + series;
        table::say(&format!(
            "series: {:.4} bytes per sample, all in: {:.4}",
            series as f64 / samples as f64,
            all as f64 / samples as f64
        ));
        store.maintain().await?;
    }
    store.close().await?;
    drop(store);
    windows(folder.path(), samples as f64).await
}

/// Prints what windows of the same samples take, at a time when these are old enough.
async fn windows(folder: &Path, samples: f64) -> anyhow::Result<()> {
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    clock.advance(WINDOWS_AFTER);
    let config = StoreConfig {
        downsample_after_days: 1,
        ..files::config()
    };
    let store = Store::open(folder, config, clock).await?;
    store.maintain().await?;
    for resolution in Resolution::ALL {
        table::print(&files::rows(&store, resolution.table(), samples)?);
    }
    store.close().await?;
    Ok(())
}

/// Appends the samples in stretches of time, and writes each stretch into files.
async fn write(store: &Store, corpus: &Corpus, flushes: usize) -> anyhow::Result<()> {
    let tenant = TenantId::default();
    for stretch in 0..flushes {
        let part = |one: &MetricRows| {
            let count = one.samples.len();
            let place = |stretch: usize| stretch * count / flushes;
            MetricRows {
                samples: one.samples[place(stretch)..place(stretch + 1)].to_vec(),
                ..one.clone()
            }
        };
        let rows = Rows {
            metrics: corpus.series.iter().map(part).collect(),
            ..Rows::default()
        };
        store.append(&tenant, rows).await?;
        store.flush().await?;
    }
    Ok(())
}
