//! What a sample takes on disk, by how its columns are encoded: on scrapes of a real exporter.
//!
//! `record` scrapes; `shape` reads the scrapes, cuts them into stretches, each the history of one host, and prints bytes per
//! sample: of each column in several encodings, and of the files that the store makes of all of it.

mod corpus;
mod encoding;
mod record;

pub(crate) use record::run as record;

use anyhow::Context;
use demarc_proto::{Clock, SystemClock, TenantId};
use demarc_store::{Rows, Snapshot, Store, StoreConfig, Table};

use self::corpus::Corpus;
use crate::{cli::ShapeArgs, table};

/// Prints the table of encodings, then the store's own files by column.
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
    let snapshot = stored(&corpus, folder.path()).await?;
    table::print(&file_rows(&snapshot, samples)?);
    Ok(())
}

/// All samples in files of the store, written by one flush.
async fn stored(corpus: &Corpus, folder: &std::path::Path) -> anyhow::Result<Snapshot> {
    let config = StoreConfig {
        flush_rows: usize::MAX,
        flush_bytes: usize::MAX,
        ..StoreConfig::default()
    };
    let clock: std::sync::Arc<dyn Clock> = std::sync::Arc::new(SystemClock);
    let store = Store::open(folder, config, clock).await?;
    let tenant = TenantId::default();
    for series in &corpus.series {
        let rows = Rows {
            metrics: vec![series.clone()],
            ..Rows::default()
        };
        store.append(&tenant, rows).await?;
    }
    store.flush().await?;
    let snapshot = store.snapshot(&tenant);
    store.close().await?;
    Ok(snapshot)
}

/// Bytes per sample of each column of the store's files, and of the files as a whole.
fn file_rows(snapshot: &Snapshot, samples: usize) -> anyhow::Result<Vec<Vec<String>>> {
    let mut rows = vec![vec!["in files".to_owned(), "bytes per sample".to_owned()]];
    let mut row = |name: String, bytes: u64| {
        rows.push(vec![name, format!("{:.4}", bytes as f64 / samples as f64)]);
    };
    let files = snapshot.files(Table::Samples);
    for (column, bytes) in encoding::column_bytes(&files)? {
        row(format!("samples.{column}"), bytes);
    }
    let size = |table| -> u64 {
        let files = snapshot.files(table);
        files.iter().map(|file| file.size_bytes).sum()
    };
    row("samples, whole files".to_owned(), size(Table::Samples));
    row("series, whole files".to_owned(), size(Table::Series));
    let all = size(Table::Samples) + size(Table::Series);
    row("all in".to_owned(), all);
    let first = files.first().context("there is no file of samples")?;
    table::say(&format!(
        "{} files, the first {} bytes",
        files.len(),
        first.size_bytes
    ));
    Ok(rows)
}
