//! Answers to range queries, kept as far as their data is settled: a dashboard that asks again has only the newest steps
//! computed.
//!
//! A kept answer belongs to a query's text, step and lookback and to the versions of its tenants' data: when a sample comes so
//! late that it could change settled steps, or data is deleted or expires, the version is another one.

use std::{collections::HashMap, sync::Arc};

use demarc_proto::{Labels, Millis};
use parking_lot::Mutex;

use crate::{
    Answer, Point, PointValue, QueryError, Value,
    promql::{self, Prepared, Steps, is_settleable},
    reading::Reading,
};

/// Kept answers, the ones used last.
#[derive(Debug)]
pub(crate) struct Results {
    limit_bytes: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    by_key: HashMap<Key, (Arc<Extent>, u64)>,
    bytes: usize,
    uses: u64,
}

/// What an answer belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    tenants: String,
    query: String,
    step: i64,
    /// Where steps lie: the rest of their times when divided by the step.
    phase: i64,
    lookback: u64,
}

/// The values of some series at all steps from the first to the last.
#[derive(Debug)]
struct Extent {
    /// The versions of the tenants' data.
    versions: Vec<u64>,
    first: i64,
    last: i64,
    /// Sorted by labels; points by time.
    rows: Vec<(Labels, Vec<(i64, f64)>)>,
}

impl Results {
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Self {
            limit_bytes,
            kept: Mutex::default(),
        }
    }

    /// Answers a range query, with what is kept as far as that goes.
    pub(crate) fn evaluate(
        &self,
        reading: &Reading,
        query: &Prepared,
    ) -> Result<Answer, QueryError> {
        if self.limit_bytes == 0 || !is_settleable(&query.expr) {
            return promql::evaluate(reading, query);
        }
        let steps = query.asked.steps;
        let versions = reading.snapshots.iter().map(|one| one.settled().1);
        let versions: Vec<u64> = versions.collect();
        let key = Key::of(reading, query);
        let kept = self.find(&key, &versions, steps);
        let left = match &kept {
            Some(kept) => kept.after(steps),
            None => Some(steps),
        };
        let mut answer = match left {
            None => Answer::empty_matrix(),
            Some(steps) => promql::evaluate(reading, &query.at(steps))?,
        };
        let is_plain = answer.warnings.is_empty() && answer.infos.is_empty();
        let Value::Matrix(rows) = &mut answer.value else {
            return Ok(answer);
        };
        if let Some(kept) = &kept {
            *rows = kept.before(std::mem::take(rows), steps);
        }
        let until = reading.snapshots.iter().map(|one| one.settled().0.0);
        let until = until.min().unwrap_or(i64::MIN);
        if is_plain
            && left.is_some()
            && let Some(extent) = Extent::of(rows, steps, until, versions)
        {
            self.keep(key, extent);
        }
        Ok(answer)
    }

    /// What is kept of a query at the first of `steps` and at some after it.
    fn find(&self, key: &Key, versions: &[u64], steps: Steps) -> Option<Arc<Extent>> {
        let mut kept = self.kept.lock();
        kept.uses += 1;
        let uses = kept.uses;
        let (extent, used) = kept.by_key.get_mut(key)?;
        *used = uses;
        let holds = extent.first <= steps.start && steps.start <= extent.last;
        (holds && extent.versions == versions).then(|| Arc::clone(extent))
    }

    fn keep(&self, key: Key, extent: Extent) {
        let bytes = extent.bytes();
        // One answer is not worth most of the others.
        if bytes > self.limit_bytes / 4 {
            return;
        }
        let mut kept = self.kept.lock();
        let uses = kept.uses;
        kept.bytes += bytes;
        if let Some((before, _)) = kept.by_key.insert(key, (Arc::new(extent), uses)) {
            kept.bytes -= before.bytes();
        }
        while kept.bytes > self.limit_bytes {
            let oldest = kept.by_key.iter().min_by_key(|(_, (_, used))| *used);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else {
                return;
            };
            let gone = kept.by_key.remove(&oldest);
            kept.bytes -= gone.map_or(0, |(extent, _)| extent.bytes());
        }
    }
}

impl Key {
    fn of(reading: &Reading, query: &Prepared) -> Self {
        let tenants = reading.snapshots.iter();
        let tenants: Vec<&str> = tenants.map(|one| one.tenant().as_str()).collect();
        let steps = query.asked.steps;
        Self {
            tenants: tenants.join("|"),
            query: query.text.clone(),
            step: steps.step,
            phase: steps.start.rem_euclid(steps.step),
            lookback: reading.config.lookback_seconds.to_bits(),
        }
    }
}

impl Extent {
    /// What of an answer's `rows` is settled; `None` when nothing is, or when there are histograms.
    fn of(
        rows: &[(Labels, Vec<Point>)],
        steps: Steps,
        until: i64,
        versions: Vec<u64>,
    ) -> Option<Self> {
        let last = steps.end().min(until);
        if last < steps.start {
            return None;
        }
        let last = last - (last - steps.start) % steps.step;
        let mut kept = Vec::with_capacity(rows.len());
        for (labels, points) in rows {
            let settled = points.partition_point(|point| point.time.0 <= last);
            let points = points[..settled].iter();
            let points = points.map(|point| Some((point.time.0, point.float()?)));
            let points: Vec<(i64, f64)> = points.collect::<Option<_>>()?;
            if !points.is_empty() {
                kept.push((labels.clone(), points));
            }
        }
        Some(Self {
            versions,
            first: steps.start,
            last,
            rows: kept,
        })
    }

    /// Those of `steps` that come after what is kept.
    fn after(&self, steps: Steps) -> Option<Steps> {
        let first = self.last + steps.step;
        let left = steps.end().checked_sub(first).filter(|left| *left >= 0)?;
        Some(Steps {
            start: first,
            step: steps.step,
            count: usize::try_from(left / steps.step).ok()? + 1,
        })
    }

    /// The rows of an answer to the steps after these, with what is kept of `steps` before them.
    fn before(&self, rows: Vec<(Labels, Vec<Point>)>, steps: Steps) -> Vec<(Labels, Vec<Point>)> {
        let mut all = Vec::with_capacity(rows.len().max(self.rows.len()));
        let mut rows = rows.into_iter().peekable();
        for (labels, points) in &self.rows {
            while let Some(row) = rows.next_if(|(one, _)| one < labels) {
                all.push(row);
            }
            let from = points.partition_point(|(time, _)| *time < steps.start);
            let to = points.partition_point(|(time, _)| *time <= steps.end());
            let kept = points[from.min(to)..to].iter();
            let mut points: Vec<Point> = kept.map(|(time, value)| point(*time, *value)).collect();
            if let Some((_, after)) = rows.next_if(|(one, _)| one == labels) {
                points.extend(after);
            }
            if !points.is_empty() {
                all.push((labels.clone(), points));
            }
        }
        all.extend(rows);
        all
    }

    fn bytes(&self) -> usize {
        // A label set that only this answer has takes some hundred bytes.
        let row = |(_, points): &(Labels, Vec<(i64, f64)>)| 128 + points.capacity() * 16;
        size_of::<Self>() + self.rows.iter().map(row).sum::<usize>()
    }
}

fn point(time: i64, value: f64) -> Point {
    Point {
        time: Millis(time),
        value: PointValue::Float(value),
    }
}
