//! Classic histograms: series with a bucket's upper bound in the label `le`.
//!
//! Source: Prometheus 3.14, "Querying: functions", `histogram_quantile()`, `histogram_fraction()`.

/// Counts that differ by less than this share are the same count.
const TOLERANCE: f64 = 1e-12;

/// Upper bound and cumulative count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub(super) upper: f64,
    pub(super) count: f64,
}

/// The buckets of one histogram: ascending, the last one without end, counts never falling.
#[derive(Clone, Debug)]
pub(super) struct ClassicHistogram {
    bounds: Vec<Bound>,
    /// Whether counts fell by more than rounding explains.
    pub(super) was_forced: bool,
}

impl ClassicHistogram {
    /// `None` when the last bucket has an end, or there are fewer than two.
    pub(super) fn new(mut bounds: Vec<Bound>) -> Option<Self> {
        bounds.sort_by(|a, b| a.upper.total_cmp(&b.upper));
        if bounds.last()?.upper != f64::INFINITY {
            return None;
        }
        bounds.dedup_by(|bound, last| {
            let is_same = last.upper == bound.upper;
            if is_same {
                last.count += bound.count;
            }
            is_same
        });
        let was_forced = force_rising(&mut bounds);
        (bounds.len() >= 2).then_some(Self { bounds, was_forced })
    }

    fn total(&self) -> f64 {
        self.bounds.last().map_or(0.0, |last| last.count)
    }

    /// The value below which the share `q` of observations is.
    pub(super) fn quantile(&self, q: f64) -> f64 {
        let observations = self.total();
        if observations == 0.0 || q.is_nan() {
            return f64::NAN;
        }
        let mut rank = q * observations;
        let last = self.bounds.len() - 1;
        let at = self.bounds[..last].partition_point(|bound| bound.count < rank);
        if at == last {
            return self.bounds[last - 1].upper;
        }
        let Bound { upper, mut count } = self.bounds[at];
        if at == 0 && upper <= 0.0 {
            return upper;
        }
        let mut lower = 0.0;
        if at > 0 {
            lower = self.bounds[at - 1].upper;
            count -= self.bounds[at - 1].count;
            rank -= self.bounds[at - 1].count;
        }
        lower + (upper - lower) * (rank / count)
    }

    /// The share of observations between two values.
    pub(super) fn fraction(&self, lower: f64, upper: f64) -> f64 {
        let total = self.total();
        if total == 0.0 || lower.is_nan() || upper.is_nan() {
            return f64::NAN;
        }
        if lower >= upper {
            return 0.0;
        }
        (self.rank(upper).min(total) - self.rank(lower).min(total)) / total
    }

    /// How many observations are below `value`; infinite when all buckets are.
    fn rank(&self, value: f64) -> f64 {
        let mut rank = 0.0;
        let mut lower = f64::NEG_INFINITY;
        for Bound { upper, count } in &self.bounds {
            if lower == f64::NEG_INFINITY && *upper > 0.0 {
                lower = 0.0;
            }
            if lower >= value {
                return rank;
            }
            if *upper > value {
                if lower == f64::NEG_INFINITY {
                    return *count;
                }
                return rank + (count - rank) * (value - lower) / (upper - lower);
            }
            rank = *count;
            lower = *upper;
        }
        f64::INFINITY
    }
}

/// Lifts counts that are lower than one before them; whether any fell by more than rounding explains.
fn force_rising(bounds: &mut [Bound]) -> bool {
    let mut was_forced = false;
    let mut before = bounds.first().map_or(0.0, |bound| bound.count);
    for bound in bounds.iter_mut().skip(1) {
        if is_almost(before, bound.count) {
            bound.count = before;
        } else if bound.count < before {
            bound.count = before;
            was_forced = true;
        } else {
            before = bound.count;
        }
    }
    was_forced
}

fn is_almost(a: f64, b: f64) -> bool {
    if a == b {
        return true;
    }
    let difference = (a - b).abs();
    let sum = a.abs() + b.abs();
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}

/// The bound that a label `le` names.
pub(super) fn bound(text: &str) -> Option<f64> {
    match text.trim_start_matches('+').to_ascii_lowercase().as_str() {
        "inf" | "infinity" => Some(f64::INFINITY),
        "" | "nan" => None,
        plain => plain.parse().ok(),
    }
}
