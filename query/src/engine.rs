//! The engine: one store, its limits, its threads; readers for whoever asks.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use demarc_proto::{Millis, TenantId, TimeRange, TraceId};
use demarc_store::{SpanRow, Store};

use crate::{
    Answer, Frame, Options, QueryConfig, QueryError, RangeParams, Reader, Tenants, Where,
    crew::Crew, memory::Memory, reader::Origin, results::Results, workers::Workers,
};

/// Answers queries over a store.
#[derive(Debug)]
pub struct Engine {
    pub(crate) store: Arc<Store>,
    /// The limits of everyone, and of the tenants that have their own.
    config: Arc<QueryConfig>,
    of_tenant: BTreeMap<String, Arc<QueryConfig>>,
    pub(crate) memory: Memory,
    pub(crate) workers: Workers,
    pub(crate) crew: Arc<Crew>,
    pub(crate) results: Arc<Results>,
}

impl Engine {
    /// An engine over `store`. Starts the threads that answer queries.
    pub fn new(store: Arc<Store>, config: QueryConfig) -> Result<Self, QueryError> {
        config.validate().map_err(QueryError::Parameter)?;
        let of_tenant = config
            .tenants
            .iter()
            .map(|(tenant, limits)| (tenant.clone(), Arc::new(config.overlaid(limits))))
            .collect();
        Ok(Self {
            store,
            of_tenant,
            memory: Memory::new(&config)?,
            workers: Workers::new(&config)?,
            crew: Arc::new(Crew::new()),
            results: Arc::new(Results::new(config.results_bytes)),
            config: Arc::new(config),
        })
    }

    /// What a client may read. Its queries wait for their turn; naming more tenants than are allowed is an error.
    pub fn reader(&self, tenants: Tenants, options: Options) -> Result<Reader<'_>, QueryError> {
        if tenants.count() > self.config.max_tenants {
            return Err(QueryError::Parameter(format!(
                "{} tenants in one query: at most {} (max_tenants)",
                tenants.count(),
                self.config.max_tenants
            )));
        }
        Ok(Reader::new(self, tenants, options, Origin::Client))
    }

    /// What Demarc's own rules and verdicts read: their queries wait for nobody.
    fn inside(&self, tenant: &TenantId) -> Reader<'_> {
        Reader::new(self, tenant.into(), Options::default(), Origin::Inside)
    }

    /// Ends the oldest query of a client that has run for at least `age`; whether there was one. For when memory runs short in
    /// spite of all limits: not everything that a query holds is counted.
    pub fn shed(&self, age: Duration) -> bool {
        self.workers.shed(age)
    }

    /// The limits that hold for all of `tenants` at once.
    pub(crate) fn config(&self, tenants: &Tenants) -> Arc<QueryConfig> {
        let one = |tenant: &TenantId| self.of_tenant.get(tenant.as_str()).unwrap_or(&self.config);
        if let Some(only) = tenants.only() {
            return Arc::clone(one(only));
        }
        let first = tenants.iter().next().map_or(&self.config, one);
        let strictest = |strict: QueryConfig, tenant| strict.strictest(one(tenant));
        let config = tenants.iter().fold(first.as_ref().clone(), strictest);
        Arc::new(config)
    }

    /// How far an instant selector looks back when nobody says.
    pub fn lookback(&self) -> Duration {
        Duration::from_secs_f64(self.config.lookback_seconds)
    }

    /// Evaluates PromQL at one time.
    #[tracing::instrument(skip_all, err(level = "debug"), fields(%tenant))]
    pub async fn instant(
        &self,
        tenant: &TenantId,
        query: &str,
        at: Millis,
    ) -> Result<Answer, QueryError> {
        Ok(self.inside(tenant).instant(query, at).await?.answer)
    }

    /// Evaluates PromQL at each step of a range.
    #[tracing::instrument(skip_all, err(level = "debug"), fields(%tenant))]
    pub async fn range(
        &self,
        tenant: &TenantId,
        query: &str,
        range: RangeParams,
    ) -> Result<Answer, QueryError> {
        Ok(self.inside(tenant).range(query, range).await?.answer)
    }

    /// Values of one label among the series that any of `selectors` selects, all series when there is none; sorted.
    pub async fn label_values(
        &self,
        tenant: &TenantId,
        name: &str,
        selectors: &[String],
        range: Option<TimeRange>,
    ) -> Result<Vec<String>, QueryError> {
        let wanted = Where {
            selectors: selectors.to_vec(),
            range,
            limit: None,
        };
        Ok(self.inside(tenant).label_values(name, wanted).await?.items)
    }

    /// The spans of a trace, by start; empty when there are none.
    #[tracing::instrument(skip_all, err(level = "debug"), fields(%tenant, %id))]
    pub async fn trace(&self, tenant: &TenantId, id: TraceId) -> Result<Vec<SpanRow>, QueryError> {
        self.inside(tenant).trace(id).await
    }

    /// Answers SQL that reads; anything that would write is refused.
    #[tracing::instrument(skip_all, err(level = "debug"), fields(%tenant))]
    pub async fn sql(&self, tenant: &TenantId, sql: &str) -> Result<Frame, QueryError> {
        self.inside(tenant).sql(sql).await
    }
}
