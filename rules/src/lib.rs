//! Alerting and recording rules, alert states.
