//! `load_with_nhcb`: native histograms with custom buckets from classic ones.

use std::collections::BTreeMap;

use demarc_proto::{Labels, METRIC_NAME, Millis};
use demarc_store::{Buckets, CUSTOM_BUCKETS, Histogram, MetricRows, Rows};

/// A classic histogram at one time.
#[derive(Default)]
struct Classic {
    /// Cumulative counts by upper bound.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: Option<f64>,
}

type Found = BTreeMap<Labels, BTreeMap<Millis, Classic>>;

/// Adds a native histogram for each classic one in `rows`.
pub(super) fn convert(rows: &mut Rows) {
    let mut found = Found::new();
    for row in &rows.metrics {
        collect(row, &mut found);
    }
    for (labels, by_time) in found {
        let native = by_time.into_iter();
        let native = native.filter_map(|(time, classic)| Some((time, classic.native()?)));
        let histograms: Vec<_> = native.collect();
        if !histograms.is_empty() {
            rows.metrics.push(MetricRows {
                labels,
                histograms,
                ..MetricRows::default()
            });
        }
    }
}

fn collect(row: &MetricRows, found: &mut Found) {
    let metric = row.labels.metric();
    let endings = ["_bucket", "_count", "_sum"];
    let ending = endings.into_iter().find(|ending| metric.ends_with(ending));
    let Some((ending, base)) = ending.and_then(|one| Some((one, metric.strip_suffix(one)?))) else {
        return;
    };
    let upper = match row.labels.get("le").to_ascii_lowercase().as_str() {
        "+inf" | "inf" => Some(f64::INFINITY),
        le => le.parse::<f64>().ok(),
    };
    if ending == "_bucket" && upper.is_none() {
        return;
    }
    let mut labels = row.labels.clone();
    labels.set(METRIC_NAME, base);
    labels.set("le", "");
    let by_time = found.entry(labels).or_default();
    for sample in &row.samples {
        let classic = by_time.entry(sample.time).or_default();
        match (ending, upper) {
            ("_bucket", Some(upper)) => classic.buckets.push((upper, sample.value)),
            ("_count", _) => classic.count = Some(sample.value),
            _ => classic.sum = Some(sample.value),
        }
    }
}

impl Classic {
    /// `None` without buckets, or when counts fall.
    fn native(mut self) -> Option<Histogram> {
        self.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        self.buckets.dedup_by(|later, earlier| {
            let is_same = later.0 == earlier.0;
            if is_same {
                earlier.1 = later.1;
            }
            is_same
        });
        let last = self.buckets.last()?;
        let count = self.count.unwrap_or(last.1);
        if last.0 != f64::INFINITY {
            self.buckets.push((f64::INFINITY, count));
        }
        let mut counts = Vec::with_capacity(self.buckets.len());
        let mut before = 0.0;
        for (_, cumulative) in &self.buckets {
            let inside = cumulative - before;
            if inside.is_nan() || inside < 0.0 {
                return None;
            }
            counts.push(inside);
            before = *cumulative;
        }
        let bounds = self.buckets.iter().map(|(upper, _)| *upper);
        Some(Histogram {
            count,
            sum: self.sum.unwrap_or(0.0),
            schema: CUSTOM_BUCKETS,
            positive: Buckets { offset: 0, counts },
            custom_bounds: bounds.filter(|bound| bound.is_finite()).collect(),
            ..Histogram::default()
        })
    }
}
