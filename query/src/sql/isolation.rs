//! The last word on whose rows a plan reads: it knows the tenant, and refuses every scan of which it does not know that it is
//! that tenant's.
//!
//! A session holds no other tables in any case. This rule is what fails if that should ever change.

use datafusion::{
    catalog::{
        MemTable, cte_worktable::CteWorkTable, default_table_source::source_as_provider,
        streaming::StreamingTable,
    },
    common::{plan_err, tree_node::TreeNodeRecursion},
    config::ConfigOptions,
    error::Result,
    functions_table::generate_series::GenerateSeriesTable,
    logical_expr::{LogicalPlan, TableScan},
    optimizer::AnalyzerRule,
};
use demarc_proto::TenantId;

use super::postgres::PG_CATALOG;
use crate::table::SnapshotTable;

/// Lets plans pass that read this tenant's rows and write nothing.
#[derive(Debug)]
pub(super) struct OneTenant(TenantId);

impl OneTenant {
    pub(super) fn new(tenant: TenantId) -> Self {
        Self(tenant)
    }

    fn check(&self, node: &LogicalPlan) -> Result<()> {
        match node {
            LogicalPlan::TableScan(scan) => self.check_scan(scan),
            LogicalPlan::Dml(_)
            | LogicalPlan::Ddl(_)
            | LogicalPlan::Copy(_)
            | LogicalPlan::Statement(_)
            | LogicalPlan::Extension(_) => {
                plan_err!("{}: only reading is allowed", node.display())
            }
            _ => Ok(()),
        }
    }

    fn check_scan(&self, scan: &TableScan) -> Result<()> {
        let table = source_as_provider(&scan.source)?;
        let is_own = match table.downcast_ref::<SnapshotTable>() {
            Some(rows) => *rows.tenant() == self.0,
            None if table.is::<StreamingTable>() => {
                scan.table_name.schema() == Some("information_schema")
            }
            None if table.is::<MemTable>() => scan.table_name.schema() == Some(PG_CATALOG),
            None => table.is::<GenerateSeriesTable>() || table.is::<CteWorkTable>(),
        };
        if is_own {
            return Ok(());
        }
        plan_err!(
            "table {}: not readable by tenant {}",
            scan.table_name,
            self.0
        )
    }
}

impl AnalyzerRule for OneTenant {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.apply_with_subqueries(|node| {
            self.check(node)?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(plan)
    }

    fn name(&self) -> &str {
        "one_tenant"
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::{catalog::TableProvider, prelude::SessionContext};
    use demarc_proto::SystemClock;
    use demarc_store::{Store, StoreConfig, Table};

    use super::*;

    #[tokio::test]
    async fn a_session_that_holds_another_tenants_table_does_not_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let (config, clock) = (StoreConfig::default(), Arc::new(SystemClock));
        let store = Store::open(folder.path(), config, clock).await.unwrap();
        let tenant = |name: &str| TenantId::new(name).unwrap();
        let spans = |name: &str| -> Arc<dyn TableProvider> {
            let snapshot = store.snapshot(&tenant(name));
            Arc::new(SnapshotTable::new(&snapshot, Table::Spans))
        };
        let context = SessionContext::new();
        context.register_table("own", spans("tax")).unwrap();
        context
            .register_table("others", spans("education"))
            .unwrap();
        let memory = MemTable::try_new(Table::Spans.schema(), vec![vec![]]).unwrap();
        context.register_table("kept", Arc::new(memory)).unwrap();
        context.add_analyzer_rule(Arc::new(OneTenant::new(tenant("tax"))));
        let run = |text: &'static str| {
            let context = context.clone();
            async move { context.sql(text).await?.collect().await }
        };
        run("SELECT * FROM own").await.unwrap();
        run("SELECT * FROM range(0, 3)").await.unwrap();
        for text in [
            "SELECT * FROM others",
            "SELECT * FROM kept",
            "SELECT * FROM own WHERE EXISTS (SELECT 1 FROM others)",
            "SELECT (SELECT max(name) FROM others) FROM own",
            "WITH a AS (SELECT * FROM others) SELECT * FROM own UNION ALL SELECT * FROM a",
            "EXPLAIN ANALYZE SELECT * FROM others",
            "INSERT INTO kept SELECT * FROM own",
        ] {
            let error = run(text).await.unwrap_err().to_string();
            let is_refused = error.contains("not readable by tenant tax")
                || error.contains("only reading is allowed");
            assert!(is_refused, "{text}: {error}");
        }
        store.close().await.unwrap();
    }
}
