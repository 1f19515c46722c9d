//! Alerting and recording rules in Prometheus' file format, and the states of alerts.
//!
//! rule file -> [`RuleSet`] -> [`Rules::evaluate`]: query -> `step` per alert -> [`AlertEvent`]s, and `ALERTS` series in the store
//!
//! Invariants: a step is a pure function of state, condition and time; an error of one rule does not stop another.
//!
//! Reading order: [`RuleSet`] (`file`), `alert` (the state machine), `template`, `group` (one evaluation), `restore` (after a
//! restart), [`Rules`].

mod alert;
mod duration;
mod error;
mod file;
mod group;
mod restore;
mod rules;
mod template;

pub use alert::{AlertState, Condition, Timing, step};
pub use error::RulesError;
pub use file::{AlertRule, Group, RecordRule, Rule, RuleSet, Scope};
pub use group::{Alert, AlertEvent, RuleHealth, Transition};
pub use rules::{GroupView, Rules, RulesConfig};
