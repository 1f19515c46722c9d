//! Reads spans and log lines, and notes what they tell of operations and durations.

use demarc_query::Engine;

use super::{
    Window, durations,
    forest::Forest,
    logs::{self, Record},
    operations::operations,
    scope::Scope,
    service_parts,
    spans::{self, Span},
};
use crate::{Evidence, IncidentConfig, IncidentError};

/// Spans and log lines of all that is in scope.
#[derive(Debug, Default)]
pub(crate) struct Telling {
    pub(crate) spans: Vec<Span>,
    records: Vec<Record>,
}

/// Reads spans and log lines of every time that is looked at.
pub(crate) async fn read(
    engine: &Engine,
    scope: &Scope,
    window: &Window,
    config: &IncidentConfig,
) -> Result<Telling, IncidentError> {
    let services = scope
        .entities
        .iter()
        .filter(|id| id.0.starts_with("service:"));
    let mut names: Vec<String> = services.map(|id| service_parts(id).2.to_owned()).collect();
    names.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    names.dedup();
    let mut telling = Telling::default();
    for tenant in &scope.tenants {
        for range in window.ranges() {
            let spans = spans::read(engine, tenant, range, config.max_spans).await?;
            telling.spans.extend(spans);
            let limit = (range, config.max_log_lines);
            telling
                .records
                .extend(logs::read(engine, tenant, limit, &names).await?);
        }
    }
    Ok(telling)
}

impl Telling {
    /// Notes what spans and log lines tell of operations, calls and services.
    pub(crate) fn note(&self, window: &Window, evidence: &mut Evidence) {
        let forest = Forest::of(&self.spans, window);
        let lines = logs::phased(&self.records, &forest, window);
        evidence.operations = operations(&forest, &lines);
        evidence.own_times = durations::own_times(&forest);
        evidence.trace_ms = durations::trace_ms(&forest);
        let mut gaps = durations::gaps(&forest);
        for call in &mut evidence.calls {
            call.gap = gaps.remove(&(call.from.clone(), call.to.clone()));
        }
    }
}
