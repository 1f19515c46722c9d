//! Function calls: which file knows which function.

use demarc_proto::{Labels, METRIC_NAME};
use promql_parser::{
    label::MatchOp,
    parser::{Call, Expr, VectorSelector},
};

use super::{
    calendar,
    eval::{Eval, Outcome},
    math, over_time, rate,
    series::{Series, Steps, Window, merge_same, without_name},
};
use crate::QueryError;

/// A function of the samples in a window.
pub(super) type WindowFn = Box<dyn Fn(&Window<'_>) -> Option<f64> + Send + Sync>;

impl Eval<'_> {
    pub(super) async fn call(&self, call: &Call, steps: Steps) -> Result<Outcome, QueryError> {
        let name = call.func.name;
        let arguments: Vec<&Expr> = call.args.args.iter().map(AsRef::as_ref).collect();
        if let Some(simple) = math::of_value(name) {
            return self.map_values(&arguments, steps, simple).await;
        }
        if let Some(part) = calendar::of_time(name) {
            return self.calendar(&arguments, steps, part).await;
        }
        match name {
            "time" => Ok(Outcome::Scalar(
                steps.times().map(|t| t as f64 / 1000.0).collect(),
            )),
            "pi" => Ok(Outcome::Scalar(vec![std::f64::consts::PI; steps.count])),
            "vector" => {
                let values = self.scalar(arguments[0], steps).await?;
                let values = values.into_iter().map(Some).collect();
                Ok(Outcome::Vector(vec![Series {
                    labels: Labels::default(),
                    values,
                }]))
            }
            "scalar" => self.to_scalar(arguments[0], steps).await,
            "timestamp" => self.timestamp(arguments[0], steps).await,
            "absent" => self.absent(arguments[0], steps).await,
            "absent_over_time" => self.absent_over_time(arguments[0], steps).await,
            "sort" | "sort_desc" | "sort_by_label" | "sort_by_label_desc" => {
                self.vector(arguments[0], steps).await.map(Outcome::Vector)
            }
            "round" | "clamp" | "clamp_min" | "clamp_max" => {
                self.bounded(name, &arguments, steps).await
            }
            "label_replace" => self.label_replace(&arguments, steps).await,
            "label_join" => self.label_join(&arguments, steps).await,
            "histogram_quantile" => self.histogram_quantile(&arguments, steps).await,
            "histogram_fraction" => self.histogram_fraction(&arguments, steps).await,
            "info" | "histogram_count" | "histogram_sum" | "histogram_avg" | "histogram_stddev"
            | "histogram_stdvar" => Err(QueryError::Unsupported {
                what: format!("{name}()"),
            }),
            _ => self.over_window(name, &arguments, steps).await,
        }
    }

    /// Functions of a range vector.
    async fn over_window(
        &self,
        name: &str,
        arguments: &[&Expr],
        steps: Steps,
    ) -> Result<Outcome, QueryError> {
        let unsupported = || QueryError::Unsupported {
            what: format!("{name}()"),
        };
        let range_at = usize::from(name == "quantile_over_time");
        let range = arguments.get(range_at).ok_or_else(unsupported)?;
        let parameters = self.parameters(arguments, range_at, steps).await?;
        if name == "quantile_over_time" && parameters[0].iter().any(|q| !(0.0..=1.0).contains(q)) {
            let got = parameters[0][0];
            self.warn(format!(
                "PromQL warning: quantile value should be between 0 and 1, got {got}"
            ));
        }
        let vector = self.range_vector(range, steps).await?;
        let keeps_name = matches!(name, "last_over_time" | "first_over_time");
        let mut found = Vec::new();
        for one in &vector.series {
            let mut values = Vec::with_capacity(steps.count);
            for (step, time) in steps.times().enumerate() {
                let at: Vec<f64> = parameters.iter().map(|values| values[step]).collect();
                let function = rate::function(name, &at, time)
                    .or_else(|| over_time::function(name, &at))
                    .ok_or_else(unsupported)?;
                let window = vector.window(one, time);
                let is_empty = window.samples.is_empty();
                values.push(if is_empty { None } else { function(&window) });
            }
            if values.iter().any(Option::is_some) {
                let labels = if keeps_name {
                    one.labels.clone()
                } else {
                    without_name(&one.labels)
                };
                found.push(Series { labels, values });
            }
        }
        merge_same(found).map(Outcome::Vector)
    }

    /// The scalar arguments beside the range vector.
    async fn parameters(
        &self,
        arguments: &[&Expr],
        range_at: usize,
        steps: Steps,
    ) -> Result<Vec<Vec<f64>>, QueryError> {
        let mut parameters = Vec::new();
        for (at, argument) in arguments.iter().enumerate() {
            if at != range_at {
                parameters.push(self.scalar(argument, steps).await?);
            }
        }
        Ok(parameters)
    }

    async fn map_values(
        &self,
        arguments: &[&Expr],
        steps: Steps,
        function: fn(f64) -> f64,
    ) -> Result<Outcome, QueryError> {
        let series = self.vector(arguments[0], steps).await?;
        let mapped = series
            .into_iter()
            .map(|one| Series {
                labels: without_name(&one.labels),
                values: one
                    .values
                    .into_iter()
                    .map(|value| value.map(function))
                    .collect(),
            })
            .collect();
        merge_same(mapped).map(Outcome::Vector)
    }

    async fn calendar(
        &self,
        arguments: &[&Expr],
        steps: Steps,
        part: fn(f64) -> f64,
    ) -> Result<Outcome, QueryError> {
        if arguments.is_empty() {
            let values = steps
                .times()
                .map(|t| Some(part(t as f64 / 1000.0)))
                .collect();
            return Ok(Outcome::Vector(vec![Series {
                labels: Labels::default(),
                values,
            }]));
        }
        self.map_values(arguments, steps, part).await
    }

    async fn bounded(
        &self,
        name: &str,
        arguments: &[&Expr],
        steps: Steps,
    ) -> Result<Outcome, QueryError> {
        let series = self.vector(arguments[0], steps).await?;
        let mut parameters = Vec::new();
        for argument in &arguments[1..] {
            parameters.push(self.scalar(argument, steps).await?);
        }
        let mut mapped = Vec::new();
        for one in series {
            let bound = |(step, value): (usize, Option<f64>)| {
                let at: Vec<f64> = parameters.iter().map(|values| values[step]).collect();
                math::bounded(name, value?, &at)
            };
            let values = one.values.into_iter().enumerate().map(bound).collect();
            mapped.push(Series {
                labels: without_name(&one.labels),
                values,
            });
        }
        merge_same(mapped).map(Outcome::Vector)
    }

    /// The value of the only series; NaN where there is none or more than one.
    async fn to_scalar(&self, argument: &Expr, steps: Steps) -> Result<Outcome, QueryError> {
        let series = self.vector(argument, steps).await?;
        let at = |step: usize| {
            let mut values = series.iter().filter_map(|one| one.values[step]);
            match (values.next(), values.next()) {
                (Some(only), None) => only,
                _ => f64::NAN,
            }
        };
        Ok(Outcome::Scalar((0..steps.count).map(at).collect()))
    }

    /// The time of each value: of the sample itself for a selector, else of the evaluation.
    async fn timestamp(&self, argument: &Expr, steps: Steps) -> Result<Outcome, QueryError> {
        let mut inner = argument;
        while let Expr::Paren(paren) = inner {
            inner = &paren.expr;
        }
        let mut found = Vec::new();
        if let Expr::VectorSelector(vector) = inner {
            for (labels, samples) in self.instant_samples(vector, steps).await? {
                let seconds = |sample: Option<(i64, f64)>| sample.map(|(at, _)| at as f64 / 1000.0);
                let values = samples.into_iter().map(seconds).collect();
                found.push(Series {
                    labels: without_name(&labels),
                    values,
                });
            }
        } else {
            for one in self.vector(argument, steps).await? {
                let seconds =
                    |(time, value): (i64, Option<f64>)| value.map(|_| time as f64 / 1000.0);
                let values = steps.times().zip(one.values).map(seconds).collect();
                found.push(Series {
                    labels: without_name(&one.labels),
                    values,
                });
            }
        }
        merge_same(found).map(Outcome::Vector)
    }

    async fn absent(&self, argument: &Expr, steps: Steps) -> Result<Outcome, QueryError> {
        let series = self.vector(argument, steps).await?;
        let is_present = |step: usize| series.iter().any(|one: &Series| one.values[step].is_some());
        Ok(absent_series(argument, steps, is_present))
    }

    async fn absent_over_time(&self, argument: &Expr, steps: Steps) -> Result<Outcome, QueryError> {
        let vector = self.range_vector(argument, steps).await?;
        let times: Vec<i64> = steps.times().collect();
        let is_present = |step: usize| {
            vector
                .series
                .iter()
                .any(|one| !vector.window(one, times[step]).samples.is_empty())
        };
        Ok(absent_series(argument, steps, is_present))
    }
}

