//! Collects, with queries, all that a demarcation looks at.
//!
//! graph -> scope -> spans and metrics before and during -> [`Evidence`]

mod calls;
mod changes;
mod levels;
mod missing;
mod scope;
mod series;
mod signals;
mod spans;
mod window;

use demarc_proto::{EntityId, Nanos, TenantId};
use demarc_query::Engine;
use demarc_topology::Graph;

use crate::{
    Evidence, IncidentConfig, IncidentError, Symptom, SymptomKind, evidence::EntityFacts,
    shift::change_point,
};
use calls::Ledger;
pub(crate) use calls::{service_condition, service_parts};
use scope::Scope;
use series::Series;
pub(crate) use spans::ended_within;
pub(crate) use window::Window;

/// What is known of the system around the symptom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    /// The topology as it was.
    pub(crate) graph: &'a Graph,
    /// Who runs the platform: its agents tell of shared hosts and links.
    pub(crate) operator: Option<&'a TenantId>,
}

/// Collects evidence on one symptom. The onset is looked for in the symptom's own series, near the time that the asker names.
pub(crate) async fn gather(
    engine: &Engine,
    view: View<'_>,
    symptom: &Symptom,
    config: &IncidentConfig,
) -> Result<Evidence, IncidentError> {
    let graph = view.graph;
    let mut scope = Scope::around(graph, &symptom.service, config);
    scope
        .tenants
        .extend([&symptom.tenant].into_iter().chain(view.operator).cloned());
    let mut window = Window::of(symptom, config);
    let mut spans = Vec::new();
    for tenant in &scope.tenants {
        for range in window.ranges() {
            spans.extend(spans::read(engine, tenant, range, config.max_spans).await?);
        }
    }
    let ledger = Ledger::of(&spans, &window);
    window.onset = onset(&ledger, symptom, window.onset, config);
    let mut evidence = Evidence {
        tenant: symptom.tenant.as_str().to_owned(),
        service: symptom.service.clone(),
        symptom: symptom.kind,
        start: window.start.0,
        onset: window.onset.0,
        until: window.until.0,
        history: window.history_bounds(),
        entities: entities(graph, &scope),
        services: ledger.services(&window),
        levels: std::collections::BTreeMap::new(),
        calls: ledger.calls(graph, &window),
        carriers: scope.carriers.clone(),
        signals: Vec::new(),
        processes: Vec::new(),
        changes: Vec::new(),
        missing: Vec::new(),
    };
    for tenant in &scope.tenants {
        let series = Series::open(engine, tenant, &window).await?;
        signals::read(&series, graph, &mut evidence).await?;
        levels::read(&series, &mut evidence).await?;
        changes::read(engine, tenant, &window, &mut evidence).await?;
    }
    name_peers(&mut evidence);
    evidence.missing = missing::list(&evidence);
    Ok(evidence)
}

/// When the symptom's own series stepped up, near the time that the asker named; that time where it did not.
fn onset(ledger: &Ledger, symptom: &Symptom, told: Nanos, config: &IncidentConfig) -> Nanos {
    let during = symptom.until.since(symptom.since);
    let earliest = symptom.since.minus(config.onset_search());
    let latest = symptom.since.plus(during / 2);
    let series = match symptom.kind {
        SymptomKind::Errors => ledger.error_points(&symptom.service),
        SymptomKind::Traffic => return symptom.since,
        SymptomKind::Latency => ledger.latency_points(&symptom.service),
        SymptomKind::Any => {
            let errors = ledger.error_points(&symptom.service);
            let share: f64 = errors.iter().map(|(_, ratio)| ratio).sum();
            if share > 0.05 * errors.len() as f64 {
                errors
            } else {
                ledger.latency_points(&symptom.service)
            }
        }
    };
    change_point(&series, earliest, latest).unwrap_or(told)
}

fn entities(graph: &Graph, scope: &Scope) -> std::collections::BTreeMap<EntityId, EntityFacts> {
    let known = scope.entities.iter().filter_map(|id| graph.get(id));
    let facts = known.map(|entity| {
        let facts = EntityFacts {
            name: entity.name.clone(),
            layer: entity.layer,
            owner: entity.owner.clone(),
            tenant: entity
                .tenant
                .as_ref()
                .map(|tenant| tenant.as_str().to_owned()),
        };
        (entity.id.clone(), facts)
    });
    facts.collect()
}

/// Peers that spans name and the graph does not have yet.
fn name_peers(evidence: &mut Evidence) {
    let named = evidence
        .calls
        .iter()
        .flat_map(|call| [&call.from, &call.to]);
    let unknown: Vec<EntityId> = named
        .filter(|id| !evidence.entities.contains_key(*id))
        .cloned()
        .collect();
    for id in unknown {
        let name = id.0.rsplit('/').next().unwrap_or(&id.0).to_owned();
        let kind =
            id.0.split(':')
                .next()
                .and_then(demarc_topology::EntityKind::parse);
        let layer = kind.map_or(demarc_topology::Layer::External, |kind| kind.layer());
        evidence.entities.insert(
            id,
            EntityFacts {
                name,
                layer,
                owner: None,
                tenant: None,
            },
        );
    }
}
