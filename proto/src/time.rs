//! Points in time, ranges of them, and where they come from.

use std::{
    fmt,
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Nanoseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub i64);

/// Milliseconds since the Unix epoch, UTC: the resolution of samples, as in Prometheus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub i64);

impl Nanos {
    /// The millisecond that contains this instant (rounds towards the past).
    pub fn to_millis(self) -> Millis {
        Millis(self.0.div_euclid(1_000_000))
    }

    /// Seconds since the epoch, with a fraction.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// The nearest nanosecond to `seconds` since the epoch; saturates at the ends of the range, NaN becomes 0.
    pub fn from_secs_f64(seconds: f64) -> Self {
        Self((seconds * 1e9).round() as i64)
    }

    /// This instant moved into the future; saturates.
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(saturating_nanos(by)))
    }

    /// This instant moved into the past; saturates.
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(saturating_nanos(by)))
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0).max(0).unsigned_abs())
    }
}

impl Millis {
    /// The first nanosecond of this millisecond; saturates.
    pub fn to_nanos(self) -> Nanos {
        Nanos(self.0.saturating_mul(1_000_000))
    }
}

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

fn saturating_nanos(by: Duration) -> i64 {
    i64::try_from(by.as_nanos()).unwrap_or(i64::MAX)
}

/// Half-open `[start, end)`; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeRange {
    start: Nanos,
    end: Nanos,
}

impl TimeRange {
    /// `None` unless `start < end`.
    pub fn new(start: Nanos, end: Nanos) -> Option<Self> {
        if start < end {
            Some(Self { start, end })
        } else {
            None
        }
    }

    /// The first instant inside.
    pub fn start(self) -> Nanos {
        self.start
    }

    /// The first instant after.
    pub fn end(self) -> Nanos {
        self.end
    }

    /// Whether `at` lies inside.
    pub fn contains(self, at: Nanos) -> bool {
        self.start <= at && at < self.end
    }

    /// The length; at least one nanosecond.
    pub fn duration(self) -> Duration {
        self.end.since(self.start)
    }
}

/// Where "now" comes from. Everything that needs it takes one, so that tests decide what time it is.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The current time.
    fn now(&self) -> Nanos;
}

/// The machine's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Nanos {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Nanos(saturating_nanos(since_epoch))
    }
}

/// A clock that stands still until it is told otherwise.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `at`.
    pub fn new(at: Nanos) -> Self {
        Self(AtomicI64::new(at.0))
    }

    /// Shows `at` from now on.
    pub fn set(&self, at: Nanos) {
        self.0.store(at.0, Ordering::SeqCst);
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(saturating_nanos(by), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Nanos {
        Nanos(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_or_reversed_range_does_not_exist() {
        assert!(TimeRange::new(Nanos(5), Nanos(5)).is_none());
        assert!(TimeRange::new(Nanos(6), Nanos(5)).is_none());
    }

    #[test]
    fn a_range_contains_its_start_and_not_its_end() {
        let range = TimeRange::new(Nanos(5), Nanos(7)).unwrap();
        assert!(range.contains(Nanos(5)) && range.contains(Nanos(6)) && !range.contains(Nanos(7)));
    }

    #[test]
    fn millis_round_towards_the_past_before_the_epoch_too() {
        assert_eq!(Nanos(-1).to_millis(), Millis(-1));
        assert_eq!(Nanos(1_999_999).to_millis(), Millis(1));
    }
}
