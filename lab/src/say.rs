//! Standard output.

use std::io::Write;

use anyhow::Context;

/// Prints a line at once; a reader that went away is an error like any other.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .context("write to standard output")
}
