//! Looks at the server while it is under load.

use std::time::{Duration, Instant};

use crate::{subject::Subject, table};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// Looks that are printed, at most.
const SHOWN: usize = 20;

/// Its resident memory in bytes, every second until `end`; an error when it has ended by itself.
pub(super) async fn until(end: Instant, subject: &mut Subject) -> anyhow::Result<Vec<u64>> {
    let mut resident = Vec::new();
    while Instant::now() < end {
        subject.check()?;
        resident.push(subject.usage()?.resident_bytes);
        tokio::time::sleep(EVERY).await;
    }
    subject.check()?;
    Ok(resident)
}

/// Prints how memory went.
pub(super) fn print(resident: &[u64]) {
    let step = resident.len().div_ceil(SHOWN).max(1);
    let shown: Vec<String> = resident
        .iter()
        .step_by(step)
        .map(|bytes| (bytes >> 20).to_string())
        .collect();
    table::say(&format!(
        "resident MiB, every {step} s: {}",
        shown.join(" ")
    ));
}
