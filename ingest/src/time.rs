//! Which times are taken.

use std::time::Duration;

use demarc_proto::{Clock, Nanos};
use demarc_store::Kept;

use crate::{IngestConfig, receipt::Refusal};

/// The times that a row may have at this moment. One row outside refuses only itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    earliest: Nanos,
    /// The setting that says so.
    earliest_by: &'static str,
    latest: Nanos,
}

impl Bounds {
    /// What `config` allows at the time of `clock`, of rows that are `kept` so long: what would be deleted the next moment is not
    /// taken.
    pub(crate) fn now(config: &IngestConfig, kept: Option<Kept>, clock: &dyn Clock) -> Self {
        let now = clock.now();
        let earliest = now.minus(Duration::from_secs(config.max_age_seconds));
        let (earliest, earliest_by) = match kept {
            Some(kept) if kept.from > earliest => (kept.from, kept.by),
            _ => (earliest, "max_age_seconds"),
        };
        Self {
            earliest,
            earliest_by,
            latest: now.plus(Duration::from_secs(config.future_tolerance_seconds)),
        }
    }

    /// A time in nanoseconds that is set and within the bounds.
    pub(crate) fn check(self, field: &str, unix_nano: u64) -> Result<Nanos, Refusal> {
        if unix_nano == 0 {
            let sentence = format!("{field} 0: must be set");
            return Err(Refusal::new("no_time", sentence));
        }
        match i64::try_from(unix_nano) {
            Ok(at) if Nanos(at) > self.latest => Err(self.too_new(field, unix_nano)),
            Ok(at) if Nanos(at) < self.earliest => Err(self.too_old(field, at)),
            Ok(at) => Ok(Nanos(at)),
            Err(_) => Err(self.too_new(field, unix_nano)),
        }
    }

    /// A time in milliseconds that is within the bounds.
    pub(crate) fn check_millis(self, field: &str, at: i64) -> Result<(), Refusal> {
        if at > self.latest.to_millis().0 {
            let latest = self.latest.to_millis().0;
            let sentence =
                format!("{field} {at}: must not be after {latest} (future_tolerance_seconds)");
            return Err(Refusal::new("too_far_in_the_future", sentence));
        }
        if at < self.earliest.to_millis().0 {
            let earliest = self.earliest.to_millis().0;
            let by = self.earliest_by;
            let sentence = format!("{field} {at}: must not be before {earliest} ({by})");
            return Err(Refusal::new("too_old", sentence));
        }
        Ok(())
    }

    fn too_new(self, field: &str, at: u64) -> Refusal {
        let sentence = format!(
            "{field} {at}: must not be after {} (future_tolerance_seconds)",
            self.latest
        );
        Refusal::new("too_far_in_the_future", sentence)
    }

    fn too_old(self, field: &str, at: i64) -> Refusal {
        let sentence = format!(
            "{field} {at}: must not be before {} ({})",
            self.earliest, self.earliest_by
        );
        Refusal::new("too_old", sentence)
    }
}
