//! Compressed CSV with a header.

use std::{fs::File, path::Path};

use anyhow::Context;
use flate2::read::GzDecoder;

/// Rows of text by column.
pub(crate) struct Rows {
    header: csv::StringRecord,
    rows: Vec<csv::StringRecord>,
}

impl Rows {
    /// Reads a whole file; an absent one is empty.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        if !path.exists() {
            return Ok(Self {
                header: csv::StringRecord::new(),
                rows: Vec::new(),
            });
        }
        let name = || path.display().to_string();
        let file = File::open(path).with_context(name)?;
        let mut reader = csv::Reader::from_reader(GzDecoder::new(file));
        let header = reader.headers().with_context(name)?.clone();
        let rows = reader
            .records()
            .collect::<Result<_, _>>()
            .with_context(name)?;
        Ok(Self { header, rows })
    }

    /// The place of a column.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|known| known == name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &csv::StringRecord> {
        self.rows.iter()
    }
}
