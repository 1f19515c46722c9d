//! A tenant's series over the times that are looked at.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use demarc_proto::{Labels, METRIC_NAME, TenantId, TimeRange};
use demarc_query::{Engine, RangeParams, Value};

use super::{
    Window,
    shared::{Found, Shared},
};
use crate::{IncidentError, QueryLanguage, StoredQuery, shift::Point};

/// Most points of one series that are asked for in one range.
const MAX_POINTS: u32 = 600;

/// One tenant's series.
#[derive(Debug)]
pub(crate) struct Series<'a> {
    engine: &'a Engine,
    shared: &'a Shared,
    pub(crate) tenant: &'a TenantId,
    pub(crate) window: &'a Window,
    /// Names of all metrics that there are: what is not there need not be asked for.
    names: Arc<BTreeSet<String>>,
}

impl<'a> Series<'a> {
    pub(crate) async fn open(
        (engine, shared): (&'a Engine, &'a Shared),
        tenant: &'a TenantId,
        window: &'a Window,
    ) -> Result<Self, IncidentError> {
        let names = match shared.names(tenant) {
            Some(known) => known,
            None => {
                let names = engine.label_values(tenant, METRIC_NAME, &[], None).await?;
                let names = Arc::new(names.into_iter().collect());
                shared.keep_names(tenant.clone(), &names);
                names
            }
        };
        Ok(Self {
            engine,
            shared,
            tenant,
            window,
            names,
        })
    }

    /// Whether the tenant has such a metric.
    pub(crate) fn has(&self, metric: &str) -> bool {
        self.names.contains(metric)
    }

    /// Evaluates a query at the steps of every range; points of all ranges together.
    pub(crate) async fn steps(&self, query: &str) -> Result<Arc<Found>, IncidentError> {
        let mut found = Vec::new();
        for range in self.window.ranges() {
            let step = self.window.step.max(range.duration() / MAX_POINTS);
            let params = RangeParams {
                start: range.start().to_millis(),
                end: range.end().to_millis(),
                step: Duration::from_millis(u64::try_from(step.as_millis()).unwrap_or(u64::MAX)),
            };
            found.push(self.range(query, params).await?);
        }
        Ok(joined(found))
    }

    async fn range(&self, query: &str, params: RangeParams) -> Result<Arc<Found>, IncidentError> {
        let step = i64::try_from(params.step.as_millis()).unwrap_or(i64::MAX);
        let times = [params.start.0, params.end.0, step];
        let key = (self.tenant.clone(), query.to_owned(), times);
        if let Some(known) = self.shared.series(&key) {
            return Ok(known);
        }
        let answer = self.engine.range(self.tenant, query, params).await?;
        let found = Arc::new(points(answer.value));
        self.shared.keep_series(key, &found);
        Ok(found)
    }

    /// The samples of a selection within one range.
    pub(crate) async fn samples(
        &self,
        selector: &str,
        range: TimeRange,
    ) -> Result<Arc<Found>, IncidentError> {
        let query = format!("{selector}[{}ms]", range.duration().as_millis().max(1));
        let at = range.end().to_millis();
        let key = (self.tenant.clone(), query, [at.0, at.0, 0]);
        if let Some(known) = self.shared.series(&key) {
            return Ok(known);
        }
        let answer = self.engine.instant(self.tenant, &key.1, at).await?;
        let found = Arc::new(points(answer.value));
        self.shared.keep_series(key, &found);
        Ok(found)
    }

    /// The samples of a selection within every range, those of all ranges together.
    pub(crate) async fn all_samples(&self, selector: &str) -> Result<Arc<Found>, IncidentError> {
        let mut found = Vec::new();
        for range in self.window.ranges() {
            found.push(self.samples(selector, range).await?);
        }
        Ok(joined(found))
    }

    /// A query in PromQL over the disturbance and the time before it.
    pub(crate) fn stored(&self, text: String) -> StoredQuery {
        StoredQuery {
            tenant: self.tenant.as_str().to_owned(),
            language: QueryLanguage::PromQl,
            text,
            start: self.window.start.to_millis().0,
            end: self.window.until.to_millis().0,
            step: i64::try_from(self.window.step.as_millis()).unwrap_or(i64::MAX),
            digest: String::new(),
        }
    }
}

/// The points of all ranges together, sorted by their labels.
fn joined(mut ranges: Vec<Arc<Found>>) -> Arc<Found> {
    if ranges.len() == 1 {
        return ranges.remove(0);
    }
    let mut joined: BTreeMap<&Labels, Vec<Point>> = BTreeMap::new();
    for (labels, points) in ranges.iter().flat_map(|found| found.iter()) {
        joined.entry(labels).or_default().extend(points);
    }
    let joined = joined.into_iter();
    Arc::new(
        joined
            .map(|(labels, points)| (labels.clone(), points))
            .collect(),
    )
}

/// The series of an answer, sorted by their labels.
fn points(value: Value) -> Found {
    let Value::Matrix(series) = value else {
        return Vec::new();
    };
    let numbers = |(labels, points): (Labels, Vec<demarc_query::Point>)| {
        let numbers = points
            .iter()
            .filter_map(|point| -> Option<Point> { Some((point.time.to_nanos(), point.float()?)) });
        (labels, numbers.collect())
    };
    let mut found: Found = series.into_iter().map(numbers).collect();
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    found
}
