//! Functions of histograms, native and classic.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use demarc_proto::Labels;

use super::{
    annotation::Note,
    ast::{Call, Span},
    classic::{Bound, ClassicHistogram, bound},
    eval::Eval,
    native::{Histogram, NanNote},
    print::number,
    value::{ABSENT, Series, Steps, is_metadata, merge_same, without_metadata},
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
        let found = self.reading.crew.map(groups.len(), |at| {
            self.check_alive()?;
            let (labels, group) = &groups[at];
            self.of_group(labels, group, argument.span(), wanted)
        })?;
        merge_same(found.into_iter().flatten().collect())
    }

    /// What is wanted of one histogram at each step; sorted by labels.
    fn of_group(
        &self,
        labels: &Labels,
        group: &Group,
        span: Span,
        wanted: &[Wanted],
    ) -> Result<Vec<Series>, QueryError> {
        let mut results: BTreeMap<Labels, Series> = BTreeMap::new();
        // The label of a quantile may be another one at each step.
        let is_plain = |one: &Wanted| !matches!(one, Wanted::Quantile { label: Some(_), .. });
        let mut plain: Option<Series> = None;
        let count = group.steps();
        for step in 0..count {
            let Some(histogram) = self.at_step(group, step, span)? else {
                continue;
            };
            for one in wanted {
                let value = self.result(one, &histogram, step, group, span);
                let series = if is_plain(one) {
                    plain.get_or_insert_with(|| Series::empty(labels.clone(), true, count))
                } else {
                    let labels = one.labels(labels, step);
                    results
                        .entry(labels.clone())
                        .or_insert_with(|| Series::empty(labels, true, count))
                };
                series.floats[step] = value;
            }
        }
        Ok(plain.into_iter().chain(results.into_values()).collect())
    }

    /// Puts the series of each histogram together: native ones, and classic ones by their labels without `le`. Sorted by labels.
    fn groups(&self, series: Vec<Series>, span: Span) -> Vec<(Labels, Group)> {
        let mut groups: HashMap<Labels, Group> = HashMap::new();
        for one in series {
            let metric = one.labels.metric();
            if one.histograms.is_some() {
                let group = groups.entry(without_metadata(&one.labels)).or_default();
                metric.clone_into(&mut group.metric);
                group.natives.push(one.clone());
            }
            let has_floats = (0..one.floats.len()).any(|step| one.float(step).is_some());
            if !has_floats {
                continue;
            }
            let le = one.labels.get("le");
            let Some(upper) = bound(le) else {
                self.note(&Note::BadBucketLabel(le.to_owned()), metric, span);
                continue;
            };
            let mut without_le = (*one.labels).clone();
            without_le.retain(|name| name != "le" && !is_metadata(name));
            let group = groups.entry(without_le).or_default();
            if group.metric.is_empty() {
                metric.clone_into(&mut group.metric);
            }
            group.buckets.push((upper, one));
        }
        let mut groups: Vec<(Labels, Group)> = groups.into_iter().collect();
        groups.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        for (_, group) in &mut groups {
            // Each step's buckets come sorted then, equal ones in their order.
            group.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            let mut metrics = group.buckets.iter().map(|(_, one)| one.labels.metric());
            let first = metrics.next();
            group.is_of_several = metrics.any(|metric| Some(metric) != first);
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
            let (upper, count) = (*upper, one.float(step)?);
            Some(Bound { upper, count })
        });
        let mut bounds = Vec::with_capacity(group.buckets.len());
        bounds.extend(present);
        if group.is_of_several && group.is_of_several_at(step) {
            return Err(super::value::same_labelset());
        }
        match (native, bounds.is_empty()) {
            (Some(_), false) => {
                self.note(&Note::MixedClassicNative, &group.metric, span);
                Ok(None)
            }
            (Some(native), true) => Ok(Some(Either::Native(Arc::clone(native)))),
            (None, false) => Ok(Some(Either::Classic(ClassicHistogram::new(bounds)))),
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
    /// Whether the buckets are of several metrics.
    is_of_several: bool,
}

impl Group {
    fn steps(&self) -> usize {
        let buckets = self.buckets.iter().map(|(_, one)| one);
        let mut series = self.natives.iter().chain(buckets);
        series.next().map_or(0, |one| one.floats.len())
    }

    /// Whether buckets of several metrics are there at a step.
    fn is_of_several_at(&self, step: usize) -> bool {
        let present = self
            .buckets
            .iter()
            .filter(|(_, one)| one.float(step).is_some());
        let mut metrics = present.map(|(_, one)| one.labels.metric());
        let first = metrics.next();
        metrics.any(|metric| Some(metric) != first)
    }
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
