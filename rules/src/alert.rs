//! The state machine of one alert.
//!
//! Source: Prometheus, "Alerting rules" (`for`, `keep_firing_for`).

use std::time::Duration;

use demarc_proto::Nanos;

/// What an active alert is in. An inactive one has no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertState {
    /// The condition holds, but not long enough.
    Pending {
        /// Since when.
        since: Nanos,
    },
    /// Somebody should act.
    Firing {
        /// Since when the condition holds.
        since: Nanos,
        /// When it began to fire.
        fired_at: Nanos,
    },
    /// The condition holds no longer, but the alert is kept firing.
    Lingering {
        /// Since when the condition held.
        since: Nanos,
        /// When it began to fire.
        fired_at: Nanos,
        /// Since when the condition does not hold.
        absent_since: Nanos,
    },
}

/// What the query said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It returned the alert's series.
    Holds,
    /// It did not.
    Absent,
}

/// How long a condition must hold, and how long it is remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// `for`
    pub hold: Duration,
    /// `keep_firing_for`
    pub keep: Duration,
}

impl AlertState {
    /// Whether somebody should act.
    pub fn is_firing(self) -> bool {
        !matches!(self, Self::Pending { .. })
    }

    /// Since when the condition holds, or held.
    pub fn since(self) -> Nanos {
        match self {
            Self::Pending { since }
            | Self::Firing { since, .. }
            | Self::Lingering { since, .. } => since,
        }
    }

    /// `pending` or `firing`, as in the label `alertstate`.
    pub fn as_str(self) -> &'static str {
        if self.is_firing() {
            "firing"
        } else {
            "pending"
        }
    }
}

/// The state after one evaluation; `None` is inactive.
pub fn step(
    state: Option<AlertState>,
    condition: Condition,
    now: Nanos,
    timing: Timing,
) -> Option<AlertState> {
    use AlertState::{Firing, Lingering, Pending};
    match (state, condition) {
        (None, Condition::Holds) => Some(pending_or_firing(now, now, timing)),
        (Some(Pending { since }), Condition::Holds) => Some(pending_or_firing(since, now, timing)),
        (Some(Firing { since, fired_at }), Condition::Holds)
        | (
            Some(Lingering {
                since, fired_at, ..
            }),
            Condition::Holds,
        ) => Some(Firing { since, fired_at }),
        (None | Some(Pending { .. }), Condition::Absent) => None,
        (Some(Firing { since, fired_at }), Condition::Absent) => lingering(
            Lingering {
                since,
                fired_at,
                absent_since: now,
            },
            now,
            timing,
        ),
        (Some(state @ Lingering { .. }), Condition::Absent) => lingering(state, now, timing),
    }
}

fn pending_or_firing(since: Nanos, now: Nanos, timing: Timing) -> AlertState {
    if now.since(since) >= timing.hold {
        AlertState::Firing {
            since,
            fired_at: now,
        }
    } else {
        AlertState::Pending { since }
    }
}

fn lingering(state: AlertState, now: Nanos, timing: Timing) -> Option<AlertState> {
    let AlertState::Lingering { absent_since, .. } = state else {
        return Some(state);
    };
    (!timing.keep.is_zero() && now.since(absent_since) < timing.keep).then_some(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(timing: Timing, conditions: &[(i64, Condition)]) -> Vec<&'static str> {
        let mut state = None;
        let mut seen = Vec::new();
        for (second, condition) in conditions {
            state = step(state, *condition, Nanos(second * 1_000_000_000), timing);
            seen.push(state.map_or("inactive", AlertState::as_str));
        }
        seen
    }

    #[test]
    fn it_fires_once_it_has_held_long_enough_and_ends_at_once() {
        use Condition::{Absent, Holds};
        let timing = Timing {
            hold: Duration::from_secs(10),
            keep: Duration::ZERO,
        };
        let seen = run(
            timing,
            &[
                (0, Holds),
                (5, Holds),
                (10, Holds),
                (15, Absent),
                (20, Holds),
            ],
        );
        assert_eq!(
            seen,
            ["pending", "pending", "firing", "inactive", "pending"]
        );
    }

    #[test]
    fn a_gap_while_pending_starts_the_count_anew() {
        use Condition::{Absent, Holds};
        let timing = Timing {
            hold: Duration::from_secs(10),
            keep: Duration::ZERO,
        };
        let seen = run(
            timing,
            &[
                (0, Holds),
                (5, Absent),
                (6, Holds),
                (12, Holds),
                (16, Holds),
            ],
        );
        assert_eq!(
            seen,
            ["pending", "inactive", "pending", "pending", "firing"]
        );
    }

    #[test]
    fn it_is_kept_firing_for_as_long_as_was_asked() {
        use Condition::{Absent, Holds};
        let timing = Timing {
            hold: Duration::ZERO,
            keep: Duration::from_secs(10),
        };
        let seen = run(
            timing,
            &[
                (0, Holds),
                (5, Absent),
                (9, Holds),
                (12, Absent),
                (21, Absent),
                (22, Absent),
            ],
        );
        assert_eq!(
            seen,
            ["firing", "firing", "firing", "firing", "firing", "inactive"]
        );
    }
}
