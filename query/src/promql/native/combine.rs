//! Sums and differences of histograms.

use demarc_store::CounterReset;

use super::{Buckets, Histogram};

/// What was odd when two histograms were put together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    /// One follows a counter reset, the other does not.
    pub(crate) resets_collide: bool,
    /// Custom bounds differed.
    pub(crate) bounds_differ: bool,
}

impl Histogram {
    /// `self + other`; `None` when one has custom buckets and the other exponential ones.
    pub(crate) fn plus(&self, other: &Self) -> Option<(Self, Notes)> {
        self.combined(other, |a, b| a + b)
    }

    /// `self - other`, which is a gauge's value.
    pub(crate) fn minus(&self, other: &Self) -> Option<(Self, Notes)> {
        let (mut difference, notes) = self.combined(other, |a, b| a - b)?;
        difference.reset = CounterReset::Gauge;
        Some((difference, notes))
    }

    fn combined(&self, other: &Self, op: impl Fn(f64, f64) -> f64) -> Option<(Self, Notes)> {
        let (mut a, mut b) = (self.clone(), other.clone());
        let bounds_differ = a.same_layout(&mut b)?;
        let (reset, resets_collide) = joined_reset(a.reset, b.reset);
        a.reset = reset;
        a.zero_count = op(a.zero_count, b.zero_count);
        a.count = op(a.count, b.count);
        a.sum = op(a.sum, b.sum);
        a.positive.merge(&b.positive, &op);
        a.negative.merge(&b.negative, &op);
        let notes = Notes {
            resets_collide,
            bounds_differ,
        };
        Some((a, notes))
    }
}

impl Buckets {
    fn merge(&mut self, other: &Self, op: &impl Fn(f64, f64) -> f64) {
        if other.is_empty() {
            return;
        }
        self.cover(other.offset, other.end());
        for (index, count) in other.iter() {
            let at = (index - self.offset) as usize;
            self.counts[at] = op(self.counts[at], count);
        }
    }
}

/// What is known of resets of a sum, and whether what is known of the parts collides.
fn joined_reset(a: CounterReset, b: CounterReset) -> (CounterReset, bool) {
    use CounterReset::{Gauge, Unknown};
    match (a, b) {
        (a, b) if a == b => (a, false),
        (Gauge, _) | (_, Gauge) => (Gauge, false),
        (Unknown, _) | (_, Unknown) => (Unknown, false),
        _ => (Unknown, true),
    }
}

/// A sum of many histograms that keeps what rounding would lose.
#[derive(Clone, Debug)]
pub(crate) struct HistogramSum {
    total: Histogram,
    /// What rounding lost, in the same buckets.
    lost: Histogram,
    notes: Notes,
    seen: [bool; 2],
}

impl HistogramSum {
    pub(crate) fn new(first: &Histogram) -> Self {
        let mut sum = Self {
            total: first.clone(),
            lost: Histogram {
                zero_threshold: first.zero_threshold,
                ..Histogram::empty_like(first)
            },
            notes: Notes::default(),
            seen: [false; 2],
        };
        sum.see(first.reset);
        sum
    }

    /// A direct collision counts even when a histogram of which nothing is known stands between.
    fn see(&mut self, reset: CounterReset) {
        match reset {
            CounterReset::Reset => self.seen[0] = true,
            CounterReset::NotReset => self.seen[1] = true,
            CounterReset::Unknown | CounterReset::Gauge => {}
        }
        self.notes.resets_collide |= self.seen == [true; 2];
    }

    /// Adds one; `false` when one has custom buckets and the other exponential ones.
    pub(crate) fn add(&mut self, other: &Histogram) -> bool {
        let mut other = other.clone();
        let reset = other.reset;
        let Some(bounds_differ) = self.total.same_layout(&mut other) else {
            return false;
        };
        // What was lost follows the total into its buckets.
        let _ = self.lost.same_layout(&mut self.total.clone());
        self.notes.bounds_differ |= bounds_differ;
        self.see(reset);
        self.total.reset = joined_reset(self.total.reset, reset).0;
        let (total, lost) = (&mut self.total, &mut self.lost);
        add(&mut total.count, &mut lost.count, other.count);
        add(&mut total.sum, &mut lost.sum, other.sum);
        add(
            &mut total.zero_count,
            &mut lost.zero_count,
            other.zero_count,
        );
        add_buckets(&mut total.positive, &mut lost.positive, &other.positive);
        add_buckets(&mut total.negative, &mut lost.negative, &other.negative);
        true
    }

    /// The sum, and what was odd about it.
    pub(crate) fn total(self) -> (Histogram, Notes) {
        let sum = self.total.combined(&self.lost, |total, lost| {
            if total.is_finite() {
                total + lost
            } else {
                total
            }
        });
        let mut total = sum.map_or(self.total.clone(), |(total, _)| total);
        total.reset = self.total.reset;
        (total, self.notes)
    }
}

fn add(total: &mut f64, lost: &mut f64, value: f64) {
    let sum = *total + value;
    if sum.is_infinite() {
        *lost = 0.0;
    } else if total.abs() >= value.abs() {
        *lost += (*total - sum) + value;
    } else {
        *lost += (value - sum) + *total;
    }
    *total = sum;
}

fn add_buckets(total: &mut Buckets, lost: &mut Buckets, other: &Buckets) {
    if other.is_empty() {
        return;
    }
    total.cover(other.offset, other.end());
    lost.cover(total.offset, total.end());
    for (index, count) in other.iter() {
        let at = (index - total.offset) as usize;
        let lost_at = (index - lost.offset) as usize;
        add(&mut total.counts[at], &mut lost.counts[lost_at], count);
    }
}
