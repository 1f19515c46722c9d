//! What a query may cost.

use std::{collections::BTreeMap, time::Duration};

/// Limits of queries.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueryConfig {
    /// Longest that one query may run, in seconds; its wait for a place counts.
    pub timeout_seconds: u64,
    /// Most series that one query may select.
    pub max_series: usize,
    /// Most samples that one PromQL query may hold.
    pub max_samples: usize,
    /// Most bytes of samples that one PromQL query may hold, and of rows that SQL may return.
    pub max_bytes: usize,
    /// Most points of one series in a range query.
    pub max_points: usize,
    /// Most rows that SQL may return.
    pub max_rows: usize,
    /// Longest text of a query, in bytes.
    pub max_query_bytes: usize,
    /// Memory of one query's sorts, joins and aggregations, in bytes; beyond it they spill to disk where they can.
    pub memory_bytes: usize,
    /// The same of all queries together.
    pub total_memory_bytes: usize,
    /// Memory of answers to range queries that are kept; 0 keeps none.
    pub results_bytes: usize,
    /// Most bytes that all queries together may spill to the disk.
    pub spill_bytes: u64,
    /// Most queries that are evaluated at once.
    pub max_concurrent: usize,
    /// Most of them for one tenant.
    pub max_concurrent_per_tenant: usize,
    /// Most queries of one tenant that wait; more are refused.
    pub max_queued_per_tenant: usize,
    /// Most tenants that one query may name as `a|b`; 1 allows none but its own.
    pub max_tenants: usize,
    /// How far an instant selector looks back for a sample, in seconds.
    pub lookback_seconds: f64,
    /// Step of subqueries that name none, in seconds.
    pub subquery_step_seconds: u64,
    /// Other limits for some tenants, by tenant.
    pub tenants: BTreeMap<String, TenantLimits>,
}

/// The limits that may differ between tenants; what is absent is as for everyone.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TenantLimits {
    /// As [`QueryConfig::timeout_seconds`].
    pub timeout_seconds: Option<u64>,
    /// As [`QueryConfig::max_series`].
    pub max_series: Option<usize>,
    /// As [`QueryConfig::max_samples`].
    pub max_samples: Option<usize>,
    /// As [`QueryConfig::max_bytes`].
    pub max_bytes: Option<usize>,
    /// As [`QueryConfig::max_points`].
    pub max_points: Option<usize>,
    /// As [`QueryConfig::max_rows`].
    pub max_rows: Option<usize>,
    /// As [`QueryConfig::memory_bytes`].
    pub memory_bytes: Option<usize>,
    /// As [`QueryConfig::max_concurrent_per_tenant`].
    pub max_concurrent: Option<usize>,
    /// As [`QueryConfig::max_queued_per_tenant`].
    pub max_queued: Option<usize>,
}

impl Default for QueryConfig {
    fn default() -> Self {
        Self {
            timeout_seconds: 120,
            max_series: 500_000,
            max_samples: 50_000_000,
            max_bytes: 1 << 30,
            max_points: 11_000,
            max_rows: 1_000_000,
            max_query_bytes: 128 << 10,
            memory_bytes: 1 << 30,
            total_memory_bytes: 4 << 30,
            results_bytes: 64 << 20,
            spill_bytes: 20 << 30,
            max_concurrent: 16,
            max_concurrent_per_tenant: 8,
            max_queued_per_tenant: 512,
            max_tenants: 16,
            lookback_seconds: 300.0,
            subquery_step_seconds: 60,
            tenants: BTreeMap::new(),
        }
    }
}

