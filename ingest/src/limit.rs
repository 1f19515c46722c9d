//! What one tenant may send: counts that refuse rows, and rates that refuse requests until later.

use std::time::Duration;

use demarc_proto::Nanos;
use parking_lot::Mutex;

use crate::IngestError;

/// The limits of one tenant. Source of the kinds of limits: Grafana Mimir, "limits".
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Most series with a value within [`crate::IngestConfig::series_idle_seconds`]; values of further series are refused.
    pub max_active_series: usize,
    /// Rows a second over time, with a second's worth at once; 0 for no limit. Beyond, requests are refused until later.
    pub max_rows_per_second: u64,
    /// Bytes a second, after decompression; 0 for no limit. Beyond, requests are refused until later.
    pub max_bytes_per_second: u64,
    /// Most attributes of one resource, span, point or record, and most labels of a series; a row with more is refused.
    pub max_attributes: usize,
    /// Longest attribute key or label name, in bytes; a row with a longer one is refused.
    pub max_name_bytes: usize,
    /// Longest attribute value, span name or metric name, in bytes. Longer texts are cut, longer label values refuse the
    /// row: cut, they could become the labels of another series.
    pub max_value_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_active_series: 2_000_000,
            max_rows_per_second: 0,
            max_bytes_per_second: 0,
            max_attributes: 256,
            max_name_bytes: 1024,
            max_value_bytes: 16 << 10,
        }
    }
}

impl Limits {
    /// Names the first limit that cannot work, its value, and what would be right.
    pub(crate) fn validate(&self) -> Result<(), String> {
        let positive = [
            ("max_active_series", self.max_active_series),
            ("max_attributes", self.max_attributes),
            ("max_name_bytes", self.max_name_bytes),
            ("max_value_bytes", self.max_value_bytes),
        ];
        for (name, value) in positive {
            if value == 0 {
                return Err(format!("{name} = 0: must be at least 1"));
            }
        }
        Ok(())
    }
}

/// Lets amounts pass at a rate. What passed is paid back afterwards, so that a request larger than a second's worth passes
/// once, and those after it wait.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    state: Mutex<Option<Tokens>>,
}

#[derive(Clone, Copy, Debug)]
struct Tokens {
    left: f64,
    at: Nanos,
}

impl Rate {
    /// Takes `amount` at `now`, or says how long to wait. `per_second` 0 lets everything pass.
    pub(crate) fn take(
        &self,
        what: &'static str,
        amount: usize,
        per_second: u64,
        now: Nanos,
    ) -> Result<(), IngestError> {
        if per_second == 0 {
            return Ok(());
        }
        let rate = per_second as f64;
        let mut state = self.state.lock();
        let before = state.unwrap_or(Tokens {
            left: rate,
            at: now,
        });
        let earned = now.since(before.at).as_secs_f64() * rate;
        let left = (before.left + earned).min(rate);
        let at = now.max(before.at);
        if left <= 0.0 {
            *state = Some(Tokens { left, at });
            let wait = Duration::from_secs_f64((1.0 - left) / rate);
            let retry_after = wait.clamp(Duration::from_secs(1), Duration::from_secs(60));
            return Err(IngestError::RateLimited {
                what,
                per_second,
                retry_after,
            });
        }
        let left = left - amount as f64;
        *state = Some(Tokens { left, at });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passed_is_paid_back_before_more_passes() {
        let rate = Rate::default();
        let at = |seconds: i64| Nanos(seconds * 1_000_000_000);
        assert!(rate.take("rows", 250, 100, at(0)).is_ok());
        let refusal = rate.take("rows", 1, 100, at(1)).unwrap_err();
        assert_eq!(refusal.retry_after(), Some(Duration::from_secs(1)));
        assert!(rate.take("rows", 1, 100, at(2)).is_ok());
        assert!(rate.take("rows", 1_000_000, 0, at(2)).is_ok());
    }
}
