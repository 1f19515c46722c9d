//! What an asker should know of an answer: warnings and infos, in the words of Prometheus, with their places in the query.

use std::collections::BTreeSet;

use parking_lot::Mutex;

use super::{
    ast::{BinaryOp, Span},
    error::place,
    print::number,
};

/// What there is to say.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Note {
    InvalidQuantile(f64),
    InvalidRatio(f64, f64),
    BadBucketLabel(String),
    MixedFloatsHistograms,
    MixedFloatsHistogramsInAggregation,
    MixedClassicNative,
    NotCounter,
    NotGauge,
    MixedExponentialCustom,
    IncompatibleLayout(BinaryOp),
    ResetsCollide(Operation),
    SortInRange,
    PossiblyNoCounter,
    PossiblyNoCounterByType(String),
    ForcedMonotonic,
    IncompatibleTypes(&'static str, BinaryOp, &'static str),
    IgnoredInAggregation(&'static str),
    IgnoredInRange,
    QuantileNan,
    QuantileSkewed,
    FractionNans,
    BoundsReconciled(Operation),
}

/// During what histograms were put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Aggregation,
    Addition,
    Subtraction,
}

impl Operation {
    fn text(self) -> &'static str {
        match self {
            Self::Aggregation => "aggregation",
            Self::Addition => "addition",
            Self::Subtraction => "subtraction",
        }
    }
}

impl Note {
    fn is_warning(&self) -> bool {
        !matches!(
            self,
            Self::PossiblyNoCounter
                | Self::PossiblyNoCounterByType(_)
                | Self::ForcedMonotonic
                | Self::IncompatibleTypes(..)
                | Self::IgnoredInAggregation(_)
                | Self::IgnoredInRange
                | Self::QuantileNan
                | Self::QuantileSkewed
                | Self::FractionNans
                | Self::BoundsReconciled(_)
        )
    }

    fn sentence(&self, metric: &str) -> String {
        let named = |sentence: &str| {
            if metric.is_empty() {
                sentence.to_owned()
            } else {
                format!("{sentence} for metric name {metric:?}")
            }
        };
        match self {
            Self::InvalidQuantile(q) => format!(
                "quantile value should be between 0 and 1, got {}",
                number(*q)
            ),
            Self::InvalidRatio(got, cap) => format!(
                "ratio value should be between -1 and 1, got {}, capping to {}",
                number(*got),
                number(*cap)
            ),
            Self::BadBucketLabel(value) => named(&format!(
                "bucket label \"le\" is missing or has a malformed value of {value:?}"
            )),
            Self::MixedFloatsHistograms => named("encountered a mix of histograms and floats"),
            Self::MixedFloatsHistogramsInAggregation => {
                "encountered a mix of histograms and floats for aggregation".to_owned()
            }
            Self::MixedClassicNative => {
                named("vector contains a mix of classic and native histograms")
            }
            Self::NotCounter => {
                format!("this native histogram metric is not a counter: {metric:?}")
            }
            Self::NotGauge => format!("this native histogram metric is not a gauge: {metric:?}"),
            Self::MixedExponentialCustom => named(
                "vector contains a mix of histograms with exponential and custom buckets schemas",
            ),
            Self::IncompatibleLayout(op) => {
                format!("incompatible bucket layout encountered for binary operator {op}")
            }
            Self::ResetsCollide(operation) => format!(
                "conflicting counter resets during histogram {}",
                operation.text()
            ),
            Self::SortInRange => {
                "sort is ineffective for range queries since results are always ordered by labels"
                    .to_owned()
            }
            other => other.info(metric, named),
        }
    }

    fn info(&self, metric: &str, named: impl Fn(&str) -> String) -> String {
        match self {
            Self::PossiblyNoCounter => format!(
                "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {metric:?}"
            ),
            Self::PossiblyNoCounterByType(kind) => format!(
                "metric might not be a counter, __type__ label is not set to \"counter\" or \"histogram\", got {kind:?}: {metric:?}"
            ),
            Self::ForcedMonotonic => named(
                "input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)",
            ),
            Self::IncompatibleTypes(left, op, right) => format!(
                "incompatible sample types encountered for binary operator {:?}: {left} {op} {right}",
                op.text()
            ),
            Self::IgnoredInAggregation(op) => format!("ignored histogram in {op} aggregation"),
            Self::IgnoredInRange => {
                named("ignored histograms in a range containing both floats and histograms")
            }
            Self::QuantileNan => {
                named("input to histogram_quantile has NaN observations, result is NaN")
            }
            Self::QuantileSkewed => {
                named("input to histogram_quantile has NaN observations, result is skewed higher")
            }
            Self::FractionNans => named(
                "input to histogram_fraction has NaN observations, which are excluded from all fractions",
            ),
            Self::BoundsReconciled(operation) => format!(
                "mismatched custom buckets were reconciled during {}",
                operation.text()
            ),
            _ => String::new(),
        }
    }
}

/// All that was noted during one evaluation, each once.
#[derive(Debug)]
pub(super) struct Notes {
    query: String,
    warnings: Mutex<BTreeSet<String>>,
    infos: Mutex<BTreeSet<String>>,
}

impl Notes {
    pub(super) fn new(query: &str) -> Self {
        Self {
            query: query.to_owned(),
            warnings: Mutex::default(),
            infos: Mutex::default(),
        }
    }

    /// Notes something about a metric, or about none where its name is empty, and what stands at `span`.
    pub(super) fn add(&self, note: &Note, metric: &str, span: Span) {
        let (line, column) = place(&self.query, span.start);
        let sentence = note.sentence(metric);
        if note.is_warning() {
            let text = format!("PromQL warning: {sentence} ({line}:{column})");
            self.warnings.lock().insert(text);
        } else {
            let text = format!("PromQL info: {sentence} ({line}:{column})");
            self.infos.lock().insert(text);
        }
    }

    /// Notes that values of a day are missing, because they were in a file that is damaged.
    pub(super) fn add_loss(&self, day: &str, file: &str) {
        let text =
            format!("values of {day} are missing: the file {file} is damaged and was left out");
        self.warnings.lock().insert(text);
    }

    /// Notes that there are no samples any more, only windows of so many milliseconds, and that the question is not of these.
    pub(super) fn add_old(&self, millis: i64) {
        let minutes = millis / 60_000;
        let text = format!(
            "samples of old days are kept as windows of {minutes} minutes only: values of other times and ranges are approximate"
        );
        self.infos.lock().insert(text);
    }

    /// Warnings and infos, sorted.
    pub(super) fn take(&self) -> (Vec<String>, Vec<String>) {
        let warnings = std::mem::take(&mut *self.warnings.lock());
        let infos = std::mem::take(&mut *self.infos.lock());
        (warnings.into_iter().collect(), infos.into_iter().collect())
    }
}
