//! The leaves: selectors become one scan of `samples` each.

use std::{collections::HashMap, sync::Arc, time::UNIX_EPOCH};

use arrow::{
    array::{Array, AsArray, BinaryArray, Float64Array, Int64Array},
    datatypes::{Float64Type, Int64Type},
    record_batch::RecordBatch,
};
use datafusion::{
    common::ScalarValue,
    prelude::{Expr as Filter, col, lit},
};
use demarc_proto::{Labels, METRIC_NAME, MatchOp, Matcher, Millis, SeriesId};
use demarc_store::{Sample, SeriesEntry, Table};
use futures::TryStreamExt;
use promql_parser::{
    label::MatchOp as ParsedOp,
    parser::{AtModifier, MatrixSelector, Offset, VectorSelector},
};

use super::{
    eval::Eval,
    metric_of,
    series::{RawSeries, Series, Steps, Window},
};
use crate::{QueryError, session::session};

/// The bits of the NaN that says "this series ended". Source: Prometheus, `model/value`.
const STALE_MARKER: u64 = 0x7ff0_0000_0000_0002;

/// Selections of at most this many series are also filtered by their ids in the scan.
const MAX_ID_FILTER: usize = 64;

/// Where `offset` and `@` move an evaluation time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shift {
    at: Option<i64>,
    offset: i64,
}

impl Shift {
    pub(super) fn new(at: Option<&AtModifier>, offset: Option<&Offset>, query: Steps) -> Self {
        let millis = |duration: &std::time::Duration| {
            i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
        };
        let at = at.map(|at| match at {
            AtModifier::Start => query.start,
            AtModifier::End => query.end(),
            AtModifier::At(time) => match time.duration_since(UNIX_EPOCH) {
                Ok(after) => millis(&after),
                Err(before) => -millis(&before.duration()),
            },
        });
        let offset = match offset {
            Some(Offset::Pos(duration)) => millis(duration),
            Some(Offset::Neg(duration)) => -millis(duration),
            None => 0,
        };
        Self { at, offset }
    }

    pub(super) fn apply(self, time: i64) -> i64 {
        self.at.unwrap_or(time).saturating_sub(self.offset)
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
}

impl RangeVector {
    /// The window of a series at an evaluation time.
    pub(super) fn window<'a>(&self, series: &'a RawSeries, time: i64) -> Window<'a> {
        let end = self.shift.apply(time);
        let start = end.saturating_sub(self.range);
        let from = series.samples.partition_point(|(at, _)| *at <= start);
        let to = series.samples.partition_point(|(at, _)| *at <= end);
        Window {
            samples: &series.samples[from..to.max(from)],
            start,
            end,
        }
    }
}

/// The sets of matchers of a selector; a series that any set matches is selected.
pub(super) fn matcher_sets(vector: &VectorSelector) -> Vec<Vec<Matcher>> {
    let convert = |matcher: &promql_parser::label::Matcher| Matcher {
        name: matcher.name.clone(),
        op: match matcher.op {
            ParsedOp::Equal => MatchOp::Equal,
            ParsedOp::NotEqual => MatchOp::NotEqual,
            ParsedOp::Re(_) => MatchOp::Regex,
            ParsedOp::NotRe(_) => MatchOp::NotRegex,
        },
        value: matcher.value.clone(),
    };
    let name = metric_of(vector).map(|name| Matcher::equal(METRIC_NAME, name));
    let set = |matchers: &[promql_parser::label::Matcher]| {
        name.iter()
            .cloned()
            .chain(matchers.iter().map(convert))
            .collect()
    };
    if vector.matchers.or_matchers.is_empty() {
        return vec![set(&vector.matchers.matchers)];
    }
    vector
        .matchers
        .or_matchers
        .iter()
        .map(|matchers| set(matchers))
        .collect()
}

