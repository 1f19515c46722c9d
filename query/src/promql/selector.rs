//! Selectors: the newest sample at each step, and windows of samples.

use std::sync::Arc;

use demarc_store::Resolution;

use super::{
    annotation::Note,
    ast::{At, Edges, Expr, RangeSelector, Selector, Subquery, Timing},
    eval::{Eval, Outcome},
    source::{Ends, Interval, RawHistogram, RawSeries},
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

/// How windows are cut out of series: their length, and where times are moved.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    range: i64,
    shift: Shift,
    edges: Edges,
    lookback: i64,
}

/// A range selector or subquery, loaded.
pub(super) struct RangeVector {
    pub(super) series: Vec<RawSeries>,
    pub(super) cut: Cut,
}

/// Where the last window that was cut out of a series begins and ends in its samples.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bounds {
    floats: (usize, usize),
    histograms: (usize, usize),
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

impl Cut {
    /// The times that the windows at these steps cover.
    pub(super) fn interval(&self, steps: Steps) -> Interval {
        let (first, last) = self.shift.span(steps);
        Interval {
            min: first.saturating_sub(self.range).saturating_add(1),
            max: last,
        }
    }

    /// The longest windows of stored samples of which each is within or without the window at any of these steps.
    pub(super) fn longest(&self, steps: Steps) -> Option<Resolution> {
        let fits = |one: &Resolution| self.range % one.millis() == 0;
        longest_at(self.shift, steps, fits)
    }

    /// The window at an evaluation time, without samples.
    pub(super) fn empty(&self, time: i64) -> Window<'static> {
        let end = self.shift.apply(time);
        Window {
            floats: &[],
            starts: None,
            histograms: &[],
            start: end.saturating_sub(self.range),
            end,
        }
    }

    /// The window of a series at an evaluation time. With `anchored` and `smoothed`, samples beyond its edges are in it too.
    /// `last`: the bounds of the window at an earlier time, or of none.
    pub(super) fn window<'a>(
        &self,
        series: &'a RawSeries,
        time: i64,
        last: &mut Bounds,
    ) -> Window<'a> {
        let end = self.shift.apply(time);
        let start = end.saturating_sub(self.range);
        let (mut after, mut until) = (start, end);
        if self.edges != Edges::Plain {
            after = after.saturating_sub(self.lookback);
        }
        if self.edges == Edges::Smoothed {
            until = until.saturating_add(self.lookback);
        }
        let (floats, histograms) = (&series.floats, &series.histograms);
        advance(floats, &mut last.floats, (after, until), |one| one.0);
        advance(histograms, &mut last.histograms, (after, until), |one| {
            one.time
        });
        let floats = last.floats.0..last.floats.1;
        let starts = (!series.starts.is_empty()).then(|| &series.starts[floats.clone()]);
        Window {
            floats: &series.floats[floats],
            starts,
            histograms: &histograms[last.histograms.0..last.histograms.1],
            start,
            end,
        }
    }
}

/// The longest windows of stored samples that `fits` and of which one ends at each moved step.
fn longest_at(
    shift: Shift,
    steps: Steps,
    fits: impl Fn(&Resolution) -> bool,
) -> Option<Resolution> {
    let ends_at = |one: &Resolution, time: usize| shift.apply(steps.time(time)) % one.millis() == 0;
    // The second step is for the distance between steps.
    let all_end = |one: &Resolution| (0..steps.count.min(2)).all(|time| ends_at(one, time));
    Resolution::ALL
        .into_iter()
        .find(|one| fits(one) && all_end(one))
}

/// Moves the bounds of a window to the samples after the first and up to the second of two times, which only rise.
fn advance<T>(
    samples: &[T],
    (from, to): &mut (usize, usize),
    (after, until): (i64, i64),
    time: impl Fn(&T) -> i64,
) {
    while samples.get(*from).is_some_and(|one| time(one) <= after) {
        *from += 1;
    }
    *to = (*to).max(*from);
    while samples.get(*to).is_some_and(|one| time(one) <= until) {
        *to += 1;
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
        self.each_series(selector, (interval, Some(ends)), |raw| {
            self.hold(steps.count)?;
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
        self.each_series(selector, (interval, None), |raw| {
            raw.drop_stale();
            self.hold(steps.count)?;
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
                let series = self.each_cut(range, &cut, steps, whole)?;
                Ok(RangeVector { series, cut })
            }
            Expr::Subquery(subquery) => self.subquery(subquery, steps),
            other => Err(QueryError::Evaluation(format!(
                "{other} is not a range vector"
            ))),
        }
    }

    /// What `visit` makes of each series of a range vector, on several threads; in the order of the series' labels.
    pub(super) fn each_range<T: Send>(
        &self,
        expr: &Expr,
        steps: Steps,
        visit: impl Fn(&RawSeries, &Cut) -> Result<Option<T>, QueryError> + Sync,
    ) -> Result<Vec<T>, QueryError> {
        if let Expr::Range(range) = expr.without_parens() {
            let cut = self.cut(range)?;
            return self.each_cut(range, &cut, steps, |raw| visit(raw, &cut));
        }
        let RangeVector { series, cut } = self.range_vector(expr, steps)?;
        let crew = &self.reading.crew;
        let seen = crew.map(series.len(), |at| visit(&series[at], &cut))?;
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

    /// Hands each series of a range selector to `visit`, with the samples that its windows need.
    fn each_cut<T: Send>(
        &self,
        range: &RangeSelector,
        cut: &Cut,
        steps: Steps,
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
        self.each_series(&range.selector, (interval, None), |raw| {
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
            cut: Cut {
                range,
                shift,
                edges: Edges::Plain,
                lookback: 0,
            },
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
