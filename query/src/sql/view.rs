//! Tables that read well: names instead of ids, timestamps instead of numbers.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::{
    catalog::{
        CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList,
        SchemaProvider, TableProvider,
    },
    common::plan_datafusion_err,
    dataframe::DataFrame,
    error::Result,
    execution::SessionState,
    prelude::SessionContext,
};

use super::SCHEMA;

/// Each view and the query that it stands for.
const VIEWS: [(&str, &str); 4] = [
    (
        "metrics",
        // A series has a row for each day on which it has samples.
        "SELECT to_timestamp_millis(samples.time) AS time, samples.metric AS metric, named.labels AS labels, \
                samples.value AS value, named.unit AS unit, named.kind AS kind \
         FROM samples JOIN (SELECT series_id, first_value(labels) AS labels, first_value(unit) AS unit, \
                                   first_value(kind) AS kind FROM series GROUP BY series_id) AS named \
         ON samples.series_id = named.series_id",
    ),
    (
        "traces",
        "SELECT to_timestamp_nanos(start_time) AS time, encode(trace_id, 'hex') AS trace_id, \
                encode(span_id, 'hex') AS span_id, encode(parent_span_id, 'hex') AS parent_span_id, service, \
                name AS operation, kind, duration / 1000000.0 AS duration_ms, status_code AS status, status_message, \
                attributes, resource_attributes AS resource FROM spans",
    ),
    (
        "log_lines",
        "SELECT to_timestamp_nanos(time) AS time, service, severity_text AS severity, body AS line, \
                encode(trace_id, 'hex') AS trace_id, encode(span_id, 'hex') AS span_id, attributes, \
                resource_attributes AS resource FROM logs",
    ),
    (
        "change_log",
        "SELECT to_timestamp_nanos(time) AS time, kind, entity, who, what, attributes FROM changes",
    ),
];

/// Functions whose result is as large as an argument says: no limit of memory would see it coming.
const UNBOUNDED: [&str; 9] = [
    "repeat",
    "lpad",
    "rpad",
    "range",
    "generate_series",
    "array_repeat",
    "list_repeat",
    "array_resize",
    "list_resize",
];

/// The schema of a tenant: its tables, and views that are planned when a statement asks for them.
#[derive(Debug)]
struct Views {
    tables: Arc<dyn SchemaProvider>,
    /// Knows the tables alone.
    planner: SessionState,
}

#[async_trait]
impl SchemaProvider for Views {
    fn table_names(&self) -> Vec<String> {
        let mut all = self.tables.table_names();
        all.extend(names().map(str::to_owned));
        all
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Some((_, definition)) = VIEWS.iter().find(|(known, _)| *known == name) else {
            return self.tables.table(name).await;
        };
        let plan = self.planner.create_logical_plan(definition).await?;
        let view = DataFrame::new(self.planner.clone(), plan).into_view();
        Ok(Some(view))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.tables.table_exist(name) || names().any(|known| known == name)
    }
}

/// A session over the tables of another, in which the views are as well.
pub(super) fn with_views(tables: &SessionContext, tenant: &str) -> Result<SessionContext> {
    let planner = tables.state();
    let found = planner.catalog_list().catalog(tenant);
    let found = found.and_then(|catalog| catalog.schema(SCHEMA));
    let views = Views {
        tables: found.ok_or_else(|| plan_datafusion_err!("no schema {tenant}.{SCHEMA}"))?,
        planner,
    };
    let mut state = views.planner.clone();
    let (catalog, catalogs) = (
        MemoryCatalogProvider::new(),
        MemoryCatalogProviderList::new(),
    );
    catalog.register_schema(SCHEMA, Arc::new(views))?;
    catalogs.register_catalog(tenant.to_owned(), Arc::new(catalog));
    state.register_catalog_list(Arc::new(catalogs));
    Ok(SessionContext::new_with_state(state))
}

/// The names of all views.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    VIEWS.into_iter().map(|(name, _)| name)
}

/// Takes functions out of a session that can use up all memory at once.
pub(super) fn remove_unbounded(context: &SessionContext) {
    for name in UNBOUNDED {
        context.deregister_udf(name);
    }
}
