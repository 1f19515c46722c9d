//! The entry points: PromQL, SQL, traces, and what there is to ask for.

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};
use datafusion::{
    common::ScalarValue,
    execution::context::SQLOptions,
    prelude::{col, lit},
};
use demarc_proto::{Labels, Matcher, Millis, TenantId, TimeRange, TraceId};
use demarc_store::{MetricKind, SpanRow, Store, Table};
use futures::TryStreamExt;

use crate::{
    Answer, QueryConfig, QueryError,
    promql::{self, Asked, Prepared, Steps},
    session::session,
};

/// Answers queries over a store.
#[derive(Debug)]
pub struct Engine {
    store: Arc<Store>,
    config: QueryConfig,
}

/// The evaluation times of a range query: `start`, `start + step` ... up to `end`.
#[derive(Clone, Copy, Debug)]
pub struct RangeParams {
    /// The first time.
    pub start: Millis,
    /// The last time, inclusive.
    pub end: Millis,
    /// The distance between two times; at least a millisecond.
    pub step: Duration,
}

/// Rows that answer SQL.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The columns.
    pub schema: SchemaRef,
    /// The rows.
    pub batches: Vec<RecordBatch>,
}

/// What is known of a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Its kind.
    pub kind: MetricKind,
    /// What it means; empty when unknown.
    pub help: String,
    /// Its unit; empty when unknown.
    pub unit: String,
}

impl Engine {
    /// An engine over `store`.
    pub fn new(store: Arc<Store>, config: QueryConfig) -> Result<Self, QueryError> {
        config.validate().map_err(QueryError::Parameter)?;
        Ok(Self { store, config })
    }

    /// Evaluates PromQL at one time.
    #[tracing::instrument(skip_all, err, fields(%tenant))]
    pub async fn instant(
        &self,
        tenant: &TenantId,
        query: &str,
        at: Millis,
    ) -> Result<Answer, QueryError> {
        let query = Prepared {
            text: query.to_owned(),
            expr: promql::parse(query)?,
            asked: Asked {
                steps: Steps::at(at.0),
                is_range: false,
            },
        };
        let snapshot = self.store.snapshot(tenant);
        self.within_time(promql::evaluate(snapshot, self.config.clone(), query))
            .await
    }

    /// Evaluates PromQL at each step of a range.
    #[tracing::instrument(skip_all, err, fields(%tenant))]
    pub async fn range(
        &self,
        tenant: &TenantId,
        query: &str,
        range: RangeParams,
    ) -> Result<Answer, QueryError> {
        let query = Prepared {
            text: query.to_owned(),
            expr: promql::parse(query)?,
            asked: Asked {
                steps: self.steps(range)?,
                is_range: true,
            },
        };
        let snapshot = self.store.snapshot(tenant);
        self.within_time(promql::evaluate(snapshot, self.config.clone(), query))
            .await
    }

    fn steps(&self, range: RangeParams) -> Result<Steps, QueryError> {
        let step = i64::try_from(range.step.as_millis()).unwrap_or(i64::MAX);
        if step < 1 {
            let sentence = "step: must be at least 1 ms".to_owned();
            return Err(QueryError::Parameter(sentence));
        }
        if range.end < range.start {
            let sentence = format!(
                "end {}: must not be before start {}",
                range.end.0, range.start.0
            );
            return Err(QueryError::Parameter(sentence));
        }
        let count = range.end.0.abs_diff(range.start.0) / step.unsigned_abs() + 1;
        if count > self.config.max_points as u64 {
            let sentence = format!(
                "{count} points per series: at most {} (max_points); use a larger step",
                self.config.max_points
            );
            return Err(QueryError::Parameter(sentence));
        }
        Ok(Steps {
            start: range.start.0,
            step,
            count: usize::try_from(count).unwrap_or(1),
        })
    }

    /// Label sets of the series that any of `selectors` selects; of all series when there is none.
    pub async fn series(
        &self,
        tenant: &TenantId,
        selectors: &[String],
        range: Option<TimeRange>,
    ) -> Result<Vec<Labels>, QueryError> {
        let snapshot = self.store.snapshot(tenant);
        let mut found = BTreeMap::new();
        for matchers in matcher_sets(selectors)? {
            for entry in snapshot.select(&matchers, range)? {
                found.insert(entry.labels.clone(), ());
            }
        }
        Ok(found.into_keys().collect())
    }

