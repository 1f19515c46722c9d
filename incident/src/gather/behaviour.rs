//! Reads spans and log lines, and notes what they tell of operations and durations.

use std::{
    collections::{BTreeMap, HashSet},
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
use crate::{Evidence, GapFacts, IncidentConfig, IncidentError, OperationFacts, OwnFacts};

/// Spans and log lines of the tenants that are in scope.
#[derive(Debug, Default)]
pub(crate) struct Telling {
    spans: Vec<Span>,
    /// Places in `spans` of each service's, each span once.
    of_service: BTreeMap<EntityId, Vec<u32>>,
    records: Vec<Record>,
}

/// What spans and log lines tell, put together.
#[derive(Debug)]
pub(crate) struct Behaviour {
    operations: Vec<OperationFacts>,
    own_times: BTreeMap<EntityId, OwnFacts>,
    trace_ms: Option<f64>,
    gaps: BTreeMap<(EntityId, EntityId), GapFacts>,
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
    let (mut spans, mut records) = (Vec::new(), Vec::new());
    for tenant in &scope.tenants {
        for range in &key.1 {
            spans.extend(spans::read(engine, tenant, *range, config.max_spans).await?);
            let limit = (*range, config.max_log_lines);
            records.extend(logs::read(engine, tenant, limit, &names).await?);
        }
    }
    let telling = Arc::new(Telling::of(spans, records));
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
    /// Sorts spans by their service. One that was sent twice counts once.
    fn of(spans: Vec<Span>, records: Vec<Record>) -> Self {
        let mut of_service: BTreeMap<EntityId, Vec<u32>> = BTreeMap::new();
        let mut known: HashSet<(&[u8], &[u8])> = HashSet::with_capacity(spans.len());
        for (place, span) in (0..).zip(&spans) {
            if !known.insert((&span.trace, &span.id)) {
                continue;
            }
            match of_service.get_mut(&span.service) {
                Some(places) => places.push(place),
                None => drop(of_service.insert(span.service.clone(), vec![place])),
            }
        }
        Self {
            spans,
            of_service,
            records,
        }
    }

    /// Number of spans and log lines.
    pub(crate) fn size(&self) -> usize {
        self.spans.len() + self.records.len()
    }

    /// The spans of services in scope, in the order in which they were read; of all services where these are few enough to be looked at.
    pub(crate) fn spans_of(&self, scope: &Scope, config: &IncidentConfig) -> Vec<&Span> {
        let are_few = self.of_service.len() <= config.max_entities;
        let wanted = self.of_service.iter();
        let wanted = wanted.filter(|(service, _)| are_few || scope.entities.contains(*service));
        let mut places: Vec<u32> = wanted.flat_map(|(_, places)| places).copied().collect();
        places.sort_unstable();
        let spans = places.into_iter();
        spans.map(|place| &self.spans[place as usize]).collect()
    }

    /// What `spans` and log lines tell of operations, calls and services.
    pub(crate) fn tell(&self, spans: &[&Span], window: &Window) -> Behaviour {
        let forest = Forest::of(spans.to_vec(), window);
        let lines = logs::phased(&self.records, &forest, window);
        Behaviour {
            operations: operations(&forest, &lines),
            own_times: durations::own_times(&forest),
            trace_ms: durations::trace_ms(&forest),
            gaps: durations::gaps(&forest),
        }
    }
}

impl Behaviour {
    /// Adds it to what evidence says of services and calls.
    pub(crate) fn note(mut self, evidence: &mut Evidence) {
        for call in &mut evidence.calls {
            let ends = (call.from.clone(), call.to.clone());
            call.gap = self.gaps.remove(&ends);
        }
        evidence.operations = self.operations;
        evidence.own_times = self.own_times;
        evidence.trace_ms = self.trace_ms;
    }
}
