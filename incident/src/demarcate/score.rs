//! One scale for all that accuses an entity, layer by layer: saturation and lateness that are measured there, behaviour that
//! changed there first, time and failures that nothing below explains.

use std::collections::{BTreeMap, BTreeSet};

use demarc_proto::EntityId;
use demarc_topology::{EntityKind, Layer};

use super::{
    gap::network,
    level,
    parameters::{
        ACTIVITY_WEIGHT, ASYNCHRONOUS_WEIGHT, FACADE_WEIGHT, HOST_LEAST, HOST_SUFFERS, LAYER_LEAST,
        NETWORK_WEIGHT, OWN_HALF, OWN_NOISE_MS, OWN_WEIGHT, STRUCTURE_WEIGHT, SYMPTOM_WEIGHT,
        UNTIED_WEIGHT,
    },
    proportion::ramp,
    reach::Reach,
    structure::{Structure, structure},
    usage::{Usage, usage},
};
use crate::{Evidence, Side, SymptomKind};

/// All that accuses one entity, each 0 to 1.
#[derive(Clone, Debug, Default)]
pub(crate) struct Score<'a> {
    pub(crate) usage: Usage,
    pub(crate) network: f64,
    pub(crate) structure: Structure<'a>,
    pub(crate) own: f64,
    pub(crate) share: f64,
}

impl Score<'_> {
    /// The same, believed so far.
    fn scaled(mut self, by: f64) -> Self {
        self.usage = self.usage.scaled(by);
        self.structure.score *= by;
        self.network *= by;
        self.own *= by;
        self.share *= by;
        self
    }

    /// What accuses the entity itself, as one weight.
    pub(crate) fn home(&self) -> f64 {
        let structure = STRUCTURE_WEIGHT * self.structure.score.sqrt();
        structure
            .max(OWN_WEIGHT * self.own)
            .max(SYMPTOM_WEIGHT * self.share)
    }

    /// Its processor or memory.
    pub(crate) fn compute(&self) -> f64 {
        self.usage.compute()
    }

    /// Its network.
    pub(crate) fn network(&self) -> f64 {
        NETWORK_WEIGHT * self.network
    }

    /// All of it, together with what else is known: independent reasons add up.
    pub(crate) fn total(&self, further: f64) -> f64 {
        let doubt = (1.0 - self.home()) * (1.0 - self.compute()) * (1.0 - self.network());
        let corroborated = 1.0 - ACTIVITY_WEIGHT * self.usage.activity;
        1.0 - doubt * corroborated * (1.0 - further)
    }
}

/// The scores of all entities that anything accuses.
///
/// `direct`: entities that are accused by a state change that was measured or announced there, each with its weight.
pub(crate) fn scores<'a>(
    evidence: &'a Evidence,
    symptom: SymptomKind,
    direct: &BTreeMap<EntityId, f64>,
) -> BTreeMap<EntityId, Score<'a>> {
    let reach = Reach::of(evidence);
    let usages: BTreeMap<&EntityId, Usage> = evidence
        .entities
        .keys()
        .filter(|id| is_candidate(evidence, id))
        .map(|id| (id, usage(evidence, id)))
        .collect();
    let saturation = |id: &EntityId| saturation(evidence, &usages, direct, id);
    let networks = network(evidence, saturation);
    let mut structures = structure(evidence, &reach, direct);
    let shares = level::shares(evidence, &reach, symptom);
    let owns = own_times(evidence, saturation);
    let named: BTreeSet<&EntityId> = usages
        .keys()
        .copied()
        .chain(networks.keys())
        .chain(structures.keys())
        .chain(shares.keys())
        .chain(owns.keys())
        .collect();
    let named: Vec<EntityId> = named.into_iter().cloned().collect();
    let suffering = |id: &EntityId| {
        let structure = structures.get(id).map_or(0.0, |structure| structure.score);
        [&networks, &shares, &owns]
            .into_iter()
            .filter_map(|scores| scores.get(id).copied())
            .fold(structure, f64::max)
    };
    let hosts = hosts(evidence, &usages, suffering);
    let ties = Ties::of(evidence, &reach);
    let mut scores = BTreeMap::new();
    for id in named {
        let usage = usages.get(&id).copied().unwrap_or_default();
        let score = Score {
            usage: usage.scaled(hosts.get(&id).copied().unwrap_or(1.0)),
            network: networks.get(&id).copied().unwrap_or(0.0),
            own: owns.get(&id).copied().unwrap_or(0.0),
            share: shares
                .get(&id)
                .map_or(0.0, |share| share * standing(evidence, &id)),
            structure: structures.remove(&id).unwrap_or_default(),
        };
        let score = score.scaled(ties.weight(&id));
        if score.total(0.0) > 0.0 {
            scores.insert(id, score);
        }
    }
    scores
}

/// What calls tie to the suffering service, in either direction.
struct Ties(BTreeSet<EntityId>);

impl Ties {
    fn of(evidence: &Evidence, reach: &Reach) -> Self {
        let mut tied = reach.tied(&evidence.service);
        let hosts = tied.iter().flat_map(|id| evidence.carriers_of(id));
        tied.extend(hosts.cloned().collect::<Vec<_>>());
        Self(tied)
    }

