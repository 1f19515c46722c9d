//! One DataFusion session per query: its tables, its memory, its settings.

use std::sync::Arc;

use datafusion::{
    execution::runtime_env::RuntimeEnv,
    prelude::{SessionConfig, SessionContext},
};
use demarc_store::{Snapshot, Table};

use crate::{QueryError, sql::SCHEMA, table::SnapshotTable};

/// A session in which the tables of `snapshot`, and no others, exist; its catalog bears the tenant's name.
pub(crate) fn session(
    snapshot: &Snapshot,
    memory: &Arc<RuntimeEnv>,
) -> Result<SessionContext, QueryError> {
    let settings = SessionConfig::new()
        .with_information_schema(true)
        .with_default_catalog_and_schema(snapshot.tenant().as_str(), SCHEMA)
        .with_target_partitions(2)
        .set_bool("datafusion.execution.parquet.pushdown_filters", true);
    let context = SessionContext::new_with_config_rt(settings, Arc::clone(memory));
    for table in Table::ALL {
        context.register_table(table.name(), Arc::new(SnapshotTable::new(snapshot, table)))?;
    }
    Ok(context)
}
