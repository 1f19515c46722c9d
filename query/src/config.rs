//! What a query may cost.

use std::time::Duration;

/// Limits of queries.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueryConfig {
    /// Longest that one query may run, in seconds.
    pub timeout_seconds: u64,
    /// Most samples that one PromQL query may hold.
    pub max_samples: usize,
    /// Most points of one series in a range query.
    pub max_points: usize,
    /// Most rows that SQL may return.
    pub max_rows: usize,
    /// Memory of one query's sorts, joins and aggregations, in bytes.
    pub memory_bytes: usize,
    /// How far an instant selector looks back for a sample, in seconds.
    pub lookback_seconds: u64,
    /// Step of subqueries that name none, in seconds.
    pub subquery_step_seconds: u64,
}

impl Default for QueryConfig {
    fn default() -> Self {
        Self {
            timeout_seconds: 120,
            max_samples: 50_000_000,
            max_points: 11_000,
            max_rows: 1_000_000,
            memory_bytes: 1 << 30,
            lookback_seconds: 300,
            subquery_step_seconds: 60,
        }
    }
}

impl QueryConfig {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }

    /// Names the first setting that cannot work, its value, and what would be right.
    pub fn validate(&self) -> Result<(), String> {
        let positive = [
            ("timeout_seconds", self.timeout_seconds as usize),
            ("max_samples", self.max_samples),
            ("max_points", self.max_points),
            ("max_rows", self.max_rows),
            ("memory_bytes", self.memory_bytes),
            ("lookback_seconds", self.lookback_seconds as usize),
            ("subquery_step_seconds", self.subquery_step_seconds as usize),
        ];
        match positive.iter().find(|(_, value)| *value == 0) {
            Some((name, _)) => Err(format!("{name} = 0: must be at least 1")),
            None => Ok(()),
        }
    }
}
