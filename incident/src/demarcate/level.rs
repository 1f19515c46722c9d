//! Whose suffering is the symptom: the share of it that an entity without spans adds and its callees do not explain.

use std::collections::{BTreeMap, BTreeSet};

use demarc_proto::EntityId;

use super::{
    parameters::{
        CLEAR_HALF, ERROR_FLOOR, GOOD_SHARE, HANDED_ON, LATENCY_FLOOR, MIN_BEFORE, MIN_EARLIER,
        NEAR_ALARM, SYMPTOM_NOISE_ERRORS, SYMPTOM_NOISE_MS, UNCLEAR_WEIGHT, UNKNOWN_WAY_ROOM,
        UNKNOWN_WAY_WEIGHT, UNREACHED_WEIGHT,
    },
    reach::Reach,
};
use crate::{Evidence, LevelFacts, LevelHistory, LevelPoint, Side, SymptomKind, shift::median};

/// The intervals in which the symptom is bad, and those in which it is not; those near the alarm, and those well before it.
#[derive(Debug)]
struct Intervals {
    bad: Vec<i64>,
    good: Vec<i64>,
    near: Vec<i64>,
    earlier: Vec<i64>,
}

/// Each entity's share of the symptom that nothing below it explains, 0 to 1. Empty when the suffering service has spans.
pub(crate) fn shares(
    evidence: &Evidence,
    reach: &Reach,
    symptom: SymptomKind,
) -> BTreeMap<EntityId, f64> {
    let Some(entry) = evidence.levels.get(&evidence.service) else {
        return BTreeMap::new();
    };
    let value = value_of(symptom);
    let intervals = Intervals::of(entry, evidence.asked_since(), value);
    let rate = |facts: &LevelFacts| mean_rate(facts, &intervals.bad);
    let entry_rate = rate(entry);
    if entry_rate <= 0.0 {
        return BTreeMap::new();
    }
    let excesses: BTreeMap<&EntityId, Excess> = evidence
        .levels
        .iter()
        .map(|(id, facts)| {
            let excess = excess(facts, &intervals, symptom);
            let part = excess.more * rate(facts) / entry_rate;
            (id, Excess { part, ..excess })
        })
        .collect();
    let board = Board {
        evidence,
        reach,
        excesses,
    };
    board.shares()
}

/// What an entity suffers more than usual.
#[derive(Clone, Copy, Debug, Default)]
struct Excess {
    /// In milliseconds or as a share of its requests.
    more: f64,
    /// The same in spreads of what is usual.
    spreads: f64,
    /// The same per request of the suffering service.
    part: f64,
}

impl Excess {
    /// How clearly it is out of the usual, 0 to 1.
    fn clearness(&self) -> f64 {
        let squared = self.spreads * self.spreads;
        squared / (squared + CLEAR_HALF)
    }
}

struct Board<'a> {
    evidence: &'a Evidence,
    reach: &'a Reach,
    excesses: BTreeMap<&'a EntityId, Excess>,
}

