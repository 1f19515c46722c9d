//! Where the lost time, or the failed requests, come from: the symptom's excess, handed down along calls.
//!
//! A service's excess is split into what it spends itself and what it waits for, call by call; what it waits for is split into
//! what the called side spends and what is lost between the two; and so on. The parts add up to the whole, so that each is the
//! share of the symptom that would go away without it.

use std::collections::BTreeMap;

use demarc_proto::EntityId;

use crate::{CallFacts, Evidence, ServiceFacts, SymptomKind};

/// A place that a part of the excess comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// The service itself.
    Within(EntityId),
    /// Between caller and called: the network, or either end's turn on its processor.
    Between(EntityId, EntityId),
    /// The called side did not answer, or sends no telemetry of its own.
    Peer(EntityId, EntityId),
}

/// A place with its share of the symptom, 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Located {
    pub(crate) place: Place,
    pub(crate) share: f64,
}

/// Deepest chain of calls that is followed.
const MAX_DEPTH: usize = 16;
/// Shares below this are noise.
const MIN_SHARE: f64 = 0.05;
/// Share of the symptom that has to be found somewhere for the parts to be taken for the whole.
const ACCOUNTED: f64 = 0.5;
/// Milliseconds that calls must take longer, beyond their usual spread, before it is asked who lost them: medians of parts do not add
/// up to the digit.
const WAITED_MS: f64 = 2.0;
/// Share of a call's added time that neither side accounts for, above which the called side is taken not to have answered.
const UNACCOUNTED: f64 = 0.1;

/// The places, the greatest share first.
pub(crate) fn locate(evidence: &Evidence, symptom: SymptomKind) -> Vec<Located> {
    let mut walk = Walk {
        evidence,
        parts: BTreeMap::new(),
        path: Vec::new(),
    };
    match symptom {
        SymptomKind::Errors => walk.errors(&evidence.service, 1.0),
        SymptomKind::Traffic => walk.silence(&evidence.service),
        SymptomKind::Latency | SymptomKind::Any => walk.latency(&evidence.service, 1.0),
    }
    let found: f64 = walk.parts.values().sum();
    if found <= 0.0 {
        return Vec::new();
    }
    // What is left when most of the excess is nowhere to be found explains little, however alone it stands.
    let excess = excess(evidence, symptom);
    let total = if found < ACCOUNTED * excess {
        excess
    } else {
        found
    };
    let mut located: Vec<Located> = walk
        .parts
        .into_iter()
        .map(|(place, part)| Located {
            place,
            share: part / total,
        })
        .filter(|located| located.share >= MIN_SHARE)
        .collect();
    located.sort_by(|a, b| {
        b.share
            .total_cmp(&a.share)
            .then_with(|| a.place.cmp(&b.place))
    });
    located
}

/// How much there is to explain, in the unit of the parts; 0 where that is not one sum.
fn excess(evidence: &Evidence, symptom: SymptomKind) -> f64 {
    let Some(facts) = evidence.services.get(&evidence.service) else {
        return 0.0;
    };
    match symptom {
        SymptomKind::Latency | SymptomKind::Any => facts.latency_ms.delta(),
        SymptomKind::Errors => facts.errors.delta(),
        SymptomKind::Traffic => 0.0,
    }
}

struct Walk<'a> {
    evidence: &'a Evidence,
    parts: BTreeMap<Place, f64>,
    path: Vec<EntityId>,
}

impl<'a> Walk<'a> {
    fn add(&mut self, place: Place, part: f64) {
        if part > 0.0 {
            *self.parts.entry(place).or_default() += part;
        }
    }