    /// Names of the labels of the selected series, sorted.
    pub async fn label_names(
        &self,
        tenant: &TenantId,
        selectors: &[String],
        range: Option<TimeRange>,
    ) -> Result<Vec<String>, QueryError> {
        let series = self.series(tenant, selectors, range).await?;
        let names = series
            .iter()
            .flat_map(|labels| labels.iter().map(|(name, _)| name.to_owned()));
        Ok(names
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect())
    }

    /// Values of one label among the selected series, sorted.
    pub async fn label_values(
        &self,
        tenant: &TenantId,
        name: &str,
        selectors: &[String],
        range: Option<TimeRange>,
    ) -> Result<Vec<String>, QueryError> {
        let series = self.series(tenant, selectors, range).await?;
        let values = series
            .iter()
            .map(|labels| labels.get(name))
            .filter(|value| !value.is_empty());
        let values: std::collections::BTreeSet<String> = values.map(str::to_owned).collect();
        Ok(values.into_iter().collect())
    }

    /// What is known of one metric, or of all.
    pub async fn metadata(
        &self,
        tenant: &TenantId,
        metric: Option<&str>,
    ) -> Result<BTreeMap<String, Vec<Metadata>>, QueryError> {
        let snapshot = self.store.snapshot(tenant);
        let matchers: Vec<Matcher> = metric
            .map(|name| Matcher::equal(demarc_proto::METRIC_NAME, name))
            .into_iter()
            .collect();
        let mut found: BTreeMap<String, Vec<Metadata>> = BTreeMap::new();
        for entry in snapshot.select(&matchers, None)? {
            let one = Metadata {
                kind: entry.kind,
                help: entry.help.clone(),
                unit: entry.unit.clone(),
            };
            let known = found.entry(entry.labels.metric().to_owned()).or_default();
            if !known.contains(&one) {
                known.push(one);
            }
        }
        Ok(found)
    }

    /// The spans of a trace, by start; empty when there are none.
    #[tracing::instrument(skip_all, err, fields(%tenant, %id))]
    pub async fn trace(&self, tenant: &TenantId, id: TraceId) -> Result<Vec<SpanRow>, QueryError> {
        let snapshot = self.store.snapshot(tenant);
        let work = async {
            let context = session(&snapshot, &self.config)?;
            let wanted = lit(ScalarValue::Binary(Some(id.as_bytes().to_vec())));
            let frame = context.table(Table::Spans.name()).await?;
            let batches = frame.filter(col("trace_id").eq(wanted))?.collect().await?;
            let mut spans = Vec::new();
            for batch in &batches {
                spans.extend(SpanRow::from_batch(batch)?);
            }
            spans.sort_by_key(|span| (span.start, span.span_id));
            Ok(spans)
        };
        self.within_time(work).await
    }

    /// Answers SQL that reads; anything that would write is refused.
    #[tracing::instrument(skip_all, err, fields(%tenant))]
    pub async fn sql(&self, tenant: &TenantId, sql: &str) -> Result<Frame, QueryError> {
        let snapshot = self.store.snapshot(tenant);
        let work = async {
            let context = session(&snapshot, &self.config)?;
            let read_only = SQLOptions::new()
                .with_allow_ddl(false)
                .with_allow_dml(false)
                .with_allow_statements(false);
            let frame = context.sql_with_options(sql, read_only).await?;
            let mut stream = frame.execute_stream().await?;
            let mut answer = Frame {
                schema: stream.schema(),
                batches: Vec::new(),
            };
            let mut rows = 0;
            while let Some(batch) = stream.try_next().await? {
                rows += batch.num_rows();
                if rows > self.config.max_rows {
                    return Err(QueryError::Limit {
                        what: "rows",
                        limit: self.config.max_rows,
                    });
                }
                answer.batches.push(batch);
            }
            Ok(answer)
        };
        self.within_time(work).await
    }

    async fn within_time<T>(
        &self,
        work: impl Future<Output = Result<T, QueryError>>,
    ) -> Result<T, QueryError> {
        let limit = self.config.timeout();
        tokio::time::timeout(limit, work)
            .await
            .unwrap_or(Err(QueryError::Timeout(limit)))
    }
}

/// The matchers of each selector; one empty set, which selects everything, when there is none.
fn matcher_sets(selectors: &[String]) -> Result<Vec<Vec<Matcher>>, QueryError> {
    if selectors.is_empty() {
        return Ok(vec![Vec::new()]);
    }
    let mut sets = Vec::new();
    for selector in selectors {
        sets.push(promql::parse_selector(selector)?.matchers);
    }
    Ok(sets)
}
