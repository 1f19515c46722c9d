//! Functions of histograms, native and classic.

use std::{collections::BTreeMap, sync::Arc};

use demarc_proto::Labels;

use super::{
    annotation::Note,
    ast::{Call, Span},
    classic::{Bound, ClassicHistogram, bound},
    eval::Eval,
    native::{Histogram, NanNote},
    print::number,
    value::{ABSENT, Series, Steps, merge_same, without_metadata},
};
use crate::QueryError;

impl Eval<'_> {
    pub(super) fn histogram_function(
        &self,
        call: &Call,
        steps: Steps,
    ) -> Result<Vec<Series>, QueryError> {
        match call.function.name {
            "histogram_quantile" => {
                let q = self.scalar(&call.arguments[0], steps)?;
                let span = call.arguments[0].span();
                let wanted = vec![Wanted::Quantile {
                    q,
                    span,
                    label: None,
                }];
                self.of_histograms(call, 1, steps, &wanted)
            }
            "histogram_quantiles" => {
                let label = self.text(&call.arguments[1])?;
                if label.is_empty() {
                    let sentence = "invalid label name in histogram_quantiles(): ";
                    return Err(QueryError::Evaluation(sentence.to_owned()));
                }
                let mut wanted = Vec::new();
                for argument in &call.arguments[2..] {
                    wanted.push(Wanted::Quantile {
                        q: self.scalar(argument, steps)?,
                        span: argument.span(),
                        label: Some(label.clone()),
                    });
                }
                self.of_histograms(call, 0, steps, &wanted)
            }
            "histogram_fraction" => {
                let lower = self.scalar(&call.arguments[0], steps)?;
                let upper = self.scalar(&call.arguments[1], steps)?;
                self.of_histograms(call, 2, steps, &[Wanted::Fraction { lower, upper }])
            }
            name => {
                let function: fn(&Histogram) -> f64 = match name {
                    "histogram_count" => |histogram| histogram.count,
                    "histogram_sum" => |histogram| histogram.sum,
                    "histogram_avg" => |histogram| histogram.sum / histogram.count,
                    "histogram_stdvar" => Histogram::variance,
                    _ => |histogram| histogram.variance().sqrt(),
                };
                let series = self.vector(&call.arguments[0], steps)?;
                Ok(series
                    .into_iter()
                    .filter_map(|one| of_native(one, function))
                    .collect())
            }
        }
    }

    fn of_histograms(
        &self,
        call: &Call,
        at: usize,
        steps: Steps,
        wanted: &[Wanted],
    ) -> Result<Vec<Series>, QueryError> {
        for one in wanted {
            one.check(self);
        }
        let argument = &call.arguments[at];
        let series = self.vector(argument, steps)?;
        let groups = self.groups(series, argument.span());
        let mut found = Vec::new();
        for (labels, group) in groups {
            self.check_alive()?;
            let mut results: BTreeMap<Labels, Series> = BTreeMap::new();
            for step in 0..steps.count {
                let Some(histogram) = self.at_step(&group, step, argument.span())? else {
                    continue;
                };
                for one in wanted {
                    let value = self.result(one, &histogram, step, &group, argument.span());
                    let labels = one.labels(&labels, step);
                    let series = results
                        .entry(labels.clone())
                        .or_insert_with(|| Series::empty(labels, true, steps.count));
                    series.floats[step] = value;
                }
            }
            found.extend(results.into_values());
        }
        merge_same(found)
    }

    /// Puts the series of each histogram together: native ones, and classic ones by their labels without `le`.
    fn groups(&self, series: Vec<Series>, span: Span) -> BTreeMap<Labels, Group> {
        let mut groups: BTreeMap<Labels, Group> = BTreeMap::new();
        for one in series {
            let labels = without_metadata(&one.labels);
            let metric = one.labels.metric().to_owned();
            if one.histograms.is_some() {
                let group = groups.entry(labels.clone()).or_default();
                group.metric.clone_from(&metric);
                group.natives.push(one.clone());
            }
            let has_floats = (0..one.floats.len()).any(|step| one.float(step).is_some());
            if !has_floats {
                continue;
            }
            let Some(upper) = bound(one.labels.get("le")) else {
                let note = Note::BadBucketLabel(one.labels.get("le").to_owned());
                self.note(&note, &metric, span);
                continue;
            };
            let mut without_le = labels;
            without_le.set("le", "");
            let group = groups.entry(without_le).or_default();
            if group.metric.is_empty() {
                group.metric = metric;
            }
            group.buckets.push((upper, one));
        }
        groups
    }

    fn at_step(
        &self,
        group: &Group,
        step: usize,
        span: Span,
    ) -> Result<Option<Either>, QueryError> {
        let mut natives = group.natives.iter().filter_map(|one| one.histogram(step));
        let native = natives.next();
        if natives.next().is_some() {
            return Err(super::value::same_labelset());
        }
        let present = group.buckets.iter().filter_map(|(upper, one)| {
            let count = one.float(step)?;
            Some((
                one,
                Bound {
                    upper: *upper,
                    count,
                },
            ))
        });
        let present: Vec<(&Series, Bound)> = present.collect();
        let metrics = present.iter().map(|(one, _)| one.labels.metric());
        let mut metrics: Vec<&str> = metrics.collect();
        metrics.dedup();
        if metrics.len() > 1 {
            return Err(super::value::same_labelset());
        }
        match (native, present.is_empty()) {
            (Some(_), false) => {
                self.note(&Note::MixedClassicNative, &group.metric, span);
                Ok(None)
            }
            (Some(native), true) => Ok(Some(Either::Native(Arc::clone(native)))),
            (None, false) => {
                let bounds = present.into_iter().map(|(_, bound)| bound).collect();
                Ok(Some(Either::Classic(ClassicHistogram::new(bounds))))
            }
            (None, true) => Ok(None),
        }
    }

    fn result(
        &self,
        wanted: &Wanted,
        histogram: &Either,
        step: usize,
        group: &Group,
        span: Span,
    ) -> f64 {
        let (value, note) = match (wanted, histogram) {
            (Wanted::Quantile { q, .. }, Either::Native(native)) => native.quantile(q[step]),
            (Wanted::Fraction { lower, upper }, Either::Native(native)) => {
                native.fraction(lower[step], upper[step])
            }
            (Wanted::Quantile { q, .. }, Either::Classic(_)) if q[step] < 0.0 => {
                (f64::NEG_INFINITY, None)
            }
            (Wanted::Quantile { q, .. }, Either::Classic(_)) if q[step] > 1.0 => {
                (f64::INFINITY, None)
            }
            (_, Either::Classic(None)) => (f64::NAN, None),
            (Wanted::Quantile { q, .. }, Either::Classic(Some(classic))) => {
                if classic.was_forced {
                    self.note(&Note::ForcedMonotonic, &group.metric, span);
                }
                (classic.quantile(q[step]), None)
            }
            (Wanted::Fraction { lower, upper }, Either::Classic(Some(classic))) => {
                (classic.fraction(lower[step], upper[step]), None)
            }
        };
        let note = note.map(|note| match note {
            NanNote::Result => Note::QuantileNan,
            NanNote::Skew => Note::QuantileSkewed,
            NanNote::Excluded => Note::FractionNans,
        });
        if let Some(note) = note {
            self.note(&note, &group.metric, span);
        }
        value
    }
}

