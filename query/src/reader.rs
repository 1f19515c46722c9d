//! One party's way to its data: every query that it asks is bound by its limits.

mod discover;
mod newest;
mod rows;
mod sql;

use std::{future::Future, sync::Arc, time::Duration};

use demarc_proto::Millis;
use demarc_store::Snapshot;

use crate::{
    Answer, Engine, QueryConfig, QueryError, Tenants,
    budget::Budget,
    metric::Running,
    promql::{self, Asked, Prepared, Steps},
    reading::Reading,
    workers::Task,
};

pub use discover::{Census, Found, Metadata, Where, selects};
pub use newest::{ExemplarPoint, ExemplarSeries, Source};
pub use rows::RowStream;
pub use sql::{Description, Frame, Statement};

/// Times further away than this many milliseconds are as far away as this: no sum of a few of them overflows.
const FAR_MILLIS: i64 = 1 << 60;

/// What a client may say of how its query is to be answered; `None` is as configured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// How far instant selectors look back.
    pub lookback: Option<Duration>,
    /// Longest that the query may run; never longer than configured.
    pub timeout: Option<Duration>,
    /// Whether the samples of a PromQL query are counted.
    pub counting: Counting,
    /// What of earlier answers may be used.
    pub reuse: Reuse,
}

/// Whether the samples of a PromQL query are counted by step, which takes about as long as the query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Counting {
    /// They are not.
    #[default]
    Skip,
    /// They are.
    PerStep,
}

/// What of earlier answers may be used for a range query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reuse {
    /// What is settled.
    #[default]
    Settled,
    /// Nothing.
    Nothing,
}

/// One party's way to its data.
#[derive(Debug)]
pub struct Reader<'a> {
    engine: &'a Engine,
    tenants: Tenants,
    options: Options,
    origin: Origin,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Origin {
    /// Somebody outside, who waits for a turn.
    Client,
    /// Rules and verdicts.
    Inside,
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

/// An answer to PromQL and what it took.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The answer.
    pub answer: Answer,
    /// What it took.
    pub stats: Stats,
}

/// What a query took.
#[derive(Clone, Debug)]
pub struct Stats {
    /// From the moment that it had its place to the answer.
    pub evaluation: Duration,
    /// From the request to that moment.
    pub queue: Duration,
    /// Samples that were loaded, which are held until the answer is there.
    pub loaded: usize,
    /// Samples that the selectors read at each time; empty unless they were to be counted.
    pub per_step: Vec<(Millis, u64)>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(
        engine: &'a Engine,
        tenants: Tenants,
        options: Options,
        origin: Origin,
    ) -> Self {
        Self {
            engine,
            tenants,
            options,
            origin,
        }
    }

    /// Whose data is read.
    pub fn tenants(&self) -> &Tenants {
        &self.tenants
    }

    /// Evaluates PromQL at one time.
    pub async fn instant(&self, query: &str, at: Millis) -> Result<Reply, QueryError> {
        let at = at.0.clamp(-FAR_MILLIS, FAR_MILLIS);
        let asked = Asked {
            steps: Steps::at(at),
            is_range: false,
        };
        self.ask("promql_instant", query, asked).await
    }

    /// Evaluates PromQL at each step of a range.
    pub async fn range(&self, query: &str, range: RangeParams) -> Result<Reply, QueryError> {
        let steps = steps(range, self.engine.config(&self.tenants).max_points)?;
        let asked = Asked {
            steps,
            is_range: true,
        };
        self.ask("promql_range", query, asked).await
    }

    async fn ask(
        &self,
        kind: &'static str,
        query: &str,
        asked: Asked,
    ) -> Result<Reply, QueryError> {
        let query = self.checked(query)?;
        let counting = self.options.counting;
        // Rules and verdicts ask each question once.
        let is_client = matches!(self.origin, Origin::Client);
        let reuses = asked.is_range && is_client && self.options.reuse == Reuse::Settled;
        let results = reuses.then(|| Arc::clone(&self.engine.results));
        let work = move |reading: Reading| async move {
            let query = Prepared {
                expr: promql::parse(&query)?,
                text: query,
                asked,
            };
            let begun = reading.budget.elapsed();
            let answer = match results {
                Some(results) => results.evaluate(&reading, &query)?,
                None => promql::evaluate(&reading, &query)?,
            };
            let stats = Stats {
                evaluation: reading.budget.elapsed().saturating_sub(begun),
                queue: begun,
                loaded: reading.budget.samples(),
                per_step: match counting {
                    Counting::Skip => Vec::new(),
                    Counting::PerStep => counted(&reading, &query)?,
                },
            };
            Ok(Reply { answer, stats })
        };
        self.run(kind, work).await
    }

