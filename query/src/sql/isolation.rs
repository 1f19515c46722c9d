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
