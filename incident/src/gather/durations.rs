//! How long requests take: within a service, and between the two sides of a call.

use std::collections::{BTreeMap, HashSet};

use demarc_proto::EntityId;

use super::forest::{Forest, Phase};
use crate::{
    GapFacts, OwnFacts,
    shift::{kept, median, quantile},
};

/// Fewest requests before, to compare with.
const MIN_BEFORE: usize = 5;
/// Fewest requests during, to compare.
const MIN_DURING: usize = 3;

/// Durations before and during.
type Sides = [Vec<f64>; 2];

/// Time between the two sides of each call, by caller and called.
pub(crate) fn gaps(forest: &Forest<'_>) -> BTreeMap<(EntityId, EntityId), GapFacts> {
    let mut gaps: BTreeMap<(&EntityId, &EntityId), Sides> = BTreeMap::new();
    for (at, span) in forest.spans.iter().enumerate() {
        let (Some(parent), Some(phase)) = (forest.parents[at], forest.phases[at]) else {
            continue;
        };
        let caller = &forest.spans[parent];
        if caller.service != span.service {
            let sides = gaps.entry((&caller.service, &span.service)).or_default();
            sides[phase.place()].push((caller.duration_ns - span.duration_ns) as f64 / 1e6);
        }
    }
    let facts = gaps
        .into_iter()
        .filter_map(|((from, to), [before, during])| {
            let facts = GapFacts {
                before_count: before.len() as u64,
                during_count: during.len() as u64,
                before_ms: kept(median(&before)?),
                before_high_ms: kept(quantile(&before, 0.75)?),
                during_ms: kept(median(&during)?),
            };
            Some(((from.clone(), to.clone()), facts))
        });
    facts.collect()
}

/// Time that each service takes itself.
pub(crate) fn own_times(forest: &Forest<'_>) -> BTreeMap<EntityId, OwnFacts> {
    let clients = clients(forest);
    let mut waits: BTreeMap<usize, Vec<(i64, i64)>> = BTreeMap::new();
    for (at, span) in forest.spans.iter().enumerate() {
        if forest.phases[at].is_none() {
            continue;
        }
        let entry = forest.entry_of(at);
        let waits = waits.entry(entry).or_default();
        if entry != at && clients.contains(&(&span.service, span.name.as_str())) {
            waits.push((span.start.0, span.start.0 + span.duration_ns));
        }
    }
    let mut times: BTreeMap<&EntityId, Sides> = BTreeMap::new();
    for (entry, waits) in waits {
        let (span, Some(phase)) = (&forest.spans[entry], forest.phases[entry]) else {
            continue;
        };
        let end = span.start.0 + span.duration_ns;
        let waited = super::covered((span.start.0, end), waits);
        let own = (span.duration_ns - waited).max(0) as f64 / 1e6;
        times.entry(&span.service).or_default()[phase.place()].push(own);
    }
    let traces = traces(forest, Phase::During).max(1) as f64;
    let facts = times.into_iter().filter_map(|(service, [before, during])| {
        if before.len() < MIN_BEFORE || during.len() < MIN_DURING {
            return None;
        }
        let facts = OwnFacts {
            before_count: before.len() as u64,
            during_count: during.len() as u64,
            before_ms: kept(mean_below_high(&before)),
            spread_ms: kept(quantile(&before, 0.75)? - median(&before)?),
            during_ms: kept(mean_below_high(&during)),
            per_trace: kept(during.len() as f64 / traces),
        };
        Some((service.clone(), facts))
    });
    facts.collect()
}

/// Median duration of whole traces before, in milliseconds; `None` without any.
pub(crate) fn trace_ms(forest: &Forest<'_>) -> Option<f64> {
    let roots = forest.spans.iter().enumerate().filter(|(at, _)| {
        forest.parents[*at].is_none() && forest.phases[*at] == Some(Phase::Before)
    });
    let durations: Vec<f64> = roots
        .map(|(_, span)| span.duration_ns as f64 / 1e6)
        .collect();
    median(&durations).map(kept)
}

/// Service and operation of all spans that wait for another service.
fn clients<'a>(forest: &Forest<'a>) -> HashSet<(&'a EntityId, &'a str)> {
    let mut clients = HashSet::new();
    for (at, span) in forest.spans.iter().enumerate() {
        let caller = forest.parents[at].map(|parent| &forest.spans[parent]);
        let called = caller.filter(|caller| caller.service != span.service);
        for one in called.into_iter().chain(span.is_client.then_some(span)) {
            clients.insert((&one.service, one.name.as_str()));
        }
    }
    clients
}

fn traces(forest: &Forest<'_>, phase: Phase) -> usize {
    let spans = forest.spans.iter().zip(&forest.phases);
    let of_phase = spans.filter(|(_, of)| **of == Some(phase));
    of_phase
        .map(|(span, _)| span.trace.as_slice())
        .collect::<HashSet<_>>()
        .len()
}

fn mean_below_high(values: &[f64]) -> f64 {
    let high = quantile(values, 0.9).unwrap_or(f64::INFINITY);
    values.iter().map(|value| value.min(high)).sum::<f64>() / values.len().max(1) as f64
}
