//! Collects, with queries, all that a demarcation looks at.
//!
//! graph -> scope -> spans and metrics before and during -> [`Evidence`]

mod behaviour;
mod calls;
mod changes;
mod durations;
mod edges;
mod forest;
mod levels;
mod logs;
mod missing;
mod operations;
mod scope;
mod series;
mod shared;
mod signals;
mod spans;
mod template;
mod window;

use std::{collections::BTreeMap, panic::resume_unwind, time::Duration};

use demarc_proto::{EntityId, Nanos, TenantId};
use demarc_query::Engine;
use demarc_topology::{Graph, Responsibility};

use crate::{
    Evidence, IncidentConfig, IncidentError, Signals, Symptom, SymptomKind,
    demarcate::strongest,
    evidence::EntityFacts,
    shift::{Point, change_point, steps_up_clearly},
};
use behaviour::Behaviour;
use calls::{Ledger, RequestPoints};
pub(crate) use calls::{covered, service_condition, service_parts};
use scope::Scope;
use series::Series;
pub(crate) use shared::Shared;
use spans::Span;
pub(crate) use spans::{ended_within, quoted};
pub(crate) use window::Window;

/// What is known of the system around the symptom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    /// The topology as it was.
    pub(crate) graph: &'a Graph,
    /// Who answered for what then.
    pub(crate) responsibility: &'a Responsibility,
    /// Who runs the platform: its agents tell of shared hosts and links.
    pub(crate) operator: Option<&'a TenantId>,
}

/// How late an alarm may be that names its time.
const LATE: Duration = Duration::from_secs(60);
/// How much more an earlier onset has to explain to be believed, 0 to 1.
const LATE_MARGIN: f64 = 0.1;

/// Collects evidence on one symptom, some of which others of its round may have read already. The onset is looked for in the symptom's own series, near the time that the asker names; where
/// the asker names times of peace as well, an onset a minute before is tried, as alarms come late.
pub(crate) async fn gather(
    (engine, shared): (&Engine, &Shared),
    view: View<'_>,
    symptom: &Symptom,
    config: &IncidentConfig,
) -> Result<Evidence, IncidentError> {
    let mut scope = Scope::around(view.graph, &symptom.service, config);
    scope
        .tenants
        .extend([&symptom.tenant].into_iter().chain(view.operator).cloned());
    let mut window = Window::of(symptom, config);
    let sources = (engine, shared);
    let telling = behaviour::read(sources, (view.graph, &scope), &window, config).await?;
    let spans = telling.spans_of(&scope, config);
    window.begin_at(onset(&spans, &window, symptom, config));
    let (ledger, behaviour) = both(
        || Ledger::of(&spans, &window),
        || telling.tell(&spans, &window),
    );
    let sources = Sources {
        engine,
        shared,
        view,
        symptom,
        scope: &scope,
    };
    let evidence = sources.evidence(&window, &ledger, behaviour).await?;
    if window.history.is_empty() {
        return Ok(evidence);
    }
    window.onset = window.onset.minus(LATE);
    let behaviour = telling.tell(&spans, &window);
    let mut earlier = sources.evidence(&window, &ledger, behaviour).await?;
    earlier.asked = symptom.since.minus(LATE).0;
    if strongest(&earlier) > strongest(&evidence) + LATE_MARGIN {
        return Ok(earlier);
    }
    Ok(evidence)
}

/// Where evidence is from.
struct Sources<'a> {
    engine: &'a Engine,
    shared: &'a Shared,
    view: View<'a>,
    symptom: &'a Symptom,
    scope: &'a Scope,
}

/// Does both at once: they read the same spans, and in a large system each takes a second.
fn both<A: Send, B>(one: impl FnOnce() -> A + Send, other: impl FnOnce() -> B) -> (A, B) {
    std::thread::scope(|scope| {
        let one = scope.spawn(one);
        let other = other();
        let one = one.join();
        (one.unwrap_or_else(|panic| resume_unwind(panic)), other)
    })
}

