//! An inventory from elsewhere (a CMDB): entities and relations out of CSV, YAML or JSON, with a dry run.
//!
//! text -> `read` (entries with their lines) -> `entry` (checked) -> `plan` (what would be added, changed, ended, refused) -> state
//!
//! See `docs/topology.md` for the files.

mod entry;
mod plan;
mod read;

use std::fmt;

use demarc_proto::{Nanos, TenantId};

pub(crate) use entry::Importer;
pub(crate) use plan::{Ground, claim, plan};
pub(crate) use read::read;

/// How an inventory is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportFormat {
    /// One table; a row with `from` and `to` is a relation.
    Csv,
    /// A document with `entities` and `relations`; JSON is YAML as well.
    Yaml,
}

/// What becomes of what the same source told before and does not tell now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImportMode {
    /// It stays.
    #[default]
    Merge,
    /// It ends now: the file is the whole inventory.
    Replace,
}

/// Whether anything is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportRun {
    /// Only says what would be done.
    Dry,
    /// Does it.
    Real,
}

/// An inventory and what to do with it.
#[derive(Clone, Debug)]
pub struct ImportRequest<'a> {
    /// Who imports. Only the operator may tell of shared infrastructure, and of others' entities.
    pub tenant: TenantId,
    /// The inventory's name: imports of other names are left alone.
    pub source: String,
    /// How it is written.
    pub format: ImportFormat,
    /// What becomes of what it does not tell any more.
    pub mode: ImportMode,
    /// Whether anything is done.
    pub run: ImportRun,
    /// The file.
    pub text: &'a str,
}

/// What an import did, or would do; entities and relations in words, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// What was not known from this source.
    pub added: Vec<String>,
    /// What this source told otherwise before, each with what is different.
    pub changed: Vec<String>,
    /// What this source does not tell any more.
    pub ended: Vec<String>,
    /// How many facts are as they were.
    pub unchanged: usize,
    /// What was not taken.
    pub refused: Vec<RefusedLine>,
}

/// A line of an inventory that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RefusedLine {
    /// Counted from 1.
    pub line: u64,
    /// The field, its value, and what would be right.
    pub reason: String,
}

impl fmt::Display for RefusedLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

/// Seconds since the Unix epoch with a fraction, or RFC 3339.
pub(crate) fn time(text: &str) -> Option<Nanos> {
    if let Ok(seconds) = text.parse::<f64>()
        && seconds.is_finite()
    {
        return Some(Nanos::from_secs_f64(seconds));
    }
    let at: jiff::Timestamp = text.parse().ok()?;
    i64::try_from(at.as_nanosecond()).map(Nanos).ok()
}