impl Eval<'_> {
    /// The newest value of each series at each step, unless it is older than the lookback or the series has ended.
    pub(super) async fn instant_selector(
        &self,
        vector: &VectorSelector,
        steps: Steps,
    ) -> Result<Vec<Series>, QueryError> {
        let found = self.instant_samples(vector, steps).await?;
        let value = |at: Option<(i64, f64)>| at.map(|(_, value)| value);
        let series = |(labels, at): (Labels, Vec<Option<(i64, f64)>>)| Series {
            labels,
            values: at.into_iter().map(value).collect(),
        };
        Ok(found.into_iter().map(series).collect())
    }

    /// As [`Self::instant_selector`], with the time of each sample.
    pub(super) async fn instant_samples(
        &self,
        vector: &VectorSelector,
        steps: Steps,
    ) -> Result<Vec<(Labels, Vec<Option<(i64, f64)>>)>, QueryError> {
        let shift = Shift::new(vector.at.as_ref(), vector.offset.as_ref(), self.query);
        let (first, last) = shift.span(steps);
        let lookback = self.config.lookback_seconds as i64 * 1000;
        let raw = self
            .load(vector, first.saturating_sub(lookback) + 1, last)
            .await?;
        let mut found = Vec::new();
        for one in raw {
            let at: Vec<_> = steps
                .times()
                .map(|time| newest(&one.samples, shift.apply(time), lookback))
                .collect();
            if at.iter().any(Option::is_some) {
                found.push((one.labels, at));
            }
        }
        Ok(found)
    }

    /// The samples that the windows of a range selector need.
    pub(super) async fn range_selector(
        &self,
        matrix: &MatrixSelector,
        steps: Steps,
    ) -> Result<RangeVector, QueryError> {
        let shift = Shift::new(matrix.vs.at.as_ref(), matrix.vs.offset.as_ref(), self.query);
        let range = i64::try_from(matrix.range.as_millis()).unwrap_or(i64::MAX);
        let (first, last) = shift.span(steps);
        let mut series = self
            .load(&matrix.vs, first.saturating_sub(range) + 1, last)
            .await?;
        for one in &mut series {
            one.samples
                .retain(|(_, value)| value.to_bits() != STALE_MARKER);
        }
        Ok(RangeVector {
            series,
            range,
            shift,
        })
    }

    /// A range selector as the answer itself.
    pub(crate) async fn raw_matrix(
        &self,
        matrix: &MatrixSelector,
        steps: Steps,
    ) -> Result<Vec<(Labels, Vec<Sample>)>, QueryError> {
        let vector = self.range_selector(matrix, steps).await?;
        let mut answer = Vec::new();
        for one in &vector.series {
            let window = vector.window(one, steps.start);
            if !window.samples.is_empty() {
                let sample = |(at, value): &(i64, f64)| Sample::new(Millis(*at), *value);
                answer.push((
                    one.labels.clone(),
                    window.samples.iter().map(sample).collect(),
                ));
            }
        }
        answer.sort_by(|a: &(Labels, Vec<Sample>), b| a.0.cmp(&b.0));
        Ok(answer)
    }

    /// All samples of the selected series within `[min, max]`, sorted by time; of two at one time, the later written.
    async fn load(
        &self,
        vector: &VectorSelector,
        min: i64,
        max: i64,
    ) -> Result<Vec<RawSeries>, QueryError> {
        let mut wanted: HashMap<SeriesId, Arc<SeriesEntry>> = HashMap::new();
        for matchers in matcher_sets(vector) {
            for entry in self.snapshot.select(&matchers, None)? {
                wanted.insert(entry.id, entry);
            }
        }
        if wanted.is_empty() || min > max {
            return Ok(Vec::new());
        }
        let mut samples = self.scan(&wanted, metric_of(vector), min, max).await?;
        let mut series = Vec::new();
        for (id, entry) in wanted {
            if let Some(mut samples) = samples.remove(&id) {
                // A stable sort keeps the order of writing among equal times; the last one counts.
                samples.sort_by_key(|(at, _)| *at);
                samples.reverse();
                samples.dedup_by_key(|(at, _)| *at);
                samples.reverse();
                series.push(RawSeries {
                    labels: entry.labels.clone(),
                    samples,
                });
            }
        }
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(series)
    }

    async fn scan(
        &self,
        wanted: &HashMap<SeriesId, Arc<SeriesEntry>>,
        metric: Option<&str>,
        min: i64,
        max: i64,
    ) -> Result<HashMap<SeriesId, Vec<(i64, f64)>>, QueryError> {
        let context = session(self.snapshot, self.config)?;
        let mut filter = col("time").gt_eq(lit(min)).and(col("time").lt_eq(lit(max)));
        if let Some(metric) = metric {
            filter = filter.and(col("metric").eq(lit(metric)));
        }
        if wanted.len() <= MAX_ID_FILTER {
            filter = filter.and(col("series_id").in_list(ids(wanted), false));
        }
        let frame = context.table(Table::Samples.name()).await?.filter(filter)?;
        let mut stream = frame
            .select_columns(&["series_id", "time", "value"])?
            .execute_stream()
            .await?;
        let mut samples: HashMap<SeriesId, Vec<(i64, f64)>> = HashMap::new();
        while let Some(batch) = stream.try_next().await? {
            self.count(batch.num_rows())?;
            collect(&batch, wanted, &mut samples)?;
        }
        Ok(samples)
    }
}

fn ids(wanted: &HashMap<SeriesId, Arc<SeriesEntry>>) -> Vec<Filter> {
    wanted
        .keys()
        .map(|id| lit(ScalarValue::Binary(Some(id.to_bytes().to_vec()))))
        .collect()
}

fn collect(
    batch: &RecordBatch,
    wanted: &HashMap<SeriesId, Arc<SeriesEntry>>,
    samples: &mut HashMap<SeriesId, Vec<(i64, f64)>>,
) -> Result<(), QueryError> {
    let shape = || QueryError::Evaluation("samples have columns of another type".to_owned());
    let ids: &BinaryArray = batch.column(0).as_binary_opt::<i32>().ok_or_else(shape)?;
    let times: &Int64Array = batch
        .column(1)
        .as_primitive_opt::<Int64Type>()
        .ok_or_else(shape)?;
    let values: &Float64Array = batch
        .column(2)
        .as_primitive_opt::<Float64Type>()
        .ok_or_else(shape)?;
    // Rows of one series follow each other in files and mostly in the head: look its id up once per run.
    let mut run: Option<(&[u8], bool)> = None;
    let mut current = SeriesId(0);
    for row in 0..ids.len() {
        let bytes = ids.value(row);
        let is_wanted = match run {
            Some((id, is_wanted)) if id == bytes => is_wanted,
            _ => {
                current = SeriesId::from_bytes(bytes).ok_or_else(shape)?;
                let is_wanted = wanted.contains_key(&current);
                run = Some((bytes, is_wanted));
                is_wanted
            }
        };
        if is_wanted {
            samples
                .entry(current)
                .or_default()
                .push((times.value(row), values.value(row)));
        }
    }
    Ok(())
}

fn newest(samples: &[(i64, f64)], at: i64, lookback: i64) -> Option<(i64, f64)> {
    let after = samples.partition_point(|(time, _)| *time <= at);
    let (time, value) = *samples[..after].last()?;
    let is_current = time > at.saturating_sub(lookback) && value.to_bits() != STALE_MARKER;
    is_current.then_some((time, value))
}
