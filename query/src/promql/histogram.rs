//! Quantiles and fractions of classic histograms: series with a bucket's upper bound in the label `le`.
//!
//! Source: Prometheus, "Querying: functions", `histogram_quantile()`.

use std::collections::BTreeMap;

use demarc_proto::Labels;
use promql_parser::parser::Expr;

use super::{
    eval::{Eval, Outcome},
    series::{Series, Steps, merge_same, without_name},
};
use crate::QueryError;

/// Upper bound and cumulative count.
type Bucket = (f64, f64);

impl Eval<'_> {
    pub(super) async fn histogram_quantile(
        &self,
        arguments: &[&Expr],
        steps: Steps,
    ) -> Result<Outcome, QueryError> {
        let q = self.scalar(arguments[0], steps).await?;
        if let Some(odd) = q.iter().find(|q| !(0.0..=1.0).contains(*q)) {
            self.warn(format!(
                "PromQL warning: quantile value should be between 0 and 1, got {odd}"
            ));
        }
        let series = self.vector(arguments[1], steps).await?;
        per_histogram(series, steps, |step, buckets| {
            Some(quantile(q[step], buckets))
        })
    }

    pub(super) async fn histogram_fraction(
        &self,
        arguments: &[&Expr],
        steps: Steps,
    ) -> Result<Outcome, QueryError> {
        let lower = self.scalar(arguments[0], steps).await?;
        let upper = self.scalar(arguments[1], steps).await?;
        let series = self.vector(arguments[2], steps).await?;
        per_histogram(series, steps, |step, buckets| {
            let total = buckets.last()?.1;
            let (low, high) = (lower[step], upper[step]);
            if low.is_nan() || high.is_nan() || total == 0.0 {
                return Some(f64::NAN);
            }
            if low >= high {
                return Some(0.0);
            }
            Some((rank(high, &buckets) - rank(low, &buckets)) / total)
        })
    }
}

/// The bound of a bucket, and its count at each step.
type BoundedSeries = (f64, Vec<Option<f64>>);

/// Puts the buckets of each histogram together and applies `function` to them at each step.
fn per_histogram(
    series: Vec<Series>,
    steps: Steps,
    function: impl Fn(usize, Vec<Bucket>) -> Option<f64>,
) -> Result<Outcome, QueryError> {
    let mut histograms: BTreeMap<Labels, Vec<BoundedSeries>> = BTreeMap::new();
    for one in series {
        let Some(bound) = bound(one.labels.get("le")) else {
            continue;
        };
        let mut labels = without_name(&one.labels);
        labels.set("le", "");
        histograms
            .entry(labels)
            .or_default()
            .push((bound, one.values));
    }
    let mut found = Vec::new();
    for (labels, buckets) in histograms {
        let at = |step: usize| {
            let present = |(bound, values): &(f64, Vec<Option<f64>>)| Some((*bound, values[step]?));
            let buckets: Vec<Bucket> = buckets.iter().filter_map(present).collect();
            if buckets.is_empty() {
                None
            } else {
                function(step, tidy(buckets))
            }
        };
        let values = (0..steps.count).map(at).collect();
        found.push(Series { labels, values });
    }
    merge_same(found).map(Outcome::Vector)
}

fn bound(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        text => text.parse().ok(),
    }
}

/// Sorted by bound, each bound once, counts never falling.
fn tidy(mut buckets: Vec<Bucket>) -> Vec<Bucket> {
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut tidy: Vec<Bucket> = Vec::new();
    for (bound, count) in buckets {
        match tidy.last_mut() {
            Some(last) if last.0 == bound => last.1 += count,
            Some(last) => {
                let count = count.max(last.1);
                tidy.push((bound, count));
            }
            None => tidy.push((bound, count)),
        }
    }
    tidy
}

fn quantile(q: f64, buckets: Vec<Bucket>) -> f64 {
    if q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let Some((last_bound, total)) = buckets.last().copied() else {
        return f64::NAN;
    };
    if last_bound != f64::INFINITY || buckets.len() < 2 || total == 0.0 || total.is_nan() {
        return f64::NAN;
    }
    let rank = q * total;
    let at = buckets
        .partition_point(|(_, count)| *count < rank)
        .min(buckets.len() - 1);
    if at == buckets.len() - 1 {
        return buckets[buckets.len() - 2].0;
    }
    let (end, count) = buckets[at];
    if at == 0 && end <= 0.0 {
        return end;
    }
    let (start, below) = if at == 0 { (0.0, 0.0) } else { buckets[at - 1] };
    start + (end - start) * ((rank - below) / (count - below))
}

/// How many observations are at most `value`, interpolated within its bucket.
fn rank(value: f64, buckets: &[Bucket]) -> f64 {
    let total = buckets.last().map_or(0.0, |bucket| bucket.1);
    let at = buckets.partition_point(|(bound, _)| *bound < value);
    let Some((end, count)) = buckets.get(at).copied() else {
        return total;
    };
    let (start, below) = match at {
        0 if end > 0.0 => (0.0, 0.0),
        0 => (f64::NEG_INFINITY, 0.0),
        at => buckets[at - 1],
    };
    if value == f64::INFINITY {
        return total;
    }
    if value <= start {
        return below;
    }
    if end == f64::INFINITY || start == f64::NEG_INFINITY {
        return if end == value { count } else { below };
    }
    below + (count - below) * (value - start) / (end - start)
}
