//! Old samples in windows: of each series what is needed to answer for whole windows as if every sample was there still.

mod batch;
mod join;
mod stream;

use crate::Table;

pub(crate) use self::{
    join::{Joined, written},
    stream::{Downsampled, batches},
};

/// The bits of the NaN that says "this series ended". Source: Prometheus, `model/value`.
const STALE_MARKER: u64 = 0x7ff0_0000_0000_0002;

/// How long windows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resolution {
    /// Five minutes.
    FiveMinutes,
    /// An hour.
    OneHour,
}

impl Resolution {
    /// All of them, the longest first.
    pub const ALL: [Self; 2] = [Self::OneHour, Self::FiveMinutes];

    /// The length of a window in milliseconds. Windows end at its multiples since the epoch, inclusive.
    pub fn millis(self) -> i64 {
        match self {
            Self::FiveMinutes => 300_000,
            Self::OneHour => 3_600_000,
        }
    }

    /// The table of such windows.
    pub fn table(self) -> Table {
        match self {
            Self::FiveMinutes => Table::Samples5m,
            Self::OneHour => Table::Samples1h,
        }
    }
}

/// One sample at the edge of a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Edge {
    /// Its time, in milliseconds.
    pub time: i64,
    /// Its value.
    pub value: f64,
    /// When it began to count, in milliseconds; 0 where that is not known.
    pub start: i64,
}

/// The samples of one series in one window, or in the part of it that lies on one UTC day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// The last sample, which may be the marker that the series has ended.
    pub end: Edge,
    /// How many samples there are; markers are left out here and below. 0 if there are only markers.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The least of them; NaN only if all are.
    pub min: f64,
    /// The greatest of them; NaN only if all are.
    pub max: f64,
    /// The first of them.
    pub first: Edge,
    /// The last of them.
    pub last: Edge,
    /// The values that a counter had before each reset within the window, added up: `last - first + resets` is its increase.
    pub resets: f64,
}

impl Window {
    /// That one sample.
    pub fn of(sample: Edge) -> Self {
        let is_marker = sample.value.to_bits() == STALE_MARKER;
        Self {
            end: sample,
            count: u64::from(!is_marker),
            sum: if is_marker { 0.0 } else { sample.value },
            min: sample.value,
            max: sample.value,
            first: sample,
            last: sample,
            resets: 0.0,
        }
    }

    /// With the samples of `later`, which come after those of `self`.
    pub fn extend(&mut self, later: &Self) {
        if later.count == 0 {
            self.end = later.end;
            return;
        }
        if self.count == 0 {
            *self = *later;
            return;
        }
        if is_reset(self.last, later.first) {
            self.resets += self.last.value;
        }
        self.resets += later.resets;
        self.end = later.end;
        self.last = later.last;
        self.count += later.count;
        self.sum += later.sum;
        if later.min < self.min || self.min.is_nan() {
            self.min = later.min;
        }
        if later.max > self.max || self.max.is_nan() {
            self.max = later.max;
        }
    }

    /// Which of the windows of `millis` milliseconds it is, counted since the epoch.
    fn number(&self, millis: i64) -> i64 {
        (self.end.time - 1).div_euclid(millis)
    }

    /// `self`, of the samples that there are now, with what `before` knows of the same window from samples that are gone. Resets
    /// between the ones and the others are not seen where their times overlap.
    fn with_known(self, before: &Self) -> Self {
        if self.holds(before) {
            return self;
        }
        let (mut earlier, later) = if self.first.time < before.first.time {
            (self, *before)
        } else {
            (*before, self)
        };
        let (end, last) = (
            self.latest_of(before, |one| one.end),
            self.latest_of(before, |one| one.last),
        );
        if earlier.count > 0 && later.count > 0 && later.first.time <= earlier.last.time {
            let resets = earlier.resets + later.resets;
            earlier.extend(&later);
            return Self {
                end,
                last,
                resets,
                ..earlier
            };
        }
        earlier.extend(&later);
        Self { end, ..earlier }
    }

    /// Whether the samples of `before` are all among those of `self`, as far as can be told: more samples never make fewer, and
    /// those at the edges are among them.
    fn holds(&self, before: &Self) -> bool {
        self.count >= before.count
            && self.first.time <= before.first.time
            && self.last.time >= before.last.time
            && self.end.time >= before.end.time
    }

    fn latest_of(&self, other: &Self, edge: impl Fn(&Self) -> Edge) -> Edge {
        let (own, others) = (edge(self), edge(other));
        if own.time >= others.time { own } else { others }
    }
}

/// Whether a counter began anew between two samples.
pub fn is_reset(before: Edge, now: Edge) -> bool {
    now.value < before.value || is_restarted((before.start, before.time), (now.start, now.time))
}

/// Whether start times say that counting began anew between two samples, each given by its start and its own time. A start that
/// equals the time of the sample before says so only if that sample has an earlier start of its own: else it stands for
/// "unknown" (OpenTelemetry's convention).
pub fn is_restarted(before: (i64, i64), now: (i64, i64)) -> bool {
    let ((before_start, before_time), (start, time)) = (before, now);
    if start == 0 || start > time {
        return false;
    }
    start > before_time || (start == before_time && before_start != 0 && before_start < before_time)
}