impl Board<'_> {
    fn part(&self, id: &EntityId) -> f64 {
        self.excesses.get(id).map_or(0.0, |excess| excess.part)
    }

    fn is_awaited(&self, id: &EntityId) -> bool {
        !is_asynchronous(self.evidence, id)
    }

    fn shares(&self) -> BTreeMap<EntityId, f64> {
        let entry = &self.evidence.service;
        let whole = self.excesses.get(entry).copied().unwrap_or_default();
        if whole.part <= 0.0 {
            return BTreeMap::new();
        }
        let near = self.reached([entry]);
        let orphans: Vec<&EntityId> = self
            .excesses
            .keys()
            .copied()
            .filter(|id| *id != entry && self.is_orphan(id))
            .collect();
        let loose = self.reached(orphans.iter().copied());
        let mut shares = BTreeMap::new();
        for (id, excess) in self.excesses.iter().filter(|(_, excess)| excess.part > 0.0) {
            let awaited = self
                .reach
                .callees(id)
                .iter()
                .filter(|id| self.is_awaited(id));
            let mut below = awaited.map(|callee| self.part(callee)).fold(0.0, f64::max);
            if near.contains(*id) && !loose.contains(*id) {
                // An unknown call may hand on what an orphan suffers.
                let handed = orphans
                    .iter()
                    .filter(|orphan| *orphan != id)
                    .map(|orphan| self.part(orphan));
                let handed = handed.filter(|part| *part <= UNKNOWN_WAY_ROOM * excess.part);
                below = handed.fold(below, |below, part| below.max(UNKNOWN_WAY_WEIGHT * part));
            }
            let rest = (excess.part - below).max(0.0) / excess.part;
            let way = match (near.contains(*id), loose.contains(*id)) {
                (true, _) => 1.0,
                (false, true) => UNKNOWN_WAY_WEIGHT,
                (false, false) => UNREACHED_WEIGHT,
            };
            let (seen, own) = (whole.clearness(), excess.clearness());
            let clear = (seen * seen.max(own)).sqrt();
            let sure = UNCLEAR_WEIGHT + (1.0 - UNCLEAR_WEIGHT) * clear;
            let share = sure * (excess.part / whole.part).min(1.0) * rest * way;
            shares.insert((*id).clone(), share);
        }
        shares
    }

    /// Whether no known caller carries its excess on: then a call is not known.
    fn is_orphan(&self, id: &EntityId) -> bool {
        let part = self.part(id);
        let callers = self.reach.callers(id);
        let is_caller = self.excesses.contains_key(id)
            && self.reach.is_start(id)
            && is_stand_in(self.evidence, id);
        part > 0.0
            && self.is_awaited(id)
            && !is_caller
            && !self.evidence.is_host(id)
            && callers
                .iter()
                .all(|caller| self.part(caller) < HANDED_ON * part)
    }

    /// The entities, and all that is reached from them over calls that are waited for.
    fn reached<'b>(&self, starts: impl IntoIterator<Item = &'b EntityId>) -> BTreeSet<EntityId> {
        let mut found = BTreeSet::new();
        for start in starts {
            found.insert(start.clone());
            found.extend(self.reach.from(start, |id| self.is_awaited(id)));
        }
        found
    }
}

/// Whether only its callees' or callers' side tells of it.
fn is_stand_in(evidence: &Evidence, id: &EntityId) -> bool {
    evidence
        .levels
        .get(id)
        .is_some_and(|facts| facts.side == Side::Client)
}

/// Whether callers go on without an answer.
pub(crate) fn is_asynchronous(evidence: &Evidence, id: &EntityId) -> bool {
    let is_consumer = evidence
        .levels
        .get(id)
        .is_some_and(|facts| facts.side == Side::Consumer);
    is_consumer || evidence.kind(id) == Some(demarc_topology::EntityKind::Queue)
}

fn value_of(symptom: SymptomKind) -> fn(&LevelPoint) -> Option<f64> {
    match symptom {
        SymptomKind::Errors => |point| point.errors,
        _ => |point| point.latency_ms,
    }
}

impl Intervals {
    fn of(entry: &LevelFacts, alarm: i64, value: fn(&LevelPoint) -> Option<f64>) -> Self {
        let known = entry.recent.iter().filter_map(value);
        let low = known.fold(f64::INFINITY, f64::min);
        let points: Vec<(&LevelPoint, f64)> = entry
            .recent
            .iter()
            .map(|point| (point, value(point).unwrap_or(low)))
            .collect();
        let steps =
            |point: &LevelPoint| (point.start - alarm) as f64 / 1e9 / point.seconds.max(1e-3);
        let (before, after) = NEAR_ALARM;
        let is_near = |point: &LevelPoint| (-before..after).contains(&steps(point));
        let is_earlier = |point: &LevelPoint| steps(point) < -before;
        let near = points.iter().filter(|(point, _)| is_near(point));
        let starts = |points: Vec<&LevelPoint>| points.iter().map(|point| point.start).collect();
        let highest = |values: Vec<f64>| values.into_iter().fold(f64::NEG_INFINITY, f64::max);
        let mut top = highest(near.clone().map(|(_, value)| *value).collect());
        if top == f64::NEG_INFINITY {
            top = highest(points.iter().map(|(_, value)| *value).collect());
        }
        let is_bad = |value: f64| value > (top + low) / 2.0;
        let mut bad: Vec<&LevelPoint> = near
            .clone()
            .filter(|(_, value)| is_bad(*value))
            .map(|(point, _)| *point)
            .collect();
        if bad.is_empty() {
            bad = near.clone().map(|(point, _)| *point).collect();
        }
        let earlier = points.iter().filter(|(point, _)| is_earlier(point));
        let good = points
            .iter()
            .filter(|(_, value)| *value <= low + (top - low) * GOOD_SHARE);
        Self {
            bad: starts(bad),
            good: starts(good.map(|(point, _)| *point).collect()),
            near: starts(near.map(|(point, _)| *point).collect()),
            earlier: starts(earlier.map(|(point, _)| *point).collect()),
        }
    }
}