/// The series of one histogram.
#[derive(Default)]
struct Group {
    metric: String,
    natives: Vec<Series>,
    buckets: Vec<(f64, Series)>,
}

/// A histogram at one step.
enum Either {
    Native(Arc<Histogram>),
    /// `None` when the buckets make no histogram.
    Classic(Option<ClassicHistogram>),
}

/// What is asked of each histogram, at each step.
enum Wanted {
    Quantile {
        q: Vec<f64>,
        span: Span,
        /// The label that names the quantile, where several are asked for.
        label: Option<String>,
    },
    Fraction {
        lower: Vec<f64>,
        upper: Vec<f64>,
    },
}

impl Wanted {
    fn check(&self, eval: &Eval<'_>) {
        let Self::Quantile { q, span, .. } = self else {
            return;
        };
        for q in q {
            if q.is_nan() || *q < 0.0 || *q > 1.0 {
                eval.note(&Note::InvalidQuantile(*q), "", *span);
            }
        }
    }

    fn labels(&self, labels: &Labels, step: usize) -> Labels {
        let mut labels = labels.clone();
        if let Self::Quantile {
            q,
            label: Some(label),
            ..
        } = self
        {
            labels.set(label, &open_metrics(q[step]));
        }
        labels
    }
}

/// A number as OpenMetrics writes it in labels: with a point.
fn open_metrics(value: f64) -> String {
    let text = number(value);
    if text.contains(['.', 'e', 'N', 'I']) {
        text
    } else {
        format!("{text}.0")
    }
}

fn of_native(mut series: Series, function: fn(&Histogram) -> f64) -> Option<Series> {
    let histograms = series.histograms.take()?;
    series.drop_name = true;
    series.floats = histograms
        .iter()
        .map(|one| one.as_ref().map_or(ABSENT, |histogram| function(histogram)))
        .collect();
    Some(series)
}
