//! What one query sees, and what it may cost.

use std::sync::Arc;

use datafusion::{execution::runtime_env::RuntimeEnv, prelude::SessionContext};
use demarc_proto::{Labels, MatchOp, Matcher, TenantId, TimeRange};
use demarc_store::{SeriesEntry, Snapshot};
use regex::Regex;

use crate::{QueryConfig, QueryError, budget::Budget, crew::Crew, session::session};

/// The label by which series of several tenants are told apart. Source: Grafana Mimir, "Tenant federation".
pub(crate) const TENANT_LABEL: &str = "__tenant_id__";
/// Where a label of that name goes that a series has of its own.
const ORIGINAL_TENANT_LABEL: &str = "original___tenant_id__";

/// What one query sees, and what it may cost.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    /// One per tenant, in the order of their ids; never empty.
    pub(crate) snapshots: Vec<Snapshot>,
    pub(crate) config: Arc<QueryConfig>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) memory: Arc<RuntimeEnv>,
    pub(crate) crew: Arc<Crew>,
}

/// A series that matchers selected.
#[derive(Clone, Debug)]
pub(crate) struct Selected {
    pub(crate) entry: Arc<SeriesEntry>,
    /// Whose it is, where a query reads several tenants' data.
    tenant: Option<TenantId>,
}

impl Selected {
    /// Its labels, with that of the tenant where there are several.
    pub(crate) fn labels(&self) -> Labels {
        match &self.tenant {
            Some(tenant) => with_tenant(&self.entry.labels, tenant),
            None => self.entry.labels.clone(),
        }
    }
}

/// The labels with that of the tenant.
pub(crate) fn with_tenant(labels: &Labels, tenant: &TenantId) -> Labels {
    let mut labels = labels.clone();
    let own = labels.get(TENANT_LABEL).to_owned();
    labels.set(ORIGINAL_TENANT_LABEL, &own);
    labels.set(TENANT_LABEL, tenant.as_str());
    labels
}

impl Reading {
    /// The series that satisfy all `matchers`, with values in `range`; sorted by tenant, then by labels.
    pub(crate) fn select(
        &self,
        matchers: &[Matcher],
        range: Option<TimeRange>,
    ) -> Result<Vec<Selected>, QueryError> {
        let mut found = Vec::new();
        for (snapshot, matchers) in self.matched(matchers)? {
            let tenant = self.is_federated().then(|| snapshot.tenant().clone());
            let entries = snapshot.select(&matchers, range)?;
            self.budget.take_series(entries.len())?;
            found.extend(entries.into_iter().map(|entry| Selected {
                entry,
                tenant: tenant.clone(),
            }));
        }
        Ok(found)
    }

    /// The snapshots of the tenants that `matchers` leave, with the matchers that are left for their series.
    pub(crate) fn matched(
        &self,
        matchers: &[Matcher],
    ) -> Result<Vec<(&Snapshot, Vec<Matcher>)>, QueryError> {
        let of_tenant = |matcher: &&Matcher| self.is_federated() && matcher.name == TENANT_LABEL;
        let (of_tenants, of_series): (Vec<&Matcher>, Vec<&Matcher>) =
            matchers.iter().partition(of_tenant);
        let of_series: Vec<Matcher> = of_series.into_iter().map(in_series).collect();
        let mut matched = Vec::new();
        for snapshot in &self.snapshots {
            let mut is_wanted = true;
            for matcher in &of_tenants {
                is_wanted &= matches(matcher, snapshot.tenant().as_str())?;
            }
            if is_wanted {
                matched.push((snapshot, of_series.clone()));
            }
        }
        Ok(matched)
    }

    /// Whether the data of several tenants is read.
    pub(crate) fn is_federated(&self) -> bool {
        self.snapshots.len() > 1
    }

    /// A session over one of the snapshots.
    pub(crate) fn session(&self, snapshot: &Snapshot) -> Result<SessionContext, QueryError> {
        session(snapshot, &self.memory)
    }
}

/// A matcher as the stored series know it.
fn in_series(matcher: &Matcher) -> Matcher {
    let mut matcher = matcher.clone();
    if matcher.name == ORIGINAL_TENANT_LABEL {
        matcher.name = TENANT_LABEL.to_owned();
    }
    matcher
}

/// Whether `value` satisfies the matcher.
pub(crate) fn matches(matcher: &Matcher, value: &str) -> Result<bool, QueryError> {
    let wanted = matcher.value.as_str();
    let regex = || {
        Regex::new(&format!("^(?s:{wanted})$"))
            .map_err(|fault| QueryError::Parameter(format!("matcher {}: {fault}", matcher.name)))
    };
    Ok(match matcher.op {
        MatchOp::Equal => value == wanted,
        MatchOp::NotEqual => value != wanted,
        MatchOp::Regex => regex()?.is_match(value),
        MatchOp::NotRegex => !regex()?.is_match(value),
    })
}
