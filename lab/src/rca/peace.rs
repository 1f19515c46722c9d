//! Windows of fault-free time, asked about as if something had happened.

use crate::recording::{Recording, System, Telemetry, Unix};

/// Length of a window in nanoseconds.
const WINDOW_NS: i64 = 270_000_000_000;
/// What is left out of the history on either side of a window.
const GUARD_NS: i64 = 120_000_000_000;

/// One window with what it is compared with.
#[derive(Debug)]
pub(crate) struct Window {
    pub(crate) recording: Recording,
    pub(crate) system: System,
}

/// The map of calls of a case, as if it had been seen throughout the longest time of peace.
pub(crate) fn calls(system: &System, map: &Recording) -> Telemetry {
    longest(system).map_or_else(Telemetry::default, |(from, to)| map.calls_at(from, to))
}

fn longest(system: &System) -> Option<(Unix, Unix)> {
    let times = system.history.iter().copied();
    times.max_by_key(|(from, to)| to - from)
}

/// `count` windows spread evenly over the longest time of peace. `map`: a case of the system, for its entry.
pub(crate) fn windows(system: &System, map: &Recording, count: usize) -> Vec<Window> {
    let Some(longest) = longest(system) else {
        return Vec::new();
    };
    let interval = map.interval_ns;
    let length = WINDOW_NS.max(interval * 5);
    let (first, last) = (longest.0 + length, longest.1 - 2 * length);
    let step = ((last - first) / count.max(1) as i64).max(1);
    (0..count as i64)
        .map(|at| first + at * step)
        .take_while(|since| *since < last)
        .map(|since| {
            window(
                system,
                map,
                (since - since.rem_euclid(interval.max(1)), length),
            )
        })
        .collect()
}

fn window(system: &System, map: &Recording, (since, length): (Unix, i64)) -> Window {
    let until = since + length;
    let mut history = Vec::new();
    for (from, to) in &system.history {
        let before = (*from, (*to).min(since - GUARD_NS - length));
        let after = ((*from).max(until + GUARD_NS), *to);
        history.extend([before, after].into_iter().filter(|(from, to)| from < to));
    }
    Window {
        recording: Recording {
            telemetry: Telemetry::default(),
            since,
            until,
            ..map.clone()
        },
        system: System {
            telemetry: Telemetry::default(),
            history,
        },
    }
}