    /// A query's text, unless it is too long to be looked at.
    fn checked(&self, query: &str) -> Result<String, QueryError> {
        let limit = self.engine.config(&self.tenants).max_query_bytes;
        if query.len() > limit {
            let got = query.len();
            return Err(QueryError::Parameter(format!(
                "query of {got} bytes: must be at most {limit} (max_query_bytes)"
            )));
        }
        Ok(query.to_owned())
    }

    /// Does `work` on the threads for queries, over snapshots that are made when its turn comes.
    async fn run<T, F>(
        &self,
        kind: &'static str,
        work: impl FnOnce(Reading) -> F + Send + 'static,
    ) -> Result<T, QueryError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, QueryError>> + Send + 'static,
    {
        self.begin(kind, work).await?.done().await
    }

    /// As [`Self::run`], without waiting for its end.
    async fn begin<T, F>(
        &self,
        kind: &'static str,
        work: impl FnOnce(Reading) -> F + Send + 'static,
    ) -> Result<Begun<T>, QueryError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, QueryError>> + Send + 'static,
    {
        let config = self.asked_config();
        let timeout = config.timeout();
        let timeout = self.options.timeout.map_or(timeout, |own| own.min(timeout));
        let total = self.engine.memory.total();
        let budget = Arc::new(Budget::new(&config, timeout, total));
        let memory = self.engine.memory.share(config.memory_bytes);
        let (store, tenants) = (Arc::clone(&self.engine.store), self.tenants.clone());
        let (limits, counted) = (Arc::clone(&config), Arc::clone(&budget));
        let crew = Arc::clone(&self.engine.crew);
        let running = Running::start(kind);
        let work = async move {
            counted.check()?;
            let snapshots: Vec<Snapshot> = tenants.iter().map(|one| store.snapshot(one)).collect();
            let reading = Reading {
                snapshots,
                config: limits,
                budget: counted,
                memory,
                crew,
            };
            work(reading).await
        };
        let workers = &self.engine.workers;
        let task = match self.origin {
            Origin::Inside => workers.at_once(&budget, work),
            Origin::Client => {
                let who = self.tenants.to_string();
                workers.in_turn((&who, &config), &budget, work).await
            }
        };
        match task {
            Ok(task) => Ok(Begun {
                task,
                budget,
                running,
            }),
            Err(fault) => {
                running.end(Some(&fault), budget.elapsed());
                Err(fault)
            }
        }
    }

    /// The limits with what the client said laid over them.
    fn asked_config(&self) -> Arc<QueryConfig> {
        let mut config = self.engine.config(&self.tenants);
        if let Some(lookback) = self.options.lookback {
            Arc::make_mut(&mut config).lookback_seconds = lookback.as_secs_f64();
        }
        config
    }

    /// The tenant whose data is asked for in a way that knows but one.
    fn only(&self, what: &str) -> Result<(), QueryError> {
        match self.tenants.only() {
            Some(_) => Ok(()),
            None => Err(QueryError::Parameter(format!(
                "tenants {}: {what} reads one tenant's data at a time",
                self.tenants
            ))),
        }
    }
}

/// A query that runs.
#[derive(Debug)]
struct Begun<T> {
    task: Task<T>,
    budget: Arc<Budget>,
    running: Running,
}

impl<T> Begun<T> {
    async fn done(self) -> Result<T, QueryError> {
        let done = self.task.done().await;
        self.running.end(done.as_ref().err(), self.budget.elapsed());
        done
    }
}

fn counted(reading: &Reading, query: &Prepared) -> Result<Vec<(Millis, u64)>, QueryError> {
    let counts = promql::count_samples(reading, query)?;
    let times = query.asked.steps.times().map(Millis);
    Ok(times.zip(counts).collect())
}

fn steps(range: RangeParams, max_points: usize) -> Result<Steps, QueryError> {
    let step = i64::try_from(range.step.as_millis()).unwrap_or(FAR_MILLIS);
    let step = step.min(FAR_MILLIS);
    if step < 1 {
        let sentence = "zero or negative query resolution step widths are not accepted: step must be at least 1 ms";
        return Err(QueryError::Parameter(sentence.to_owned()));
    }
    if range.end < range.start {
        let sentence = "end timestamp must not be before start timestamp";
        return Err(QueryError::Parameter(sentence.to_owned()));
    }
    let (start, end) = (range.start.0, range.end.0);
    let start = start.clamp(-FAR_MILLIS, FAR_MILLIS);
    let end = end.clamp(-FAR_MILLIS, FAR_MILLIS);
    let count = end.abs_diff(start) / step.unsigned_abs() + 1;
    if count > max_points as u64 {
        return Err(QueryError::Parameter(format!(
            "exceeded maximum resolution of {max_points} points per timeseries (max_points) with {count}: try a larger step"
        )));
    }
    Ok(Steps {
        start,
        step,
        count: usize::try_from(count).unwrap_or(1),
    })
}