    /// Facts of a service that is not yet on the path.
    fn enter(&mut self, service: &EntityId) -> Option<&'a ServiceFacts> {
        if self.path.len() >= MAX_DEPTH || self.path.contains(service) {
            return None;
        }
        let facts = self.evidence.services.get(service)?;
        self.path.push(service.clone());
        Some(facts)
    }

    fn calls_of(&self, service: &EntityId) -> Vec<&'a CallFacts> {
        self.evidence
            .calls
            .iter()
            .filter(|call| call.from == *service)
            .collect()
    }

    /// Splits the added duration of a service's requests; `weight` converts its milliseconds into the symptom's.
    fn latency(&mut self, service: &EntityId, weight: f64) {
        let Some(facts) = self.enter(service) else {
            return;
        };
        self.add(
            Place::Within(service.clone()),
            weight * facts.self_ms.delta(),
        );
        for call in self.calls_of(service) {
            let now = call.per_request.during.unwrap_or(0.0);
            let more_calls = call.per_request.delta() * call.client_ms.before.unwrap_or(0.0);
            let is_more = call.per_request.rose_by(0.2);
            if is_more && call.client_ms.before.is_some() {
                self.add(Place::Within(service.clone()), weight * more_calls);
            }
            if !call.is_instrumented {
                let place = Place::Peer(service.clone(), call.to.clone());
                self.add(place, weight * now * call.client_ms.delta());
                continue;
            }
            let between = Place::Between(service.clone(), call.to.clone());
            self.add(between, weight * now * call.gap_ms.delta());
            // The caller waited, and may have given up, for a called side that tells nothing of these calls.
            let added = call.client_ms.delta();
            let lost = added - call.gap_ms.delta().max(0.0) - call.server_ms.delta().max(0.0);
            let is_longer = call.client_ms.before.is_some() && call.client_ms.rose_by(WAITED_MS);
            if is_longer && lost > UNACCOUNTED * added {
                let place = Place::Peer(service.clone(), call.to.clone());
                self.add(place, weight * now * lost);
            }
            self.below(call, weight * now * call.server_ms.delta());
        }
        self.path.pop();
    }

    /// Hands `part` of the symptom down to the called side, in proportion to where its own excess comes from.
    fn below(&mut self, call: &CallFacts, part: f64) {
        if part <= 0.0 {
            return;
        }
        let whole = self
            .evidence
            .services
            .get(&call.to)
            .map_or(0.0, |to| to.latency_ms.delta());
        let is_followable = whole > 0.0 && !self.path.contains(&call.to);
        if !is_followable {
            self.add(Place::Within(call.to.clone()), part);
            return;
        }
        let mut inner = Walk {
            evidence: self.evidence,
            parts: BTreeMap::new(),
            path: self.path.clone(),
        };
        inner.latency(&call.to, 1.0);
        self.take_over(inner, Place::Within(call.to.clone()), part);
    }

    /// Takes over the parts of an inner walk, scaled so that they add up to `part`.
    fn take_over(&mut self, inner: Self, fallback: Place, part: f64) {
        let total: f64 = inner.parts.values().sum();
        if total <= 0.0 {
            self.add(fallback, part);
            return;
        }
        for (place, inner_part) in inner.parts {
            self.add(place, part * inner_part / total);
        }
    }

    /// Splits the added failures of a service's requests.
    fn errors(&mut self, service: &EntityId, weight: f64) {
        let Some(facts) = self.enter(service) else {
            return;
        };
        self.add(
            Place::Within(service.clone()),
            weight * facts.own_errors.delta(),
        );
        for call in self.calls_of(service) {
            let now = call.per_request.during.unwrap_or(0.0);
            let peer = Place::Peer(service.clone(), call.to.clone());
            if !call.is_instrumented {
                self.add(peer, weight * now * call.failed.delta());
                continue;
            }
            self.add(peer, weight * now * call.unanswered.delta());
            let answered = weight * now * (call.failed.delta() - call.unanswered.delta());
            if answered > 0.0 {
                let mut inner = Walk {
                    evidence: self.evidence,
                    parts: BTreeMap::new(),
                    path: self.path.clone(),
                };
                inner.errors(&call.to, 1.0);
                self.take_over(inner, Place::Within(call.to.clone()), answered);
            }
        }
        self.path.pop();
    }

    /// A service that serves nothing: it does not answer its callers, or it is gone.
    fn silence(&mut self, service: &EntityId) {
        for call in self
            .evidence
            .calls
            .iter()
            .filter(|call| call.to == *service)
        {
            let place = Place::Peer(call.from.clone(), service.clone());
            self.add(place, call.unanswered.delta().max(0.0));
        }
        if self.parts.is_empty() {
            self.add(Place::Within(service.clone()), 1.0);
        }
    }
}
