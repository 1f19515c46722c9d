//! One DataFusion session per query: its tables, its memory, its settings.

use std::sync::Arc;

use datafusion::{
    execution::{memory_pool::GreedyMemoryPool, runtime_env::RuntimeEnvBuilder},
    prelude::{SessionConfig, SessionContext},
};
use demarc_store::{Snapshot, Table};

use crate::{QueryConfig, QueryError, table::SnapshotTable};

/// A session in which the tables of `snapshot`, and no others, exist.
pub(crate) fn session(
    snapshot: &Snapshot,
    config: &QueryConfig,
) -> Result<SessionContext, QueryError> {
    let pool = Arc::new(GreedyMemoryPool::new(config.memory_bytes));
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(pool)
        .build_arc()?;
    let settings = SessionConfig::new()
        .with_information_schema(true)
        .with_target_partitions(2)
        .set_bool("datafusion.execution.parquet.pushdown_filters", true);
    let context = SessionContext::new_with_config_rt(settings, runtime);
    for table in Table::ALL {
        context.register_table(table.name(), Arc::new(SnapshotTable::new(snapshot, table)))?;
    }
    Ok(context)
}
