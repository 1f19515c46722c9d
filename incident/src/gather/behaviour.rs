//! Reads spans and log lines, and notes what they tell of operations and durations.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use demarc_proto::EntityId;
use demarc_query::Engine;
use demarc_topology::Graph;

use super::{
    Window, durations,
    forest::Forest,
    logs::{self, Record},
    operations::operations,
    scope::Scope,
    service_parts,
    shared::Shared,
    spans::{self, Span},
    template::Names,
};
use crate::{Evidence, IncidentConfig, IncidentError};

/// Spans and log lines of the tenants that are in scope.
#[derive(Debug, Default)]
pub(crate) struct Telling {
    pub(crate) spans: Vec<Span>,
    records: Vec<Record>,
}

/// Reads spans and log lines of every time that is looked at.
pub(crate) async fn read(
    (engine, shared): (&Engine, &Shared),
    (graph, scope): (&Graph, &Scope),
    window: &Window,
    config: &IncidentConfig,
) -> Result<Arc<Telling>, IncidentError> {
    let key = (scope.tenants.clone(), window.ranges());
    if let Some(known) = shared.telling(&key) {
        return Ok(known);
    }
    let names = names(graph, scope);
    let mut telling = Telling::default();
    for tenant in &scope.tenants {
        for range in &key.1 {
            let spans = spans::read(engine, tenant, *range, config.max_spans).await?;
            telling.spans.extend(spans);
            let limit = (*range, config.max_log_lines);
            let records = logs::read(engine, tenant, limit, &names).await?;
            telling.records.extend(records);
        }
    }
    let telling = Arc::new(telling);
    shared.keep_telling(key, &telling);
    Ok(telling)
}

/// The names of all services of the tenants in scope.
fn names(graph: &Graph, scope: &Scope) -> Names {
    let services = graph.entities.values().filter(|entity| {
        let is_service = entity.id.0.starts_with("service:");
        is_service
            && entity
                .tenant
                .as_ref()
                .is_none_or(|tenant| scope.tenants.contains(tenant))
    });
    Names::of(services.map(|entity| service_parts(&entity.id).2))
}

impl Telling {
    /// Number of spans and log lines.
    pub(crate) fn size(&self) -> usize {
        self.spans.len() + self.records.len()
    }

    /// The spans of services in scope; of all services where these are few enough to be looked at. A span that was sent twice is one.
    pub(crate) fn spans_of(&self, scope: &Scope, config: &IncidentConfig) -> Vec<&Span> {
        let services: BTreeSet<&EntityId> = self.spans.iter().map(|span| &span.service).collect();
        let is_wanted = |service: &EntityId| {
            services.len() <= config.max_entities || scope.entities.contains(service)
        };
        let wanted: HashSet<&EntityId> = services
            .iter()
            .copied()
            .filter(|one| is_wanted(one))
            .collect();
        let mut known: HashSet<(&[u8], &[u8])> = HashSet::with_capacity(self.spans.len());
        self.spans
            .iter()
            .filter(|span| wanted.contains(&span.service))
            .filter(|span| known.insert((&span.trace, &span.id)))
            .collect()
    }

    /// Notes what `spans` and log lines tell of operations, calls and services.
    pub(crate) fn note(&self, spans: &[&Span], window: &Window, evidence: &mut Evidence) {
        let forest = Forest::of(spans.to_vec(), window);
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
