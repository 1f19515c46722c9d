//! Selectors: the newest sample at each step, and windows of samples.

use std::sync::Arc;

use super::{
    annotation::Note,
    ast::{At, Edges, Expr, RangeSelector, Selector, Subquery, Timing},
    eval::{Eval, Outcome},
    source::{Detail, Interval, RawHistogram, RawSeries},
    value::{Asked, Cell, Series, Steps, is_absent},
};
use crate::QueryError;

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

/// A range selector or subquery, loaded: series, the length of the window, and where times are moved.
pub(super) struct RangeVector {
    pub(super) series: Vec<RawSeries>,
    pub(super) range: i64,
    pub(super) shift: Shift,
    pub(super) edges: Edges,
    pub(super) lookback: i64,
}

/// Samples of one series around a half-open window `(start, end]`, and the window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window<'a> {
    pub(super) floats: &'a [(i64, f64)],
    pub(super) starts: Option<&'a [i64]>,
    pub(super) histograms: &'a [RawHistogram],
    pub(super) start: i64,
    pub(super) end: i64,
}

impl Window<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.floats.is_empty() && self.histograms.is_empty()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = f64> + Clone + '_ {
        self.floats.iter().map(|(_, value)| *value)
    }

    /// The length of the window in seconds.
    pub(super) fn seconds(&self) -> f64 {
        (self.end - self.start) as f64 / 1000.0
    }
}

impl RangeVector {
    /// The window of a series at an evaluation time. With `anchored` and `smoothed`, samples beyond its edges are in it too.
    pub(super) fn window<'a>(&self, series: &'a RawSeries, time: i64) -> Window<'a> {
        let end = self.shift.apply(time);
        let start = end.saturating_sub(self.range);
        let (mut after, mut until) = (start, end);
        if self.edges != Edges::Plain {
            after = after.saturating_sub(self.lookback);
        }
        if self.edges == Edges::Smoothed {
            until = until.saturating_add(self.lookback);
        }
        let from = series.floats.partition_point(|(at, _)| *at <= after);
        let to = series
            .floats
            .partition_point(|(at, _)| *at <= until)
            .max(from);
        let first = series.histograms.partition_point(|one| one.time <= after);
        let last = series.histograms.partition_point(|one| one.time <= until);
        Window {
            floats: &series.floats[from..to],
            starts: series.starts.as_ref().map(|starts| &starts[from..to]),
            histograms: &series.histograms[first..last.max(first)],
            start,
            end,
        }
    }
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
        let mut found = Vec::new();
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
            found.push(series);
        })?;
        Ok(found)
    }

    /// Hands each series that has any value to `take`, with the place of the newest sample at each step.
    pub(super) fn each_newest(
        &self,
        selector: &Selector,
        steps: Steps,
        take: impl FnMut(RawSeries, &[Option<Newest>]),
    ) -> Result<(), QueryError> {
        let shift = Shift::new(&selector.timing, self.asked)?;
        self.each_newest_at(selector, steps, shift, take)
    }

    pub(super) fn each_newest_at(
        &self,
        selector: &Selector,
        steps: Steps,
        shift: Shift,
        mut take: impl FnMut(RawSeries, &[Option<Newest>]),
    ) -> Result<(), QueryError> {
        let lookback = self.lookback();
        let (first, last) = shift.span(steps);
        let interval = Interval {
            min: first.saturating_sub(lookback).saturating_add(1),
            max: last,
        };
        let raw = self.load_selector(selector, interval)?;
        let mut newest = vec![None; steps.count];
        for one in raw {
            self.check_alive()?;
            self.hold(steps.count)?;
            let mut walk = Walk::default();
            for (step, time) in steps.times().enumerate() {
                newest[step] = walk.newest(&one, shift.apply(time), lookback);
            }
            if newest.iter().any(Option::is_some) {
                take(one, &newest);
            }
        }
        Ok(())
    }

    fn load_selector(
        &self,
        selector: &Selector,
        interval: Interval,
    ) -> Result<Vec<RawSeries>, QueryError> {
        let detail = if self.counts_only.contains(&selector.span.start) {
            Detail::CountAndSum
        } else {
            Detail::Whole
        };
        self.load(&selector.matchers, selector.metric(), interval, detail)
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
        let vector = RangeVector {
            series: Vec::new(),
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
        let mut found = Vec::new();
        for mut raw in self.load_selector(selector, interval)? {
            raw.drop_stale();
            self.hold(steps.count)?;
            let mut series = Series::empty(raw.labels.clone(), false, steps.count);
            for (step, time) in steps.times().enumerate() {
                let window = vector.window(&raw, time);
                if let Some(cell) = self.between(selector, &raw, window, shift.apply(time)) {
                    series.set(step, cell);
                }
            }
            if !series.is_empty() {
                found.push(series);
            }
        }
        Ok(found)
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
            Expr::Range(range) => self.range_selector(range, steps),
            Expr::Subquery(subquery) => self.subquery(subquery, steps),
            other => Err(QueryError::Evaluation(format!(
                "{other} is not a range vector"
            ))),
        }
    }

    /// The samples that the windows of a range selector need.
    pub(super) fn range_selector(
        &self,
        range: &RangeSelector,
        steps: Steps,
    ) -> Result<RangeVector, QueryError> {
        let shift = Shift::new(&range.selector.timing, self.asked)?;
        let length = range.range.positive_millis(self.asked)?;
        let lookback = self.lookback();
        let (first, last) = shift.span(steps);
        let edges = range.selector.edges;
        let before = if edges == Edges::Plain { 0 } else { lookback };
        let after = if edges == Edges::Smoothed {
            lookback
        } else {
            0
        };
        let interval = Interval {
            min: first
                .saturating_sub(length)
                .saturating_sub(before)
                .saturating_add(1),
            max: last.saturating_add(after),
        };
        let mut series = self.load_selector(&range.selector, interval)?;
        for one in &mut series {
            one.drop_stale();
        }
        Ok(RangeVector {
            series,
            range: length,
            shift,
            edges,
            lookback,
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
            range,
            shift,
            edges: Edges::Plain,
            lookback: 0,
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
        starts: None,
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

impl RawSeries {
    /// Drops the markers that end a series.
    fn drop_stale(&mut self) {
        if self.floats.iter().any(|(_, value)| is_absent(*value)) {
            if let Some(starts) = &mut self.starts {
                let mut values = self.floats.iter();
                starts.retain(|_| values.next().is_some_and(|(_, value)| !is_absent(*value)));
            }
            self.floats.retain(|(_, value)| !is_absent(*value));
        }
        self.histograms.retain(|one| !is_absent(one.value.sum));
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
