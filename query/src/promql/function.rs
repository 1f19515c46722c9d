//! Calls: which function gets what.

use demarc_proto::{Labels, METRIC_NAME, MatchOp};

use super::{
    ast::{Call, Expr, Selector, ValueType},
    calendar,
    eval::{Eval, Outcome},
    math,
    selector::{Bounds, Newest},
    value::{ABSENT, Series, Steps, is_absent},
};
use crate::QueryError;

impl Eval<'_> {
    pub(super) fn call(&self, call: &Call, steps: Steps) -> Result<Outcome, QueryError> {
        let name = call.function.name;
        let takes_matrix = call.function.arguments.contains(&ValueType::Matrix);
        if takes_matrix && name != "absent_over_time" {
            return self.over_windows(call, steps).map(Outcome::Vector);
        }
        if let Some(function) = math::of_value(name) {
            return self.each_float(call, steps, |value, _| Some(function(value)));
        }
        if let Some(part) = calendar::of_time(name) {
            return self.time_part(call, steps, part);
        }
        if name.starts_with("histogram_") {
            return self.histogram_function(call, steps).map(Outcome::Vector);
        }
        match name {
            "clamp" | "clamp_min" | "clamp_max" | "round" => {
                self.each_float(call, steps, |value, parameters| {
                    math::bounded(name, value, parameters)
                })
            }
            "label_replace" => self.label_replace(call, steps),
            "label_join" => self.label_join(call, steps),
            "sort" | "sort_desc" | "sort_by_label" | "sort_by_label_desc" => {
                self.sorted(call, steps)
            }
            "absent" => self.absent(&call.arguments[0], steps),
            "absent_over_time" => self.absent_over_time(&call.arguments[0], steps),
            "timestamp" => self.timestamp(&call.arguments[0], steps),
            "start_timestamp" => self.start_timestamp(&call.arguments[0], steps),
            "info" => self.info(call, steps).map(Outcome::Vector),
            "scalar" => self.to_scalar(&call.arguments[0], steps),
            "vector" => {
                let values = self.scalar(&call.arguments[0], steps)?;
                let series = Series::of_floats(Labels::default(), false, values);
                Ok(Outcome::Vector(vec![series]))
            }
            _ => self.scalar_function(call, steps).map(Outcome::Scalar),
        }
    }

    fn scalar_function(&self, call: &Call, steps: Steps) -> Result<Vec<f64>, QueryError> {
        let constant = |value: f64| Ok(vec![value; steps.count]);
        match call.function.name {
            "time" => Ok(steps.times().map(|time| time as f64 / 1000.0).collect()),
            "pi" => constant(std::f64::consts::PI),
            "step" => constant(self.asked.step_seconds()),
            "range" => constant(self.asked.range_seconds()),
            "start" => constant(self.asked.steps.start as f64 / 1000.0),
            "end" => constant(self.asked.steps.end() as f64 / 1000.0),
            "min_of" | "max_of" => {
                let a = self.scalar(&call.arguments[0], steps)?;
                let b = self.scalar(&call.arguments[1], steps)?;
                let pick = if call.function.name == "min_of" {
                    math::smaller
                } else {
                    math::larger
                };
                Ok(a.into_iter().zip(b).map(|(a, b)| pick(a, b)).collect())
            }
            other => Err(QueryError::Unsupported {
                what: format!("the function {other}"),
            }),
        }
    }

    /// Applies a function of a number and the call's scalar arguments; histograms are left out.
    fn each_float(
        &self,
        call: &Call,
        steps: Steps,
        function: impl Fn(f64, &[f64]) -> Option<f64>,
    ) -> Result<Outcome, QueryError> {
        let mut parameters = Vec::new();
        for argument in &call.arguments[1..] {
            parameters.push(self.scalar(argument, steps)?);
        }
        let series = self.vector(&call.arguments[0], steps)?;
        let mut at_step = vec![0.0; parameters.len()];
        let mut found = Vec::with_capacity(series.len());
        for mut one in series {
            one.histograms = None;
            one.drop_name = true;
            for (step, value) in one.floats.iter_mut().enumerate() {
                if is_absent(*value) {
                    continue;
                }
                for (slot, values) in at_step.iter_mut().zip(&parameters) {
                    *slot = values[step];
                }
                *value = function(*value, &at_step).unwrap_or(ABSENT);
            }
            found.push(one);
        }
        Ok(Outcome::Vector(found))
    }

    /// A part of the date or time: of each value, or of the evaluation's own time.
    fn time_part(
        &self,
        call: &Call,
        steps: Steps,
        part: fn(f64) -> f64,
    ) -> Result<Outcome, QueryError> {
        if !call.arguments.is_empty() {
            return self.each_float(call, steps, |value, _| Some(part(value)));
        }
        let values = steps.times().map(|time| part(time as f64 / 1000.0));
        let series = Series::of_floats(Labels::default(), false, values.collect());
        Ok(Outcome::Vector(vec![series]))
    }

    /// The value of the only element; NaN when there is none or more than one.
    fn to_scalar(&self, argument: &Expr, steps: Steps) -> Result<Outcome, QueryError> {
        let series = self.vector(argument, steps)?;
        let at = |step: usize| {
            let mut values = series.iter().filter_map(|one| one.float(step));
            match (values.next(), values.next()) {
                (Some(value), None) => value,
                _ => f64::NAN,
            }
        };
        Ok(Outcome::Scalar((0..steps.count).map(at).collect()))
    }

    /// The time of each value: of the sample itself for a selector, else of the evaluation.
    fn timestamp(&self, argument: &Expr, steps: Steps) -> Result<Outcome, QueryError> {
        if let Expr::Selector(selector) = argument.without_parens() {
            let seconds = |raw: &super::source::RawSeries, newest: Newest| match newest {
                Newest::Float(at) => raw.floats[at].0 as f64 / 1000.0,
                Newest::Histogram(at) => raw.histograms[at].time as f64 / 1000.0,
            };
            return self.of_newest(selector, steps, seconds);
        }
        let mut series = self.vector(argument, steps)?;
        for one in &mut series {
            one.drop_name = true;
            for (step, time) in steps.times().enumerate() {
                one.floats[step] = if one.is_present(step) {
                    time as f64 / 1000.0
                } else {
                    ABSENT
                };
            }
            one.histograms = None;
        }
        Ok(Outcome::Vector(series))
    }

    /// When each sample began to count, 0 where it is not known; only of a selector.
    fn start_timestamp(&self, argument: &Expr, steps: Steps) -> Result<Outcome, QueryError> {
        let Expr::Selector(selector) = argument.without_parens() else {
            return Ok(Outcome::Vector(Vec::new()));
        };
        self.of_newest(selector, steps, |raw, newest| {
            let start = match newest {
                Newest::Float(at) => raw.starts.get(at).copied().unwrap_or(0),
                Newest::Histogram(at) => raw.histograms[at].start,
            };
            start as f64 / 1000.0
        })
    }

    fn of_newest(
        &self,
        selector: &Selector,
        steps: Steps,
        value: impl Fn(&super::source::RawSeries, Newest) -> f64 + Sync,
    ) -> Result<Outcome, QueryError> {
        let found = self.each_newest(selector, steps, |raw, newest| {
            let values = newest
                .iter()
                .map(|newest| newest.map_or(ABSENT, |at| value(raw, at)));
            Series::of_floats(raw.labels.clone(), true, values.collect())
        })?;
        Ok(Outcome::Vector(found))
    }

    fn absent(&self, argument: &Expr, steps: Steps) -> Result<Outcome, QueryError> {
        let series = self.vector(argument, steps)?;
        let is_present = |step: usize| series.iter().any(|one| one.is_present(step));
        Ok(absent_series(argument, steps, is_present))
    }

    fn absent_over_time(&self, argument: &Expr, steps: Steps) -> Result<Outcome, QueryError> {
        let present = self.each_range(argument, steps, |raw, cut| {
            let mut bounds = Bounds::default();
            let times = steps.times();
            let present = times.map(|time| !cut.window(raw, time, &mut bounds).is_empty());
            Ok(Some(present.collect::<Vec<bool>>()))
        })?;
        let is_present = |step: usize| present.iter().any(|one| one[step]);
        Ok(absent_series(argument, steps, is_present))
    }
}

/// 1 where nothing is present, with the labels that the selector's equalities say.
fn absent_series(argument: &Expr, steps: Steps, is_present: impl Fn(usize) -> bool) -> Outcome {
    let values: Vec<f64> = (0..steps.count)
        .map(|step| if is_present(step) { ABSENT } else { 1.0 })
        .collect();
    if values.iter().all(|value| is_absent(*value)) {
        return Outcome::Vector(Vec::new());
    }
    let labels = match argument.without_parens() {
        Expr::Selector(selector) => said_labels(selector),
        Expr::Range(range) => said_labels(&range.selector),
        _ => Labels::default(),
    };
    Outcome::Vector(vec![Series::of_floats(labels, false, values)])
}

fn said_labels(selector: &Selector) -> Labels {
    let mut labels = Labels::default();
    let mut said: Vec<&str> = Vec::new();
    for matcher in &selector.matchers {
        if matcher.name == METRIC_NAME {
            continue;
        }
        let is_first = !said.contains(&matcher.name.as_str());
        if matcher.op == MatchOp::Equal && is_first {
            labels.set(&matcher.name, &matcher.value);
        } else {
            labels.set(&matcher.name, "");
        }
        said.push(&matcher.name);
    }
    labels
}