/// What an entity suffers more than usual and more than in the good intervals; nothing where it is within the noise.
fn excess(facts: &LevelFacts, intervals: &Intervals, symptom: SymptomKind) -> Excess {
    let value = value_of(symptom);
    let histories = facts
        .history
        .iter()
        .filter(|history| f64::from(history.count) >= MIN_BEFORE);
    let usual = histories
        .filter_map(|history| Usual::of(history, symptom))
        .reduce(Usual::max);
    let bad = weighted_mean(facts, &intervals.bad, value);
    let (Some(bad), Some(usual)) = (bad, usual) else {
        return Excess::default();
    };
    let good = weighted_mean(facts, &intervals.good, value);
    let earlier = values(facts, &intervals.earlier, value);
    // What was as bad long before the alarm did not begin then.
    let earlier = median(&earlier).filter(|_| earlier.len() >= MIN_EARLIER);
    let known = good.into_iter().chain(earlier);
    let base = known.fold(usual.value, f64::max);
    let more = bad - base;
    let (noise, floor) = match symptom {
        SymptomKind::Errors => (SYMPTOM_NOISE_ERRORS, ERROR_FLOOR),
        _ => (
            SYMPTOM_NOISE_MS,
            LATENCY_FLOOR.0 + LATENCY_FLOOR.1 * usual.value,
        ),
    };
    if more <= noise {
        return Excess::default();
    }
    Excess {
        more,
        spreads: usual.spreads(&values(facts, &intervals.near, value), (base, floor)),
        part: 0.0,
    }
}

/// What is usual in a time of peace, how far it goes beyond that once in twenty, and how far for two intervals on end.
#[derive(Clone, Copy, Debug)]
struct Usual {
    value: f64,
    spread: f64,
    lasting: f64,
}

impl Usual {
    fn of(history: &LevelHistory, symptom: SymptomKind) -> Option<Self> {
        let (value, spread, lasting) = if symptom == SymptomKind::Errors {
            let lasting = history.errors_lasting;
            (history.errors?, history.errors_spread, lasting)
        } else {
            let (value, high) = (history.latency_ms?, history.latency_high_ms?);
            (value, high - value, history.latency_lasting_ms)
        };
        let lasting = lasting.map_or(spread, |lasting| (lasting - value).max(0.0));
        Some(Self {
            value,
            spread,
            lasting,
        })
    }

    fn max(self, other: Self) -> Self {
        Self {
            value: self.value.max(other.value),
            spread: self.spread.max(other.spread),
            lasting: self.lasting.max(other.lasting),
        }
    }

    /// How many spreads what lasted for two of the intervals lies above `base`; one interval that is alone is compared with single
    /// ones. A burst that is over at once is nothing that peace does not show as well.
    fn spreads(self, near: &[f64], (base, floor): (f64, f64)) -> f64 {
        let mut sorted = near.to_vec();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let (lasted, spread) = match sorted.as_slice() {
            [] => return 0.0,
            [only] => (*only, self.spread),
            [_, second, ..] => (*second, self.lasting),
        };
        (lasted - base).max(0.0) / (spread + floor)
    }
}

/// The values of some intervals.
fn values(facts: &LevelFacts, starts: &[i64], value: fn(&LevelPoint) -> Option<f64>) -> Vec<f64> {
    let points = facts.recent.iter();
    let wanted = points.filter(|point| starts.contains(&point.start));
    wanted.filter_map(value).collect()
}

fn mean_rate(facts: &LevelFacts, starts: &[i64]) -> f64 {
    let points = facts
        .recent
        .iter()
        .filter(|point| starts.contains(&point.start));
    points.map(|point| point.rate).sum::<f64>() / starts.len().max(1) as f64
}

/// The mean over the intervals that have a value, by requests; plain where there were none.
fn weighted_mean(
    facts: &LevelFacts,
    starts: &[i64],
    value: fn(&LevelPoint) -> Option<f64>,
) -> Option<f64> {
    let points = facts
        .recent
        .iter()
        .filter(|point| starts.contains(&point.start));
    let known: Vec<(f64, f64)> = points
        .filter_map(|point| Some((value(point)?, point.rate)))
        .collect();
    let requests: f64 = known.iter().map(|(_, rate)| rate).sum();
    if known.is_empty() {
        return None;
    }
    if requests > 0.0 {
        return Some(known.iter().map(|(value, rate)| value * rate).sum::<f64>() / requests);
    }
    Some(known.iter().map(|(value, _)| value).sum::<f64>() / known.len() as f64)
}
