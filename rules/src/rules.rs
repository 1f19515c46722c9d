//! The loop around the pure core: evaluates the groups that are due and writes what they make.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use demarc_proto::{Clock, Nanos, TenantId};
use demarc_query::Engine;
use demarc_store::Store;
use tokio::sync::Mutex;
use tracing::warn;

use crate::{
    Alert, AlertEvent, Group, RuleHealth, RuleSet, Scope,
    group::{self, GroupState},
};

/// What `rules` may be told.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RulesConfig {
    /// How often a group that does not say is evaluated, in seconds.
    pub interval_seconds: u64,
    /// Tenants that rules for every tenant leave out: Demarc's own telemetry.
    pub excluded_tenants: Vec<String>,
}

impl Default for RulesConfig {
    fn default() -> Self {
        Self {
            interval_seconds: 60,
            excluded_tenants: vec!["demarc".to_owned()],
        }
    }
}

/// A group as one tenant sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupView {
    /// Where it stands.
    pub file: String,
    /// Its rules.
    pub group: Group,
    /// How often it is evaluated.
    pub interval: Duration,
    /// When it was evaluated last.
    pub evaluated_at: Option<Nanos>,
    /// How that went, by rule; empty before the first time.
    pub health: Vec<RuleHealth>,
}

/// Key of a group's state: tenant, set, group.
type Key = (TenantId, usize, usize);

/// All rules with the states of their alerts.
#[derive(Debug)]
pub struct Rules {
    engine: Arc<Engine>,
    store: Arc<Store>,
    sets: Vec<RuleSet>,
    config: RulesConfig,
    clock: Arc<dyn Clock>,
    states: Mutex<BTreeMap<Key, GroupState>>,
}

impl Rules {
    /// The rules of `sets`, none of them evaluated yet.
    pub fn new(
        engine: Arc<Engine>,
        store: Arc<Store>,
        sets: Vec<RuleSet>,
        config: RulesConfig,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        Arc::new(Self {
            engine,
            store,
            sets,
            config,
            clock,
            states: Mutex::default(),
        })
    }

    /// Evaluates each group whose interval is over; returns the alerts that began or ceased to fire.
    ///
    /// A failing rule, or a store that takes no results, is logged and does not stop the others.
    #[tracing::instrument(skip_all)]
    pub async fn evaluate(&self) -> Vec<AlertEvent> {
        let now = self.clock.now();
        let mut states = self.states.lock().await;
        let mut events = Vec::new();
        for (key, group) in self.due(&states, now) {
            let state = states.entry(key.clone()).or_default();
            let outcome = {
                let both = (&*self.engine, &*self.store);
                let when = (self.interval(group), now);
                group::evaluate(both, &key.0, group, state, when).await
            };
            for failure in outcome.failures {
                let failure: &dyn std::error::Error = &failure;
                warn!(tenant = %key.0, group = group.name, failure, "rule failed");
            }
            events.extend(outcome.events);
        }
        events
    }

    fn due(&self, states: &BTreeMap<Key, GroupState>, now: Nanos) -> Vec<(Key, &Group)> {
        let mut due = Vec::new();
        for (set_at, set) in self.sets.iter().enumerate() {
            for tenant in self.tenants(&set.scope) {
                for (group_at, group) in set.groups.iter().enumerate() {
                    let key = (tenant.clone(), set_at, group_at);
                    let last = states.get(&key).and_then(|state| state.evaluated_at);
                    if last.is_none_or(|last| now.since(last) >= self.interval(group)) {
                        due.push((key, group));
                    }
                }
            }
        }
        due
    }

    fn tenants(&self, scope: &Scope) -> Vec<TenantId> {
        match scope {
            Scope::Tenant(tenant) => vec![tenant.clone()],
            Scope::EveryTenant => {
                let excluded = |tenant: &TenantId| {
                    self.config
                        .excluded_tenants
                        .iter()
                        .any(|name| name == tenant.as_str())
                };
                self.store
                    .tenants()
                    .into_iter()
                    .filter(|tenant| !excluded(tenant))
                    .collect()
            }
        }
    }

    fn interval(&self, group: &Group) -> Duration {
        group
            .interval
            .unwrap_or(Duration::from_secs(self.config.interval_seconds.max(1)))
    }

    /// All pending and firing alerts of a tenant, in the order of their labels.
    pub async fn alerts(&self, tenant: &TenantId) -> Vec<Alert> {
        let states = self.states.lock().await;
        let of_tenant = states.iter().filter(|((owner, ..), _)| owner == tenant);
        of_tenant
            .flat_map(|(_, state)| state.alerts.values().cloned())
            .collect()
    }

    /// The groups that are evaluated on a tenant's data, and how their last evaluation went.
    pub async fn groups(&self, tenant: &TenantId) -> Vec<GroupView> {
        let states = self.states.lock().await;
        let mut groups = Vec::new();
        for (set_at, set) in self.sets.iter().enumerate() {
            let applies = match &set.scope {
                Scope::EveryTenant => true,
                Scope::Tenant(owner) => owner == tenant,
            };
            if !applies {
                continue;
            }
            for (group_at, group) in set.groups.iter().enumerate() {
                let state = states.get(&(tenant.clone(), set_at, group_at));
                groups.push(GroupView {
                    file: set.file.clone(),
                    group: group.clone(),
                    interval: self.interval(group),
                    evaluated_at: state.and_then(|state| state.evaluated_at),
                    health: state.map(|state| state.health.clone()).unwrap_or_default(),
                });
            }
        }
        groups
    }
}
