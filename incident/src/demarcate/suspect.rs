//! At each place, what changed there.

use std::collections::BTreeMap;

use demarc_proto::EntityId;

use super::{
    contention, explain,
    locate::{Located, Place},
};
use crate::{Cause, ChangeFact, Evidence, EvidenceItem, ProcessFact, Shift, Signal, SignalFact};

/// One explanation with its weight: its share of the symptom times the strength of what speaks for it.
#[derive(Clone, Debug)]
pub(crate) struct Hypothesis {
    pub(crate) entity: EntityId,
    pub(crate) cause: Cause,
    pub(crate) culprit: Option<ProcessFact>,
    pub(crate) weight: f64,
    /// Whether a state change speaks for it that was measured or announced; otherwise it is a place where something happens.
    pub(crate) is_stated: bool,
    pub(crate) facts: Vec<EvidenceItem>,
}

/// Strength of a state change that was measured beyond doubt.
const MEASURED: f64 = 0.95;
/// Restarts per second that are worth noticing.
const RESTARTS: f64 = 0.005;
/// The same of packets or connections lost per second, and of seconds of a round trip.
const LOSS: f64 = 0.05;
const DELAY: f64 = 0.002;
/// Strength of a change that somebody announced near the onset.
const ANNOUNCED: f64 = 0.9;
/// Strength of a place without a state change.
const BARE_PLACE: f64 = 0.3;
/// A change counts from this long before the onset.
const CHANGE_REACH_NS: i64 = 300_000_000_000;
/// And until this long after it: the onset is known to some buckets only.
const CHANGE_SLACK_NS: i64 = 20_000_000_000;

/// All explanations, joined by entity and cause.
pub(crate) fn hypotheses(evidence: &Evidence, located: &[Located]) -> Vec<Hypothesis> {
    let mut board = Board {
        evidence,
        found: BTreeMap::new(),
    };
    for one in located {
        match &one.place {
            Place::Within(service) => board.within(service, one.share),
            Place::Between(from, to) => board.between(from, to, one.share),
            Place::Peer(from, to) => board.peer(from, to, one.share),
        }
    }
    board.found.into_values().collect()
}

struct Board<'a> {
    evidence: &'a Evidence,
    found: BTreeMap<(EntityId, Cause), Hypothesis>,
}

