//! CSV files, compressed or not.

use std::{fs::File, io::Read, path::Path};

use anyhow::Context;
use csv::StringRecord;
use flate2::read::GzDecoder;

/// Rows of text by column.
pub(crate) struct Rows {
    header: StringRecord,
    rows: Vec<StringRecord>,
}

impl Rows {
    /// Reads a whole file whose first row names the columns; an absent file is empty.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let mut rows = records(path)?.into_iter();
        let header = rows.next().unwrap_or_default();
        Ok(Self {
            header,
            rows: rows.collect(),
        })
    }

    /// The place of a column.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|known| known == name)
    }

    /// The names of all columns.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &str> {
        self.header.iter()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &StringRecord> {
        self.rows.iter()
    }
}

/// All records of a file, its header as well; none when there is no such file, or nothing in it.
pub(crate) fn records(path: &Path) -> anyhow::Result<Vec<StringRecord>> {
    if std::fs::metadata(path).map_or(0, |file| file.len()) == 0 {
        return Ok(Vec::new());
    }
    let name = || path.display().to_string();
    let file = File::open(path).with_context(name)?;
    let is_compressed = path.extension().is_some_and(|extension| extension == "gz");
    let input: Box<dyn Read> = if is_compressed {
        Box::new(GzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(input);
    reader
        .records()
        .collect::<Result<_, _>>()
        .with_context(name)
}