impl Sources<'_> {
    async fn evidence(
        &self,
        window: &Window,
        ledger: &Ledger,
        behaviour: Behaviour,
    ) -> Result<Evidence, IncidentError> {
        let (graph, scope, symptom) = (self.view.graph, self.scope, self.symptom);
        let mut evidence = Evidence {
            tenant: symptom.tenant.as_str().to_owned(),
            service: symptom.service.clone(),
            symptom: symptom.kind,
            start: window.start.0,
            onset: window.onset.0,
            until: window.until.0,
            asked: symptom.since.0,
            history: window.history_bounds(),
            entities: entities(self.view, scope),
            services: ledger.services(window),
            levels: BTreeMap::new(),
            calls: ledger.calls(graph, window),
            edges: scope.calls(graph),
            operations: Vec::new(),
            own_times: BTreeMap::new(),
            trace_ms: None,
            carriers: scope.carriers.clone(),
            signals: Signals::default(),
            processes: Vec::new(),
            changes: Vec::new(),
            missing: Vec::new(),
        };
        behaviour.note(&mut evidence);
        for tenant in &scope.tenants {
            let series = Series::open((self.engine, self.shared), tenant, window).await?;
            signals::read(&series, graph, &mut evidence).await?;
            levels::read(&series, &mut evidence).await?;
            edges::read(&series, &mut evidence).await?;
            changes::read(self.engine, (tenant, window), graph, &mut evidence).await?;
        }
        name_peers(&mut evidence);
        evidence.missing = missing::list(&evidence);
        Ok(evidence)
    }
}

/// When the symptom's own series stepped up: near the time that the asker named, or else wherever it clearly did since; that time
/// where it did not.
fn onset(spans: &[&Span], window: &Window, symptom: &Symptom, config: &IncidentConfig) -> Nanos {
    // Whoever names times of peace says with that when it began.
    if !symptom.history.is_empty() || symptom.kind == SymptomKind::Traffic {
        return window.onset;
    }
    let series = symptom_points(spans, &window.finest(), symptom);
    let earliest = symptom.since.minus(config.onset_search());
    let latest = symptom.since.plus(symptom.until.since(symptom.since) / 2);
    let near = change_point(&series, earliest, latest);
    let is_clear = |at: &Nanos| steps_up_clearly(&series, *at);
    // "Since ten minutes ago" is said of what began two minutes ago as well.
    let later = || change_point(&series, latest, symptom.until).filter(is_clear);
    near.filter(is_clear)
        .or_else(later)
        .or(near)
        .unwrap_or(window.onset)
}

/// The series that shows what is wrong.
fn symptom_points(spans: &[&Span], window: &Window, symptom: &Symptom) -> Vec<Point> {
    let RequestPoints { latency, errors } = RequestPoints::of(spans, window, &symptom.service);
    let share: f64 = errors.iter().map(|(_, ratio)| ratio).sum();
    let is_failing = share > 0.05 * errors.len() as f64;
    match symptom.kind {
        SymptomKind::Errors => errors,
        SymptomKind::Any if is_failing => errors,
        _ => latency,
    }
}

fn entities(view: View<'_>, scope: &Scope) -> BTreeMap<EntityId, EntityFacts> {
    let known = scope.entities.iter().filter_map(|id| view.graph.get(id));
    let facts = known.map(|entity| {
        let answer = view.responsibility.answer_for(entity, view.graph.at);
        let (contract, rota) = answer.map_or((None, None), |one| (one.contract, one.rota));
        let facts = EntityFacts {
            name: entity.name.clone(),
            layer: entity.layer,
            kind: entity.kind.as_str().to_owned(),
            owner: entity.owner.clone(),
            contract,
            rota,
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
                kind: kind.map_or_else(String::new, |kind| kind.as_str().to_owned()),
                owner: None,
                contract: None,
                rota: None,
                tenant: None,
            },
        );
    }
}