impl QueryConfig {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }

    /// These limits with those of one tenant laid over them.
    pub(crate) fn overlaid(&self, limits: &TenantLimits) -> Self {
        let mut config = Self {
            tenants: BTreeMap::new(),
            ..self.clone()
        };
        lay(&mut config.timeout_seconds, limits.timeout_seconds);
        lay(&mut config.max_series, limits.max_series);
        lay(&mut config.max_samples, limits.max_samples);
        lay(&mut config.max_bytes, limits.max_bytes);
        lay(&mut config.max_points, limits.max_points);
        lay(&mut config.max_rows, limits.max_rows);
        lay(&mut config.memory_bytes, limits.memory_bytes);
        lay(&mut config.max_concurrent_per_tenant, limits.max_concurrent);
        lay(&mut config.max_queued_per_tenant, limits.max_queued);
        config
    }

    /// Of each limit that may differ between tenants, the lower one.
    pub(crate) fn strictest(self, other: &Self) -> Self {
        Self {
            timeout_seconds: self.timeout_seconds.min(other.timeout_seconds),
            max_series: self.max_series.min(other.max_series),
            max_samples: self.max_samples.min(other.max_samples),
            max_bytes: self.max_bytes.min(other.max_bytes),
            max_points: self.max_points.min(other.max_points),
            max_rows: self.max_rows.min(other.max_rows),
            memory_bytes: self.memory_bytes.min(other.memory_bytes),
            max_concurrent_per_tenant: self
                .max_concurrent_per_tenant
                .min(other.max_concurrent_per_tenant),
            max_queued_per_tenant: self.max_queued_per_tenant.min(other.max_queued_per_tenant),
            ..self
        }
    }

    /// Names the first setting that cannot work, its value, and what would be right.
    pub fn validate(&self) -> Result<(), String> {
        self.validate_numbers()?;
        for (tenant, limits) in &self.tenants {
            demarc_proto::TenantId::new(tenant.clone())
                .map_err(|fault| format!("tenants: {fault}"))?;
            let overlaid = self.overlaid(limits).validate_numbers();
            overlaid.map_err(|fault| format!("tenants.{tenant}: {fault}"))?;
        }
        Ok(())
    }

    fn validate_numbers(&self) -> Result<(), String> {
        let positive = [
            ("timeout_seconds", self.timeout_seconds as usize),
            ("max_series", self.max_series),
            ("max_samples", self.max_samples),
            ("max_bytes", self.max_bytes),
            ("max_points", self.max_points),
            ("max_rows", self.max_rows),
            ("max_query_bytes", self.max_query_bytes),
            ("memory_bytes", self.memory_bytes),
            ("total_memory_bytes", self.total_memory_bytes),
            ("max_concurrent", self.max_concurrent),
            ("max_concurrent_per_tenant", self.max_concurrent_per_tenant),
            ("max_tenants", self.max_tenants),
            ("subquery_step_seconds", self.subquery_step_seconds as usize),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(format!("{name} = 0: must be at least 1"));
        }
        // Semaphores count to less than a machine word.
        if self.max_concurrent > 1024 {
            let got = self.max_concurrent;
            return Err(format!("max_concurrent = {got}: must be at most 1024"));
        }
        let lookback = self.lookback_seconds;
        if !(0.001..=31_536_000.0).contains(&lookback) {
            return Err(format!(
                "lookback_seconds = {lookback}: must be between 0.001 and 31536000"
            ));
        }
        Ok(())
    }
}

fn lay<T>(setting: &mut T, over: Option<T>) {
    if let Some(value) = over {
        *setting = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenants_limits_lie_over_those_of_everyone() {
        let config = QueryConfig::default();
        let limits = TenantLimits {
            max_series: Some(7),
            ..TenantLimits::default()
        };
        let laid = config.overlaid(&limits);
        assert_eq!((laid.max_series, laid.max_samples), (7, config.max_samples));
    }

    #[test]
    fn a_wrong_limit_is_named_with_its_tenant() {
        let limits = TenantLimits {
            max_rows: Some(0),
            ..TenantLimits::default()
        };
        let config = QueryConfig {
            tenants: BTreeMap::from([("tax".to_owned(), limits)]),
            ..QueryConfig::default()
        };
        let fault = config.validate().unwrap_err();
        assert_eq!(fault, "tenants.tax: max_rows = 0: must be at least 1");
    }
}