/// Puts samples of one series, which come by time, into windows.
#[derive(Debug)]
pub struct Windows {
    millis: i64,
    /// The one that is being filled, and what rounding has lost of its sum.
    open: Option<(Window, f64)>,
}

impl Windows {
    /// Nothing yet, for windows of `millis` milliseconds.
    pub fn new(millis: i64) -> Self {
        Self { millis, open: None }
    }

    /// Adds a sample; returns the window that ended before it.
    pub fn push(&mut self, sample: Edge) -> Option<Window> {
        let one = Window::of(sample);
        match &mut self.open {
            Some((open, lost)) if open.number(self.millis) == one.number(self.millis) => {
                let before = open.sum;
                open.extend(&one);
                if one.count > 0 && open.count > 1 {
                    *lost += lost_in(before, sample.value, open.sum);
                }
                None
            }
            _ => {
                let done = self.finish();
                self.open = Some((one, 0.0));
                done
            }
        }
    }

    /// The window that is being filled.
    pub fn finish(&mut self) -> Option<Window> {
        let (mut window, lost) = self.open.take()?;
        if window.sum.is_finite() {
            window.sum += lost;
        }
        Some(window)
    }
}

/// What rounding loses when `value` is added to `sum` (Neumaier).
fn lost_in(sum: f64, value: f64, total: f64) -> f64 {
    if total.is_infinite() {
        0.0
    } else if sum.abs() >= value.abs() {
        (sum - total) + value
    } else {
        (value - total) + sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(samples: &[(i64, f64)]) -> Vec<Window> {
        let mut windows = Windows::new(10);
        let mut done: Vec<Window> = samples
            .iter()
            .filter_map(|(time, value)| {
                windows.push(Edge {
                    time: *time,
                    value: *value,
                    start: 0,
                })
            })
            .collect();
        done.extend(windows.finish());
        done
    }

    #[test]
    fn a_window_ends_at_its_multiple_inclusive() {
        let found = windows(&[(1, 1.0), (10, 5.0), (11, 2.0), (20, 7.0), (21, 1.0)]);
        let shown: Vec<_> = found
            .iter()
            .map(|one| (one.count, one.sum, one.min, one.max, one.resets))
            .collect();
        assert_eq!(
            shown,
            [
                (2, 6.0, 1.0, 5.0, 0.0),
                (2, 9.0, 2.0, 7.0, 0.0),
                (1, 1.0, 1.0, 1.0, 0.0)
            ]
        );
    }

    #[test]
    fn markers_end_a_series_and_count_for_nothing() {
        let marker = f64::from_bits(STALE_MARKER);
        let found = windows(&[(1, 3.0), (2, marker), (11, marker), (21, marker), (22, 4.0)]);
        assert_eq!(found[0].end.value.to_bits(), STALE_MARKER);
        assert_eq!((found[0].count, found[0].last.value), (1, 3.0));
        assert_eq!(found[1].count, 0);
        assert_eq!(
            (found[2].count, found[2].sum, found[2].first.time),
            (1, 4.0, 22)
        );
    }

    #[test]
    fn what_is_counted_anew_counts_where_it_holds_what_was_known() {
        let before = windows(&[(2, 3.0), (6, 8.0)])[0];
        let now = windows(&[(2, 5.0), (4, 1.0), (6, 8.0)])[0];
        assert_eq!(now.with_known(&before), now);
        let marker = windows(&[(2, f64::from_bits(STALE_MARKER))])[0];
        let later = windows(&[(4, 1.0)])[0];
        assert_eq!(later.with_known(&marker), later);
    }

    #[test]
    fn what_only_the_written_window_knows_stays() {
        let before = windows(&[(2, 3.0), (4, 1.0), (6, 8.0)])[0];
        let after = windows(&[(7, 2.0), (9, 4.0)])[0];
        let all = windows(&[(2, 3.0), (4, 1.0), (6, 8.0), (7, 2.0), (9, 4.0)])[0];
        assert_eq!(after.with_known(&before), all);
        let between = windows(&[(5, 20.0)])[0].with_known(&before);
        assert_eq!((between.count, between.sum, between.max), (4, 32.0, 20.0));
        assert_eq!(
            (between.first, between.last, between.end),
            (before.first, before.last, before.end)
        );
        assert_eq!(between.resets, 3.0);
        let marked = windows(&[(9, f64::from_bits(STALE_MARKER))])[0].with_known(&before);
        assert_eq!(
            (marked.count, marked.last, marked.end.time),
            (3, before.last, 9)
        );
    }

    #[test]
    fn what_a_counter_had_before_a_reset_is_kept() {
        let found = windows(&[(1, 3.0), (2, 8.0), (3, 1.0), (4, 2.0)]);
        let one = found[0];
        assert_eq!(one.last.value - one.first.value + one.resets, 7.0);
    }
}
