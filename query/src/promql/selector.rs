//! Selectors: the newest sample at each step, and windows of samples.

mod cut;

use std::sync::Arc;

use self::cut::longest_at;
use super::{
    annotation::Note,
    ast::{At, Edges, Expr, RangeSelector, Selector, Subquery, Timing},
    eval::{Eval, Outcome},
    source::{Ends, Interval, Need, RawHistogram, RawSeries},
    value::{Asked, Cell, Series, Steps, is_absent},
};
use crate::QueryError;

pub(super) use self::cut::{Bounds, Cut, Window};

/// Where `offset` and `@` move an evaluation time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shift {
    at: Option<i64>,
    offset: i64,
}

impl Shift {
    pub(super) fn new(timing: &Timing, asked: Asked) -> Result<Self, QueryError> {
        let at = timing.at.map(|at| match at {
            At::Time(time) => time,
            At::Start => asked.steps.start,
            At::End => asked.steps.end(),
        });
        let offset = match &timing.offset {
            Some(offset) => offset.millis(asked)?,
            None => 0,
        };
        Ok(Self { at, offset })
    }

    pub(super) fn apply(self, time: i64) -> i64 {
        self.at.unwrap_or(time).saturating_sub(self.offset)
    }

    /// First this, then `inner`.
    pub(super) fn then(self, inner: Self) -> Self {
        match inner.at {
            Some(_) => inner,
            None => Self {
                at: self.at,
                offset: self.offset.saturating_add(inner.offset),
            },
        }
    }

    /// The first and the last moved time.
    pub(super) fn span(self, steps: Steps) -> (i64, i64) {
        (self.apply(steps.start), self.apply(steps.end()))
    }
}

/// A range selector or subquery, loaded.
pub(super) struct RangeVector {
    pub(super) series: Vec<RawSeries>,
    pub(super) cut: Cut,
}

