//! What `incident` may be told.

use std::time::Duration;

/// How evidence is gathered and when a verdict is dared.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IncidentConfig {
    /// How far back the time before the disturbance reaches, in seconds.
    pub baseline_seconds: u64,
    /// How long before the first alert the disturbance may have begun, in seconds.
    pub onset_search_seconds: u64,
    /// Evidence ends this long before now, in seconds: what is younger may still be on its way, and evidence that somebody runs
    /// again must say the same. As long as senders take to export what has ended.
    pub settle_seconds: u64,
    /// Most spans that are read per tenant; of more, the newest are.
    pub max_spans: usize,
    /// Most log lines that are read per tenant; of more, the newest are.
    pub max_log_lines: usize,
    /// Most services that are looked at; of more, those nearest to the suffering one by calls are.
    pub max_entities: usize,
    /// Share of all explanations that the first suspect must have for a verdict, 0 to 1.
    pub min_confidence: f64,
    /// A new alert joins an open incident whose last alert is no older than this, in seconds.
    pub grouping_seconds: u64,
    /// How long after its first alert an incident's verdict is renewed, in seconds, as evidence comes in.
    pub renewal_seconds: Vec<u64>,
    /// Tenants whose telemetry is not looked at: Demarc's own.
    pub excluded_tenants: Vec<String>,
}

impl Default for IncidentConfig {
    fn default() -> Self {
        Self {
            baseline_seconds: 600,
            onset_search_seconds: 90,
            settle_seconds: 5,
            max_spans: 200_000,
            max_log_lines: 100_000,
            max_entities: 500,
            min_confidence: 0.5,
            grouping_seconds: 300,
            renewal_seconds: vec![15, 60, 300],
            excluded_tenants: vec!["demarc".to_owned()],
        }
    }
}

impl IncidentConfig {
    pub(crate) fn baseline(&self) -> Duration {
        Duration::from_secs(self.baseline_seconds)
    }

    pub(crate) fn onset_search(&self) -> Duration {
        Duration::from_secs(self.onset_search_seconds)
    }

    /// Names the first setting that cannot work, its value, and what would be right.
    pub fn validate(&self) -> Result<(), String> {
        if !(0.0..=1.0).contains(&self.min_confidence) {
            return Err(format!(
                "min_confidence {}: must be from 0 to 1",
                self.min_confidence
            ));
        }
        if self.baseline_seconds < 30 {
            return Err(format!(
                "baseline_seconds {}: must be at least 30",
                self.baseline_seconds
            ));
        }
        Ok(())
    }
}
