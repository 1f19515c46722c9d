//! How much a signal changed: two segments of a series, compared robustly.

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
    /// The value that only one in twenty exceeded before.
    pub before_high: Option<f64>,
    /// Mean of the highest third during.
    pub during_high: Option<f64>,
    /// Number of values before.
    pub before_count: u32,
    /// Number of values during.
    pub during_count: u32,
}

/// One value of a series.
pub(crate) type Point = (Nanos, f64);

impl Shift {
    /// Compares values before with values during.
    pub(crate) fn between(mut before: Vec<f64>, mut during: Vec<f64>) -> Self {
        before.retain(|value| value.is_finite());
        during.retain(|value| value.is_finite());
        let middle = median(&before);
        let spread = middle.map_or(0.0, |middle| {
            let distances: Vec<f64> = before.iter().map(|value| (value - middle).abs()).collect();
            1.4826 * median(&distances).unwrap_or(0.0)
        });
        Self {
            before: middle.map(kept),
            during: median(&during).map(kept),
            spread: kept(spread),
            before_high: quantile(&before, 0.95).map(kept),
            during_high: mean_of_highest_third(during.clone()).map(kept),
            before_count: u32::try_from(before.len()).unwrap_or(u32::MAX),
            during_count: u32::try_from(during.len()).unwrap_or(u32::MAX),
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
pub(crate) fn kept(value: f64) -> f64 {
    format!("{value:.8e}").parse().unwrap_or(value)
}

/// The middle value; the mean of both middle values when there is an even number of them.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// The value below which `share` of the values lie, between two of them by their distance; `None` without values.
///
/// Source: Hyndman, Fan, "Sample quantiles in statistical packages", The American Statistician 50 (1996), type 7.
pub(crate) fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = share.clamp(0.0, 1.0) * sorted.len().checked_sub(1)? as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    Some(sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64))
}

fn mean_of_highest_third(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(|a, b| b.total_cmp(a));
    values.truncate(values.len().div_ceil(3));
    let count = values.len().max(1) as f64;
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / count)
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

/// Whether the means before and from a time on differ by more than chance: by four standard errors, upwards, with at least two points
/// on either side, and by a fifth of what it was.
///
/// Source: Welch, "The generalization of 'Student's' problem", Biometrika 34 (1947).
pub(crate) fn steps_up_clearly(points: &[Point], at: Nanos) -> bool {
    let (before, after) = points.split_at(points.partition_point(|(time, _)| *time < at));
    if before.len() < 2 || after.len() < 2 {
        return false;
    }
    let (mean_before, error_before) = mean_and_error(before);
    let (mean_after, error_after) = mean_and_error(after);
    let variance_of_mean = |error: f64, count: usize| error / ((count - 1) * count) as f64;
    let deviation = (variance_of_mean(error_before, before.len())
        + variance_of_mean(error_after, after.len()))
    .sqrt();
    let rise = mean_after - mean_before;
    rise > 4.0 * deviation && rise > 0.2 * mean_before.abs()
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
    fn a_step_is_clear_where_it_exceeds_the_noise() {
        let step = points(&[1.0, 1.2, 0.9, 1.1, 5.0, 5.2, 4.9]);
        assert!(steps_up_clearly(&step, Nanos(4)));
        let noise = points(&[1.0, 1.4, 0.7, 1.3, 1.2, 0.9, 1.5]);
        assert!(!steps_up_clearly(&noise, Nanos(4)));
        assert!(!steps_up_clearly(&step, Nanos(6)), "one point is no mean");
    }

    #[test]
    fn one_wild_value_before_does_not_hide_a_rise() {
        let before = vec![1.0, 1.1, 9.0, 1.0, 1.1];
        let shift = Shift::between(before.clone(), vec![4.0, 4.2]);
        assert!(shift.rose_by(0.5), "{shift:?}");
        let quiet = Shift::between(before, vec![1.1, 1.0]);
        assert!(!quiet.rose_by(0.05), "{quiet:?}");
    }

    #[test]
    fn quantiles_lie_between_values_by_their_distance() {
        assert_eq!(quantile(&[4.0, 1.0, 3.0, 2.0], 0.5), Some(2.5));
        assert_eq!(quantile(&[10.0, 20.0], 0.95), Some(19.5));
        assert_eq!(quantile(&[], 0.5), None);
    }
}