impl Eval<'_> {
    /// The newest value of each series at each step, unless it is older than the lookback or the series has ended.
    pub(super) fn instant_selector(
        &self,
        selector: &Selector,
        steps: Steps,
    ) -> Result<Vec<Series>, QueryError> {
        if selector.edges == Edges::Smoothed {
            return self.smoothed_selector(selector, steps);
        }
        self.each_newest(selector, steps, |raw, newest| {
            let mut series = Series::empty(raw.labels.clone(), false, steps.count);
            for (step, newest) in newest.iter().enumerate() {
                match newest {
                    Some(Newest::Float(at)) => series.floats[step] = raw.floats[*at].1,
                    Some(Newest::Histogram(at)) => {
                        let value = Arc::clone(&raw.histograms[*at].value);
                        series.set(step, Cell::Histogram(value));
                    }
                    None => {}
                }
            }
            series
        })
    }

    /// What `take` makes of each series that has any value, with the place of its newest sample at each step.
    pub(super) fn each_newest<T: Send>(
        &self,
        selector: &Selector,
        steps: Steps,
        take: impl Fn(&RawSeries, &[Option<Newest>]) -> T + Sync,
    ) -> Result<Vec<T>, QueryError> {
        let shift = Shift::new(&selector.timing, self.asked)?;
        self.each_newest_at(selector, steps, shift, take)
    }

    pub(super) fn each_newest_at<T: Send>(
        &self,
        selector: &Selector,
        steps: Steps,
        shift: Shift,
        take: impl Fn(&RawSeries, &[Option<Newest>]) -> T + Sync,
    ) -> Result<Vec<T>, QueryError> {
        let lookback = self.lookback();
        let (first, last) = shift.span(steps);
        let interval = Interval {
            min: first.saturating_sub(lookback).saturating_add(1),
            max: last,
        };
        let ends = Ends {
            longest: longest_at(shift, steps, |_| true),
            hold: lookback,
        };
        let need = Need {
            interval,
            ends: Some(ends),
            cells: steps.count,
        };
        self.each_series(selector, need, |raw| {
            let mut walk = Walk::default();
            let times = steps.times();
            let newest = times.map(|time| walk.newest(raw, shift.apply(time), lookback));
            let newest: Vec<Option<Newest>> = newest.collect();
            let has_any = newest.iter().any(Option::is_some);
            Ok(has_any.then(|| take(raw, &newest)))
        })
    }

    /// The value between the samples around each step, on a straight line; the last one where none follows.
    fn smoothed_selector(
        &self,
        selector: &Selector,
        steps: Steps,
    ) -> Result<Vec<Series>, QueryError> {
        let shift = Shift::new(&selector.timing, self.asked)?;
        let lookback = self.lookback();
        // A window of nothing at each step, widened by the lookback on both sides.
        let cut = Cut {
            range: 0,
            shift,
            edges: Edges::Smoothed,
            lookback,
        };
        let (first, last) = shift.span(steps);
        let interval = Interval {
            min: first.saturating_sub(lookback).saturating_add(1),
            max: last.saturating_add(lookback),
        };
        let need = Need {
            interval,
            ends: None,
            cells: steps.count,
        };
        self.each_series(selector, need, |raw| {
            raw.drop_stale();
            let mut bounds = Bounds::default();
            let mut series = Series::empty(raw.labels.clone(), false, steps.count);
            for (step, time) in steps.times().enumerate() {
                let window = cut.window(raw, time, &mut bounds);
                if let Some(cell) = self.between(selector, raw, window, shift.apply(time)) {
                    series.set(step, cell);
                }
            }
            Ok((!series.is_empty()).then_some(series))
        })
    }

    fn between(
        &self,
        selector: &Selector,
        raw: &RawSeries,
        window: Window<'_>,
        at: i64,
    ) -> Option<Cell> {
        let metric = raw.labels.metric();
        if !window.floats.is_empty() && !window.histograms.is_empty() {
            self.note(&Note::MixedFloatsHistograms, metric, selector.span);
            return None;
        }
        let share = |from: i64, to: i64| (at - from) as f64 / (to - from) as f64;
        let next = window.floats.partition_point(|(time, _)| *time <= at);
        if let Some((time, value)) = window.floats[..next].last() {
            return Some(Cell::Float(match window.floats.get(next) {
                Some((to, after)) if *time < at => value + (after - value) * share(*time, *to),
                _ => *value,
            }));
        }
        let next = window.histograms.partition_point(|one| one.time <= at);
        let before = window.histograms[..next].last()?;
        let Some(after) = window.histograms.get(next).filter(|_| before.time < at) else {
            return Some(Cell::Histogram(Arc::clone(&before.value)));
        };
        let Some((change, _)) = after.value.minus(&before.value) else {
            self.note(&Note::MixedExponentialCustom, metric, selector.span);
            return None;
        };
        let part = change.scaled(share(before.time, after.time));
        let (value, _) = before.value.plus(&part)?;
        Some(Cell::Histogram(Arc::new(value)))
    }

    /// Loads a range vector: a selector with a range, or a subquery.
    pub(super) fn range_vector(
        &self,
        expr: &Expr,
        steps: Steps,
    ) -> Result<RangeVector, QueryError> {
        match expr.without_parens() {
            Expr::Range(range) => {
                let cut = self.cut(range)?;
                let whole = |raw: &mut RawSeries| {
                    let bytes = size_of_val(raw.floats.as_slice());
                    self.reading.budget.take_bytes(bytes)?;
                    Ok(Some(raw.clone()))
                };
                let series = self.each_cut((range, &cut), steps, 0, whole)?;
                Ok(RangeVector { series, cut })
            }
            Expr::Subquery(subquery) => self.subquery(subquery, steps),
            other => Err(QueryError::Evaluation(format!(
                "{other} is not a range vector"
            ))),
        }
    }

    /// What `visit` makes of each series of a range vector, on several threads; in the order of the series' labels. A value for
    /// each step is held of each.
    pub(super) fn each_range<T: Send>(
        &self,
        expr: &Expr,
        steps: Steps,
        visit: impl Fn(&RawSeries, &Cut) -> Result<Option<T>, QueryError> + Sync,
    ) -> Result<Vec<T>, QueryError> {
        if let Expr::Range(range) = expr.without_parens() {
            let cut = self.cut(range)?;
            let visit = |raw: &mut RawSeries| visit(raw, &cut);
            return self.each_cut((range, &cut), steps, steps.count, visit);
        }
        let RangeVector { series, cut } = self.range_vector(expr, steps)?;
        let crew = &self.reading.crew;
        let seen = crew.map(series.len(), |at| {
            self.hold(steps.count)?;
            visit(&series[at], &cut)
        })?;
        Ok(seen.into_iter().flatten().collect())
    }

    pub(super) fn cut(&self, range: &RangeSelector) -> Result<Cut, QueryError> {
        Ok(Cut {
            range: range.range.positive_millis(self.asked)?,
            shift: Shift::new(&range.selector.timing, self.asked)?,
            edges: range.selector.edges,
            lookback: self.lookback(),
        })
    }

    /// Hands each series of a range selector to `visit`, with the samples that its windows need; `cells` values are held of each.
    fn each_cut<T: Send>(
        &self,
        (range, cut): (&RangeSelector, &Cut),
        steps: Steps,
        cells: usize,
        visit: impl Fn(&mut RawSeries) -> Result<Option<T>, QueryError> + Sync,
    ) -> Result<Vec<T>, QueryError> {
        let (first, last) = cut.shift.span(steps);
        let is_plain = cut.edges == Edges::Plain;
        let before = if is_plain { 0 } else { cut.lookback };
        let is_smoothed = cut.edges == Edges::Smoothed;
        let after = if is_smoothed { cut.lookback } else { 0 };
        let first = first.saturating_sub(cut.range).saturating_sub(before);
        let interval = Interval {
            min: first.saturating_add(1),
            max: last.saturating_add(after),
        };
        let need = Need {
            interval,
            ends: None,
            cells,
        };
        self.each_series(&range.selector, need, |raw| {
            raw.drop_stale();
            visit(raw)
        })
    }

    /// Evaluates the inner expression at each multiple of the subquery's step that any window holds.
    fn subquery(&self, subquery: &Subquery, steps: Steps) -> Result<RangeVector, QueryError> {
        let shift = Shift::new(&subquery.timing, self.asked)?;
        let range = subquery.range.positive_millis(self.asked)?;
        let step = match &subquery.step {
            Some(step) => step.positive_millis(self.asked)?,
            None => self.config.subquery_step_seconds as i64 * 1000,
        };
        let (first, last) = shift.span(steps);
        let start = first.saturating_sub(range).div_euclid(step) * step + step;
        let mut vector = RangeVector {
            series: Vec::new(),
            cut: Cut::plain(range, shift),
        };
        if start > last {
            return Ok(vector);
        }
        let count = (last.abs_diff(start) / step.unsigned_abs() + 1) as usize;
        self.hold(count)?;
        let inner = Steps { start, step, count };
        let series = match self.eval(&subquery.expr, inner)? {
            Outcome::Vector(series) => series,
            Outcome::Scalar(values) => {
                vec![Series::of_floats(
                    demarc_proto::Labels::default(),
                    false,
                    values,
                )]
            }
            Outcome::Text(_) => {
                let sentence = "a subquery cannot be of a string";
                return Err(QueryError::Evaluation(sentence.to_owned()));
            }
        };
        vector.series = series.into_iter().map(|one| raw(one, inner)).collect();
        Ok(vector)
    }
}