/// 1 where nothing is present, with the labels that the selector's equalities say.
fn absent_series(argument: &Expr, steps: Steps, is_present: impl Fn(usize) -> bool) -> Outcome {
    let values: Vec<Option<f64>> = (0..steps.count)
        .map(|step| if is_present(step) { None } else { Some(1.0) })
        .collect();
    if values.iter().all(Option::is_none) {
        return Outcome::Vector(Vec::new());
    }
    let labels = match argument {
        Expr::VectorSelector(vector) => said_labels(vector),
        Expr::MatrixSelector(matrix) => said_labels(&matrix.vs),
        _ => Labels::default(),
    };
    Outcome::Vector(vec![Series { labels, values }])
}

fn said_labels(vector: &VectorSelector) -> Labels {
    let mut labels = Labels::default();
    let mut said_twice = Vec::new();
    for matcher in &vector.matchers.matchers {
        if matcher.name == METRIC_NAME {
            continue;
        }
        let is_equality = matches!(matcher.op, MatchOp::Equal);
        if is_equality
            && labels.get(&matcher.name).is_empty()
            && !said_twice.contains(&&matcher.name)
        {
            labels.set(&matcher.name, &matcher.value);
        } else {
            labels.set(&matcher.name, "");
        }
        said_twice.push(&matcher.name);
    }
    labels
}