    /// How far an entity is suspected at all: a service that nothing ties to the suffering one may be another system's. Where no call
    /// is known at all, that says nothing.
    fn weight(&self, id: &EntityId) -> f64 {
        if self.0.len() <= 1 || self.0.contains(id) {
            1.0
        } else {
            UNTIED_WEIGHT
        }
    }
}

/// Whether evidence of behaviour, lateness or interval by interval is there at all.
pub(crate) fn is_detailed(evidence: &Evidence) -> bool {
    let has_gaps = evidence.calls.iter().any(|call| call.gap.is_some());
    has_gaps || !evidence.operations.is_empty() || !evidence.levels.is_empty()
}

/// Services and what stands beside them, and hosts on which nobody says which process does what: where that is known, contention
/// decides.
fn is_candidate(evidence: &Evidence, id: &EntityId) -> bool {
    match evidence.kind(id) {
        Some(EntityKind::Host | EntityKind::Node) => {
            !evidence.processes.iter().any(|process| process.host == *id)
        }
        Some(
            EntityKind::Service
            | EntityKind::Function
            | EntityKind::Database
            | EntityKind::Queue
            | EntityKind::External,
        ) => true,
        _ => false,
    }
}

/// How far what an entity runs on is saturated: its own limits, its hosts, and whoever else uses these up.
fn saturation(
    evidence: &Evidence,
    usages: &BTreeMap<&EntityId, Usage>,
    direct: &BTreeMap<EntityId, f64>,
    id: &EntityId,
) -> f64 {
    let of = |id: &EntityId| {
        let measured = usages.get(id).map_or(0.0, Usage::compute);
        measured.max(if evidence.is_host(id) {
            direct.get(id).copied().unwrap_or(0.0)
        } else {
            0.0
        })
    };
    let carriers = evidence.carriers_of(id).iter().map(of);
    carriers.fold(of(id), f64::max)
}

/// How far each busy host is to be suspected: it is not its services' own doing, and one of these suffers.
fn hosts(
    evidence: &Evidence,
    usages: &BTreeMap<&EntityId, Usage>,
    suffering: impl Fn(&EntityId) -> f64,
) -> BTreeMap<EntityId, f64> {
    let mut carried: BTreeMap<&EntityId, (f64, f64)> = BTreeMap::new();
    for (service, carriers) in &evidence.carriers {
        let own = usages.get(service).map_or(0.0, Usage::compute);
        let suffers = suffering(service);
        for host in carriers.iter().filter(|id| evidence.is_host(id)) {
            let (doing, worst) = carried.entry(host).or_default();
            *doing = doing.max(own);
            *worst = worst.max(suffers);
        }
    }
    let belief = |(host, (doing, worst)): (&EntityId, (f64, f64))| {
        let suffers = HOST_LEAST + (1.0 - HOST_LEAST) * ramp(worst, HOST_SUFFERS);
        (host.clone(), (1.0 - doing) * suffers)
    };
    carried.into_iter().map(belief).collect()
}

/// Own time that was added per trace, against how long a trace takes, where no saturation explains it.
fn own_times(
    evidence: &Evidence,
    saturation: impl Fn(&EntityId) -> f64,
) -> BTreeMap<EntityId, f64> {
    let mut scores = BTreeMap::new();
    for (id, own) in &evidence.own_times {
        let longer = own.during_ms - own.before_ms - 2.0 * own.spread_ms;
        let added = longer * own.per_trace.min(1.0);
        if added > OWN_NOISE_MS {
            let half = OWN_HALF.0 + OWN_HALF.1 * evidence.trace_ms.unwrap_or(100.0);
            let score = added / (added + half);
            let unexplained = if evidence.carriers_of(id).is_empty() {
                1.0
            } else {
                1.0 - saturation(id)
            };
            scores.insert(id.clone(), score * unexplained);
        }
    }
    scores
}

/// What stands in for others passes blame on.
fn standing(evidence: &Evidence, id: &EntityId) -> f64 {
    let side = evidence.levels.get(id).map(|facts| facts.side);
    match (evidence.kind(id), side) {
        (_, Some(Side::Consumer)) => ASYNCHRONOUS_WEIGHT,
        (Some(EntityKind::Queue | EntityKind::External), _) => FACADE_WEIGHT,
        (Some(EntityKind::Database | EntityKind::Function), _) => 1.0,
        (_, Some(Side::Client)) => FACADE_WEIGHT,
        _ => 1.0,
    }
}

/// The layer of what accuses an entity most; resources and the network only where they do so clearly.
pub(crate) fn layer(evidence: &Evidence, id: &EntityId, score: &Score<'_>) -> Layer {
    let facts = evidence.entities.get(id);
    let home = facts.map_or(Layer::Application, |facts| facts.layer);
    let clear = |score: f64| if score >= LAYER_LEAST { score } else { 0.0 };
    let ranked = [
        (clear(score.compute()), Layer::Compute),
        (clear(score.network()), Layer::Network),
        (score.home(), home),
    ];
    // Of equals the last: its own.
    let best = ranked.into_iter().max_by(|a, b| a.0.total_cmp(&b.0));
    best.map_or(home, |(_, layer)| layer)
}