/// An evaluated series as one that windows can be cut from.
fn raw(series: Series, steps: Steps) -> RawSeries {
    let floats = steps.times().zip(&series.floats);
    let floats = floats.filter(|(_, value)| !is_absent(**value));
    let mut histograms: Vec<RawHistogram> = Vec::new();
    for (time, step) in steps.times().zip(0..) {
        let Some(value) = series.histogram(step) else {
            continue;
        };
        histograms.push(RawHistogram {
            time,
            start: 0,
            value: Arc::clone(value),
        });
    }
    forget_resets(&mut histograms);
    RawSeries {
        floats: floats.map(|(time, value)| (time, *value)).collect(),
        labels: series.labels,
        drop_name: series.drop_name,
        starts: Vec::new(),
        histograms,
    }
}

/// A step can repeat or skip samples, so what is known of the reset before a sample does not hold between two steps.
fn forget_resets(histograms: &mut [RawHistogram]) {
    use demarc_store::CounterReset::{Gauge, Unknown};
    for one in histograms {
        if !matches!(one.value.reset, Gauge | Unknown) {
            Arc::make_mut(&mut one.value).reset = Unknown;
        }
    }
}

/// The place of the newest sample.
#[derive(Clone, Copy, Debug)]
pub(super) enum Newest {
    Float(usize),
    Histogram(usize),
}

/// How far the samples of a series have been passed; times only rise within one evaluation.
#[derive(Default)]
struct Walk {
    float: usize,
    histogram: usize,
}

impl Walk {
    fn newest(&mut self, series: &RawSeries, at: i64, lookback: i64) -> Option<Newest> {
        let floats = &series.floats;
        while floats.get(self.float).is_some_and(|(time, _)| *time <= at) {
            self.float += 1;
        }
        let histograms = &series.histograms;
        while histograms
            .get(self.histogram)
            .is_some_and(|one| one.time <= at)
        {
            self.histogram += 1;
        }
        let float = self.float.checked_sub(1);
        let histogram = self.histogram.checked_sub(1);
        let float_time = float.map(|place| floats[place].0);
        let histogram_time = histogram.map(|place| histograms[place].time);
        let is_recent = |time: i64| time > at.saturating_sub(lookback);
        if histogram_time > float_time {
            let (place, time) = histogram.zip(histogram_time)?;
            let is_stale = is_absent(histograms[place].value.sum);
            return (is_recent(time) && !is_stale).then_some(Newest::Histogram(place));
        }
        let (place, time) = float.zip(float_time)?;
        let is_stale = is_absent(floats[place].1);
        (is_recent(time) && !is_stale).then_some(Newest::Float(place))
    }
}
