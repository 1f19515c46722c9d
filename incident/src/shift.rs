//! How much a signal changed: two segments of a series, compared robustly.

use std::time::Duration;

use demarc_proto::Nanos;

/// A series' values before and during a disturbance, summed up.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Shift {
    /// Median before; `None` when there is no value.
    pub before: Option<f64>,
    /// Median during; `None` when there is no value.
    pub during: Option<f64>,
    /// Spread before: 1.4826 times the median absolute deviation, which is the standard deviation of a normal distribution.
    pub spread: f64,
}

/// One value of a series.
pub(crate) type Point = (Nanos, f64);

impl Shift {
    /// Compares the points before `onset` with those after it.
    pub(crate) fn at(points: &[Point], onset: Nanos) -> Self {
        Self::around(points, onset, Duration::ZERO)
    }

    /// Compares points that are each a mean over the time `over` before them: those before `onset` with those whose time lies
    /// wholly after it, or by half where there is none of these yet.
    pub(crate) fn around(points: &[Point], onset: Nanos, over: Duration) -> Self {
        let of = |wanted: &dyn Fn(Nanos) -> bool| -> Vec<f64> {
            let side = points.iter().filter(|(at, _)| wanted(*at));
            side.map(|(_, value)| *value)
                .filter(|value| value.is_finite())
                .collect()
        };
        let before = of(&|at| at < onset);
        let mut during = of(&|at| at >= onset.plus(over));
        if during.is_empty() {
            during = of(&|at| at >= onset.plus(over / 2));
        }
        let middle = median(&before);
        let spread = middle.map_or(0.0, |middle| {
            let distances: Vec<f64> = before.iter().map(|value| (value - middle).abs()).collect();
            1.4826 * median(&distances).unwrap_or(0.0)
        });
        Self {
            before: middle.map(kept),
            during: median(&during).map(kept),
            spread: kept(spread),
        }
    }

    /// During minus before; what was not there before counts from zero.
    pub fn delta(&self) -> f64 {
        self.during.unwrap_or(0.0) - self.before.unwrap_or(0.0)
    }

    /// During over before; `None` when either is missing or before is zero.
    pub fn ratio(&self) -> Option<f64> {
        let before = self.before.filter(|before| *before > 0.0)?;
        Some(self.during? / before)
    }

    /// Whether the rise is at least `floor`, and more than chance: three spreads, and a fifth of what it was.
    pub fn rose_by(&self, floor: f64) -> bool {
        let usual = self.before.unwrap_or(0.0).abs();
        self.during.is_some() && self.delta() >= floor.max(3.0 * self.spread).max(0.2 * usual)
    }
}

/// Nine significant digits: as many as survive being written to a document and read back, so that kept evidence leads to the same
/// verdict again.
fn kept(value: f64) -> f64 {
    format!("{value:.8e}").parse().unwrap_or(value)
}

/// The middle value; the mean of both middle values when there is an even number of them.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = sorted.len() / 2;
    Some(if sorted.len() % 2 == 1 {
        sorted[at]
    } else {
        (sorted[at - 1] + sorted[at]) / 2.0
    })
}

/// The time at which a series steps up most clearly: the split into two means with the least squared error, searched in
/// `[earliest, latest]`. `None` when no split has its later mean above its earlier one.
///
/// Source: binary segmentation with squared loss, as in Truong et al., "Selective review of offline change point detection
/// methods", Signal Processing 167 (2020).
pub(crate) fn change_point(points: &[Point], earliest: Nanos, latest: Nanos) -> Option<Nanos> {
    let mut best: Option<(f64, Nanos)> = None;
    for at in 2..points.len() {
        let time = points[at].0;
        if time < earliest || time > latest {
            continue;
        }
        let (before, after) = points.split_at(at);
        let (mean_before, error_before) = mean_and_error(before);
        let (mean_after, error_after) = mean_and_error(after);
        let error = error_before + error_after;
        if mean_after > mean_before && best.is_none_or(|(least, _)| error < least) {
            best = Some((error, time));
        }
    }
    best.map(|(_, time)| time)
}

fn mean_and_error(points: &[Point]) -> (f64, f64) {
    let count = points.len().max(1) as f64;
    let mean = points.iter().map(|(_, value)| value).sum::<f64>() / count;
    (
        mean,
        points.iter().map(|(_, value)| (value - mean).powi(2)).sum(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(values: &[f64]) -> Vec<Point> {
        values
            .iter()
            .enumerate()
            .map(|(at, value)| (Nanos(at as i64), *value))
            .collect()
    }

    #[test]
    fn a_step_is_found_where_it_is() {
        let series = points(&[1.0, 1.2, 0.9, 1.1, 5.0, 5.2, 4.9]);
        assert_eq!(change_point(&series, Nanos(0), Nanos(9)), Some(Nanos(4)));
    }

    #[test]
    fn a_fall_is_no_onset() {
        assert_eq!(
            change_point(&points(&[5.0, 5.0, 1.0, 1.0]), Nanos(0), Nanos(9)),
            None
        );
    }

    #[test]
    fn one_wild_value_before_does_not_hide_a_rise() {
        let shift = Shift::at(&points(&[1.0, 1.1, 9.0, 1.0, 1.1, 4.0, 4.2]), Nanos(5));
        assert!(shift.rose_by(0.5), "{shift:?}");
        let quiet = Shift::at(&points(&[1.0, 1.1, 9.0, 1.0, 1.1, 1.1, 1.0]), Nanos(5));
        assert!(!quiet.rose_by(0.05), "{quiet:?}");
    }
}
