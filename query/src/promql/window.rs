//! Functions of the samples within a window: what they get, and what is noted of their argument.

use super::{
    annotation::Note,
    ast::{Call, Edges, Expr, Span, ValueType},
    check::edges_fault,
    eval::Eval,
    over_time,
    rate::{self, Counter},
    regression,
    selector::{Bounds, Cut, Window},
    sliding::Sliding,
    source::RawSeries,
    value::{Cell, Series, Steps},
};
use crate::QueryError;

/// A function's view of one series: the metric's name, where the argument stands, the scalar arguments at this step.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) eval: &'a Eval<'a>,
    pub(super) metric: &'a str,
    pub(super) span: Span,
    pub(super) parameters: &'a [f64],
    /// The evaluation time in milliseconds.
    pub(super) time: i64,
    pub(super) edges: Edges,
}

impl Context<'_> {
    pub(super) fn note(&self, note: &Note) {
        self.eval.note(note, self.metric, self.span);
    }
}

type WindowFn = fn(Window<'_>, Context<'_>) -> Option<Cell>;

impl Eval<'_> {
    /// Evaluates a function of a range vector.
    pub(super) fn over_windows(
        &self,
        call: &Call,
        steps: Steps,
    ) -> Result<Vec<Series>, QueryError> {
        let name = call.function.name;
        let function = find(name).ok_or_else(|| QueryError::Unsupported {
            what: format!("the function {name}"),
        })?;
        let is_matrix = |argument: &&Expr| argument.value_type() == ValueType::Matrix;
        let argument = call.arguments.iter().find(is_matrix);
        let argument = argument
            .ok_or_else(|| QueryError::Evaluation(format!("{name} takes a range vector")))?;
        let edges = match argument.without_parens() {
            Expr::Range(range) => range.selector.edges,
            _ => Edges::Plain,
        };
        if let Some(fault) = edges_fault(name, edges) {
            return Err(QueryError::Evaluation(fault));
        }
        let mut parameters = Vec::new();
        for other in call.arguments.iter().filter(|one| !is_matrix(one)) {
            parameters.push(self.scalar(other, steps)?);
        }
        self.note_parameters(call, &parameters, argument)?;
        if let Some(series) = self.over_old(name, argument, steps)? {
            return Ok(series);
        }
        self.each_range(argument, steps, |raw, cut| {
            let context = Context {
                eval: self,
                metric: raw.labels.metric(),
                span: argument.span(),
                parameters: &[],
                time: 0,
                edges,
            };
            let series = match Sliding::over(name, raw, cut) {
                Some(sliding) => sliding.apply((raw, cut), steps),
                None => apply(function, (raw, cut), &parameters, context, steps),
            };
            Ok(series.map(|series| {
                self.note_no_counter(name, &series, argument.span());
                keep_name(name, raw, series)
            }))
        })
    }

    fn note_parameters(
        &self,
        call: &Call,
        parameters: &[Vec<f64>],
        argument: &Expr,
    ) -> Result<(), QueryError> {
        match call.function.name {
            "quantile_over_time" => {
                let is_odd = |q: &&f64| q.is_nan() || **q < 0.0 || **q > 1.0;
                let odd: Vec<f64> = parameters[0].iter().filter(is_odd).copied().collect();
                for q in odd {
                    let span = call.arguments[0].span();
                    self.note(&Note::InvalidQuantile(q), "", span);
                }
                Ok(())
            }
            "double_exponential_smoothing" => {
                let _ = argument;
                let names = ["smoothing", "trend"];
                for (name, values) in names.into_iter().zip(parameters) {
                    let is_odd = |factor: &&f64| **factor <= 0.0 || **factor >= 1.0;
                    if let Some(odd) = values.iter().find(is_odd) {
                        let odd = super::print::number(*odd);
                        return Err(QueryError::Evaluation(format!(
                            "invalid {name} factor. Expected: 0 < {} < 1, got: {odd}",
                            if name == "trend" { "tf" } else { "sf" }
                        )));
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A rate of what does not look like a counter is worth a word.
    pub(super) fn note_no_counter(&self, function: &str, series: &Series, span: Span) {
        let is_rate = matches!(function, "rate" | "increase");
        let metric = series.labels.metric();
        let has_floats = series.histograms.is_none();
        if !is_rate || metric.is_empty() || !has_floats {
            return;
        }
        let kind = series.labels.get("__type__");
        let endings = ["_total", "_sum", "_count", "_bucket"];
        if !kind.is_empty() {
            if kind != "counter" && kind != "histogram" {
                let note = Note::PossiblyNoCounterByType(kind.to_owned());
                self.note(&note, metric, span);
            }
        } else if !endings.iter().any(|ending| metric.ends_with(ending)) {
            self.note(&Note::PossiblyNoCounter, metric, span);
        }
    }
}

fn apply(
    function: WindowFn,
    (raw, cut): (&RawSeries, &Cut),
    parameters: &[Vec<f64>],
    mut context: Context<'_>,
    steps: Steps,
) -> Option<Series> {
    let mut at_step = vec![0.0; parameters.len()];
    let mut series = Series::empty(raw.labels.clone(), true, steps.count);
    let mut is_empty = true;
    let mut bounds = Bounds::default();
    for (step, time) in steps.times().enumerate() {
        let window = cut.window(raw, time, &mut bounds);
        if window.is_empty() {
            continue;
        }
        for (slot, values) in at_step.iter_mut().zip(parameters) {
            *slot = values[step];
        }
        context.time = time;
        let at = Context {
            parameters: &at_step,
            ..context
        };
        if let Some(cell) = function(window, at) {
            series.set(step, cell);
            is_empty = false;
        }
    }
    (!is_empty).then_some(series)
}

/// The first and the last sample are still samples of the metric.
fn keep_name(function: &str, raw: &RawSeries, mut series: Series) -> Series {
    if matches!(function, "last_over_time" | "first_over_time") {
        series.drop_name = raw.drop_name;
    }
    series
}

fn find(name: &str) -> Option<WindowFn> {
    Some(match name {
        "rate" => |window, context| {
            let change = rate::change(window, context, Counter::Yes)?;
            Some(rate::per_second(change, window))
        },
        "increase" => |window, context| rate::change(window, context, Counter::Yes),
        "delta" => |window, context| rate::change(window, context, Counter::No),
        "irate" => |window, context| rate::last_change(window, context, Counter::Yes),
        "idelta" => |window, context| rate::last_change(window, context, Counter::No),
        "changes" => over_time::changes,
        "resets" => over_time::resets,
        "deriv" => regression::slope,
        "predict_linear" => regression::prediction,
        "double_exponential_smoothing" => regression::smoothed,
        _ => return over_time::find(name),
    })
}