impl Board<'_> {
    fn suspect(&mut self, entity: &EntityId, cause: Cause, weight: f64, facts: Vec<EvidenceItem>) {
        let known = self
            .found
            .entry((entity.clone(), cause))
            .or_insert_with(|| Hypothesis {
                entity: entity.clone(),
                cause,
                culprit: None,
                weight: 0.0,
                is_stated: false,
                facts: Vec::new(),
            });
        known.is_stated |= !matches!(
            cause,
            Cause::Unknown | Cause::CodeError | Cause::TrafficRise
        );
        known.weight += weight;
        for fact in facts {
            if !known.facts.iter().any(|other| other.query == fact.query) {
                known.facts.push(fact);
            }
        }
    }

    /// The service spends the time, or fails, itself.
    fn within(&mut self, service: &EntityId, share: f64) {
        let mut strongest = self.own_state(service, share);
        let change = change_near(self.evidence, service);
        let contended = self.contention(service, share, change.is_some());
        strongest = strongest.max(contended);
        if let Some(change) = change {
            let strength = if contended > 0.0 {
                0.6 * ANNOUNCED
            } else {
                ANNOUNCED
            };
            let mut facts = vec![explain::change(self.evidence, change)];
            facts.extend(explain::service(self.evidence, service));
            self.suspect(service, cause_of(change), share * strength, facts);
            strongest = strongest.max(strength);
        }
        let facts = explain::service(self.evidence, service);
        let own = self.evidence.services.get(service);
        // Times of peace of another hour or day have another traffic.
        let is_comparable = self.evidence.history.is_empty();
        if is_comparable && own.is_some_and(|own| own.rate.ratio().is_some_and(|ratio| ratio > 1.8))
        {
            self.suspect(service, Cause::TrafficRise, share * 0.5, facts.clone());
            strongest = strongest.max(0.5);
        }
        let fails = own.is_some_and(|own| own.own_errors.rose_by(0.02));
        let cause = if fails {
            Cause::CodeError
        } else {
            Cause::Unknown
        };
        let strength = if fails { 2.0 * BARE_PLACE } else { BARE_PLACE };
        self.suspect(service, cause, share * strength * (1.0 - strongest), facts);
    }

    /// State changes that a service's own metrics tell; the strength of the strongest.
    fn own_state(&mut self, service: &EntityId, share: f64) -> f64 {
        let mut strongest: f64 = 0.0;
        for (signal, floor, cause) in [
            (Signal::LockWait, 0.05, Cause::LockContention),
            (Signal::Restarts, RESTARTS, Cause::Crash),
        ] {
            let fact = self.evidence.signal(service, signal);
            if let Some(fact) = fact.filter(|fact| fact.shift.rose_by(floor)) {
                let mut facts = vec![explain::signal(self.evidence, fact)];
                facts.extend(explain::service(self.evidence, service));
                let strength = measured(&fact.shift, floor);
                self.suspect(service, cause, share * strength, facts);
                strongest = strongest.max(strength);
            }
        }
        for carrier in self.evidence.carriers_of(service) {
            for (signal, floor, cause) in [
                (Signal::HostMemory, 0.1, Cause::MemorySaturation),
                (Signal::HostDisk, 0.3, Cause::IoSaturation),
            ] {
                let fact = self.evidence.signal(carrier, signal);
                let is_full = |during: f64| during > 0.85;
                let fact = fact.filter(|fact| fact.shift.during.is_some_and(is_full));
                if let Some(fact) = fact.filter(|fact| fact.shift.rose_by(floor)) {
                    let facts = vec![explain::signal(self.evidence, fact)];
                    let strength = measured(&fact.shift, floor);
                    self.suspect(&fact.entity, cause, share * strength, facts);
                    strongest = strongest.max(strength);
                }
            }
            let fact = self.evidence.signal(carrier, Signal::PodCpu);
            let has_limit = self.evidence.signal(carrier, Signal::PodCpuLimit).is_some();
            let fact = fact.filter(|_| !has_limit);
            let doubled = |fact: &&SignalFact| fact.shift.ratio().is_some_and(|ratio| ratio > 1.8);
            if let Some(fact) = fact.filter(doubled).filter(|fact| fact.shift.rose_by(0.02)) {
                let facts = vec![explain::signal(self.evidence, fact)];
                self.suspect(service, Cause::CpuSaturation, share * 0.7, facts);
                strongest = strongest.max(0.7);
            }
        }
        strongest
    }

    /// The processor under a service is fought for; returns the strength of that, 0 where it is not.
    fn contention(&mut self, service: &EntityId, share: f64, changed: bool) -> f64 {
        let Some(contention) = contention::of(self.evidence, service) else {
            return 0.0;
        };
        let mut facts = vec![explain::signal(self.evidence, contention.cpu)];
        facts.extend(
            contention
                .hog
                .map(|hog| explain::process(self.evidence, hog)),
        );
        let wait = self.evidence.signal(contention.host, Signal::HostCpuWait);
        facts.extend(
            wait.filter(|wait| wait.shift.rose_by(0.05))
                .map(|wait| explain::signal(self.evidence, wait)),
        );
        facts.extend(explain::service(self.evidence, service));
        let is_own = contention
            .hog
            .is_some_and(|hog| hog.service.as_ref() == Some(service));
        if is_own {
            // A new version that uses up the processor is a bad version.
            let strength = if changed {
                0.0
            } else {
                contention.strength * 0.8
            };
            self.suspect(service, Cause::CpuSaturation, share * strength, facts);
            return strength;
        }
        let strength = contention.strength * if contention.hog.is_some() { 1.0 } else { 0.6 };
        let cause = if contention.hog.is_some() {
            Cause::NoisyNeighbour
        } else {
            Cause::CpuSaturation
        };
        self.suspect(contention.host, cause, share * strength, facts);
        if let Some(hog) = contention.hog
            && let Some(known) = self.found.get_mut(&(contention.host.clone(), cause))
        {
            known.culprit = Some(hog.clone());
        }
        strength
    }

    /// Time is lost between two services.
    fn between(&mut self, from: &EntityId, to: &EntityId, share: f64) {
        let on_link = self.link(from, to, share);
        // A called side that waits for its processor answers late without its own spans being longer.
        let at_ends = if on_link > 0.0 {
            0.0
        } else {
            let called = self
                .own_state(to, share)
                .max(self.contention(to, share, false));
            if called > 0.0 {
                called
            } else {
                self.contention(from, share, false)
            }
        };
        let strongest = on_link.max(at_ends);
        let call = self
            .evidence
            .calls
            .iter()
            .find(|call| call.from == *from && call.to == *to);
        let facts: Vec<EvidenceItem> = call
            .map(|call| explain::gap(self.evidence, call))
            .into_iter()
            .collect();
        let entity = call.and_then(|call| call.links.first()).unwrap_or(to);
        let weight = share * 2.0 * BARE_PLACE * (1.0 - strongest);
        self.suspect(entity, Cause::NetworkDelay, weight, facts);
        let key = (entity.clone(), Cause::NetworkDelay);
        if let (true, Some(known)) = (on_link <= 0.0, self.found.get_mut(&key)) {
            known.is_stated = false;
        }
    }

    /// What the links between two services say; the strength of the strongest.
    fn link(&mut self, from: &EntityId, to: &EntityId, share: f64) -> f64 {
        let mut strongest: f64 = 0.0;
        let call = self
            .evidence
            .calls
            .iter()
            .find(|call| call.from == *from && call.to == *to);
        let Some(call) = call else { return 0.0 };
        for link in &call.links {
            let rose = |signal, floor| {
                let fact = self.evidence.signal(link, signal);
                fact.filter(|fact: &&SignalFact| fact.shift.rose_by(floor))
            };
            let (loss, delay) = (rose(Signal::LinkLoss, LOSS), rose(Signal::LinkDelay, DELAY));
            // What is lost is sent again, which is why round trips take longer.
            let (cause, strength) = match (loss, delay) {
                (Some(loss), _) => (Cause::NetworkLoss, measured(&loss.shift, LOSS)),
                (None, Some(delay)) => (Cause::NetworkDelay, measured(&delay.shift, DELAY)),
                (None, None) => continue,
            };
            let mut facts: Vec<EvidenceItem> = [loss, delay]
                .into_iter()
                .flatten()
                .map(|fact| explain::signal(self.evidence, fact))
                .collect();
            facts.push(explain::gap(self.evidence, call));
            self.suspect(link, cause, share * strength, facts);
            strongest = strongest.max(strength);
        }
        strongest
    }

    /// The called side does not answer, or tells nothing of itself.
    fn peer(&mut self, from: &EntityId, to: &EntityId, share: f64) {
        let evidence = self.evidence;
        let on_link = self.link(from, to, share);
        let restarts = evidence.signal(to, Signal::Restarts);
        let restarts = restarts.filter(|fact| fact.shift.rose_by(RESTARTS));
        let call = evidence
            .calls
            .iter()
            .find(|call| call.from == *from && call.to == *to);
        let seen: Vec<EvidenceItem> = call
            .map(|call| explain::call(evidence, call))
            .into_iter()
            .collect();
        let mut strongest = on_link;
        if let Some(fact) = restarts {
            let mut facts = vec![explain::signal(evidence, fact)];
            facts.extend(seen.iter().cloned());
            let strength = measured(&fact.shift, RESTARTS);
            self.suspect(to, Cause::Crash, share * strength, facts);
            strongest = strongest.max(strength);
        }
        if let Some(change) = change_near(evidence, to) {
            let mut facts = vec![explain::change(evidence, change)];
            facts.extend(seen.iter().cloned());
            let weight = share * ANNOUNCED * if restarts.is_some() { 0.5 } else { 1.0 };
            self.suspect(to, cause_of(change), weight, facts);
            strongest = strongest.max(ANNOUNCED);
        }
        let is_instrumented = call.is_some_and(|call| call.is_instrumented);
        if !is_instrumented {
            let weight = share * ANNOUNCED * (1.0 - strongest);
            self.suspect(to, Cause::DependencyDown, weight, seen);
            return;
        }
        if strongest == 0.0 {
            strongest = self.contention(to, share, false);
        }
        let weight = share * BARE_PLACE * (1.0 - strongest);
        self.suspect(to, Cause::Unknown, weight, seen);
        // That it does not answer is a fact of its own.
        if let Some(known) = self.found.get_mut(&(to.clone(), Cause::Unknown)) {
            known.is_stated = true;
        }
    }
}

/// How strongly a rise speaks: half at what is worth noticing beyond three usual spreads, in full far beyond.
fn measured(shift: &Shift, floor: f64) -> f64 {
    let rise = (shift.delta() - 3.0 * shift.spread).max(0.0);
    MEASURED * rise / (rise + floor)
}

/// The last change of an entity that may have begun the disturbance.
fn change_near<'a>(evidence: &'a Evidence, entity: &EntityId) -> Option<&'a ChangeFact> {
    let within = (evidence.onset - CHANGE_REACH_NS)..=(evidence.onset + CHANGE_SLACK_NS);
    let mut changes = evidence.changes.iter();
    changes.rfind(|change| change.entity == *entity && within.contains(&change.at))
}

fn cause_of(change: &ChangeFact) -> Cause {
    match change.kind.as_str() {
        "config" => Cause::ConfigChange,
        _ => Cause::Deployment,
    }
}
