//! Counted values as rows.

use demarc_proto::{Labels, METRIC_NAME, Millis};
use demarc_store::{MetricKind, MetricRows, Sample};

use super::latency::{BOUNDS, Example, Latency};

/// Writes the metrics of one label set.
pub(super) struct Writer<'a> {
    labels: &'a Labels,
    time: Millis,
    rows: &'a mut Vec<MetricRows>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(labels: &'a Labels, time: Millis, rows: &'a mut Vec<MetricRows>) -> Self {
        Self { labels, time, rows }
    }

    pub(super) fn counter(&mut self, name: &str, value: f64) {
        self.push(name, None, MetricKind::Counter, value);
    }

    /// Nothing before the first duration.
    pub(super) fn latency(&mut self, name: &str, latency: &mut Latency) {
        if latency.count == 0.0 {
            return;
        }
        let bucket = format!("{name}_bucket");
        let examples = latency.take_examples();
        for (at, value) in latency.cumulative().into_iter().enumerate() {
            let le = BOUNDS
                .get(at)
                .map_or_else(|| "+Inf".to_owned(), f64::to_string);
            let row = self.push(&bucket, Some(&le), MetricKind::Histogram, value);
            let example = examples.get(at).and_then(Option::as_ref);
            row.exemplars.extend(example.map(Example::exemplar));
        }
        self.push(
            &format!("{name}_sum"),
            None,
            MetricKind::Histogram,
            latency.sum,
        );
        self.push(
            &format!("{name}_count"),
            None,
            MetricKind::Histogram,
            latency.count,
        );
        let mut labels = self.labels.clone();
        labels.set(METRIC_NAME, name);
        self.rows.push(MetricRows {
            labels,
            kind: MetricKind::Histogram,
            histograms: vec![(self.time, latency.native())],
            exemplars: examples.iter().flatten().map(Example::exemplar).collect(),
            ..MetricRows::default()
        });
    }

    fn push(
        &mut self,
        name: &str,
        le: Option<&str>,
        kind: MetricKind,
        value: f64,
    ) -> &mut MetricRows {
        let mut labels = self.labels.clone();
        labels.set(METRIC_NAME, name);
        if let Some(le) = le {
            labels.set("le", le);
        }
        self.rows.push(MetricRows {
            labels,
            kind,
            samples: vec![Sample::new(self.time, value)],
            ..MetricRows::default()
        });
        self.rows.last_mut().expect("pushed above")
    }
}
