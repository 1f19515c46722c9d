//! What each operation does: the calls and the log lines of its spans, as sets that are counted.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use demarc_proto::EntityId;

use super::{
    forest::{Forest, Phase},
    logs::Line,
};
use crate::{Event, OperationFacts, Pattern, demarcate::wilson};

/// Most different patterns that are kept of one operation; the rarest are left out.
const MAX_PATTERNS: usize = 256;
/// Most operations that are kept; those with the fewest spans are left out.
const MAX_OPERATIONS: usize = 2000;

/// Service, operation with whom it calls, and the background errors of the requests.
type Key = (EntityId, String, BTreeSet<String>);

/// Counts of one operation.
#[derive(Debug, Default)]
struct Sums {
    span_name: String,
    peer: Option<EntityId>,
    patterns: HashMap<BTreeSet<Event>, Counts>,
    descendants: [u64; 2],
}

#[derive(Debug, Default)]
struct Counts {
    spans: [u64; 2],
    last: BTreeMap<EntityId, u64>,
}

/// What each operation did before and during.
pub(crate) fn operations(forest: &Forest<'_>, lines: &[Line]) -> Vec<OperationFacts> {
    let mut sums: BTreeMap<Key, Sums> = BTreeMap::new();
    if forest.spans.is_empty() {
        by_trace(lines, &mut sums);
    } else {
        by_span(forest, lines, &mut sums);
    }
    let mut facts: Vec<OperationFacts> = sums
        .into_iter()
        .map(|(key, sums)| sums.facts(key))
        .filter(|facts| !facts.before.is_empty())
        .collect();
    if facts.len() > MAX_OPERATIONS {
        facts.sort_by_key(|facts| std::cmp::Reverse(facts.spans_before()));
        facts.truncate(MAX_OPERATIONS);
        facts.sort_by(|a, b| (&a.service, &a.operation).cmp(&(&b.service, &b.operation)));
    }
    facts
}

fn by_span(forest: &Forest<'_>, lines: &[Line], sums: &mut BTreeMap<Key, Sums>) {
    let mut of_span: HashMap<usize, BTreeSet<Event>> = HashMap::new();
    for line in lines {
        let id = (line.trace.as_slice(), line.span.as_slice());
        if let Some(at) = forest.by_id.get(&id) {
            of_span.entry(*at).or_default().insert(line.event());
        }
    }
    let noise = background(lines);
    let classes = classes(forest, lines, &noise);
    let sizes = forest.sizes();
    let calls_elsewhere = calls_elsewhere(forest);
    let peers = peers(forest);
    for (at, span) in forest.spans.iter().enumerate() {
        let Some(phase) = forest.phases[at] else {
            continue;
        };
        let mut events = of_span.remove(&at).unwrap_or_default();
        events.extend(forest.children[at].iter().map(|child| {
            let (child, own) = (&forest.spans[*child], &span.service);
            let service = (child.service != *own).then(|| child.service.clone());
            Event::Call {
                service,
                operation: child.operation(),
            }
        }));
        events.extend(span.failed.then_some(Event::Failure));
        events.extend(span.exceptions.iter().cloned().map(Event::Exception));
        if events.is_empty() {
            events.insert(Event::Nothing);
        }
        let class = classes.get(&(span.trace.as_slice(), &span.service));
        let key = (
            span.service.clone(),
            span.operation(),
            class.cloned().unwrap_or_default(),
        );
        let sums = sums.entry(key).or_default();
        if sums.span_name.is_empty() {
            sums.span_name.clone_from(&span.name);
            let called = peers.get(&(&span.service, span.operation()));
            sums.peer = called.and_then(|called| one_of(called)).cloned();
        }
        sums.descendants[phase.place()] += sizes[at];
        let counts = sums.patterns.entry(events).or_default();
        counts.spans[phase.place()] += 1;
        if phase == Phase::During
            && let Some(last) = last_call(forest, at, &calls_elsewhere)
        {
            *counts.last.entry(last.clone()).or_default() += 1;
        }
    }
}

/// Without spans, the lines of one service in one trace take the place of a span.
fn by_trace(lines: &[Line], sums: &mut BTreeMap<Key, Sums>) {
    let noise = background(lines);
    let mut classes: HashMap<&[u8], BTreeSet<String>> = HashMap::new();
    for line in lines.iter().filter(|line| noise.contains(&line.template)) {
        let class = classes.entry(&line.trace).or_default();
        class.insert(line.template.clone());
    }
    let mut grouped: BTreeMap<(&EntityId, &[u8], Phase), BTreeSet<Event>> = BTreeMap::new();
    for line in lines {
        let group = (&line.service, line.trace.as_slice(), line.phase);
        grouped.entry(group).or_default().insert(line.event());
    }
    for ((service, trace, phase), events) in grouped {
        let class = classes.get(trace).cloned().unwrap_or_default();
        let key = (service.clone(), "logs".to_owned(), class);
        let patterns = &mut sums.entry(key).or_default().patterns;
        patterns.entry(events).or_default().spans[phase.place()] += 1;
    }
}

/// Error templates that the system logs in peace as well, about as often: they say nothing of the disturbance.
fn background(lines: &[Line]) -> HashSet<String> {
    let mut traces: [HashSet<&[u8]>; 2] = Default::default();
    let mut with: HashMap<&str, [HashSet<&[u8]>; 2]> = HashMap::new();
    for line in lines {
        let place = line.phase.place();
        traces[place].insert(&line.trace);
        if line.is_error {
            with.entry(&line.template).or_default()[place].insert(&line.trace);
        }
    }
    let of = |counts: &[HashSet<&[u8]>; 2], at: usize| {
        wilson(counts[at].len() as f64, traces[at].len() as f64)
    };
    let is_usual =
        |counts: &[HashSet<&[u8]>; 2]| !counts[0].is_empty() && of(counts, 1).0 <= of(counts, 0).1;
    with.iter()
        .filter(|(_, counts)| is_usual(counts))
        .map(|(template, _)| (*template).to_owned())
        .collect()
}

/// The background errors of each service's part of each trace: those of its own spans and of spans below them.
fn classes<'a>(
    forest: &Forest<'a>,
    lines: &[Line],
    noise: &HashSet<String>,
) -> HashMap<(&'a [u8], &'a EntityId), BTreeSet<String>> {
    let mut classes: HashMap<(&[u8], &EntityId), BTreeSet<String>> = HashMap::new();
    for line in lines.iter().filter(|line| noise.contains(&line.template)) {
        let id = (line.trace.as_slice(), line.span.as_slice());
        let mut next = forest.by_id.get(&id).copied();
        while let Some(at) = next {
            let span = &forest.spans[at];
            let class = classes
                .entry((span.trace.as_slice(), &span.service))
                .or_default();
            class.insert(line.template.clone());
            next = forest.parents[at];
        }
    }
    classes
}

/// Whom operations call that call another service, by service and operation.
fn peers<'a>(forest: &Forest<'a>) -> HashMap<(&'a EntityId, String), BTreeSet<&'a EntityId>> {
    let mut peers: HashMap<(&EntityId, String), BTreeSet<&EntityId>> = HashMap::new();
    for (at, span) in forest.spans.iter().enumerate() {
        let elsewhere = forest.children[at]
            .iter()
            .map(|child| &forest.spans[*child].service);
        let mut called: BTreeSet<&EntityId> = elsewhere
            .filter(|service| **service != span.service)
            .collect();
        if called.is_empty() {
            called.extend(span.peer.as_ref().map(|peer| &peer.entity));
        }
        if !called.is_empty() {
            peers
                .entry((&span.service, span.operation()))
                .or_default()
                .extend(called);
        }
    }
    peers
}

fn one_of<'a>(called: &BTreeSet<&'a EntityId>) -> Option<&'a EntityId> {
    (called.len() == 1)
        .then(|| called.first().copied())
        .flatten()
}

/// For each span, the other service that its child in its own service calls, or that it calls itself.
fn calls_elsewhere<'a>(forest: &Forest<'a>) -> Vec<Option<&'a EntityId>> {
    let elsewhere = |at: usize| {
        let own = &forest.spans[at].service;
        let mut called = forest.children[at]
            .iter()
            .map(|child| &forest.spans[*child].service);
        called.find(|service| *service != own)
    };
    (0..forest.spans.len()).map(elsewhere).collect()
}

/// The service that a span called last, itself or by a child.
fn last_call<'a>(
    forest: &Forest<'a>,
    at: usize,
    calls_elsewhere: &[Option<&'a EntityId>],
) -> Option<&'a EntityId> {
    let own = &forest.spans[at].service;
    let called = |child: &usize| {
        let service = &forest.spans[*child].service;
        if service == own {
            calls_elsewhere[*child]
        } else {
            Some(service)
        }
    };
    forest.children[at].iter().rev().find_map(called)
}

impl Sums {
    fn facts(self, (service, operation, class): Key) -> OperationFacts {
        let mut patterns: Vec<(BTreeSet<Event>, Counts)> = self.patterns.into_iter().collect();
        patterns.sort_by(|(a_events, a), (b_events, b)| {
            let count = |counts: &Counts| counts.spans[0] + counts.spans[1];
            count(b).cmp(&count(a)).then_with(|| a_events.cmp(b_events))
        });
        patterns.truncate(MAX_PATTERNS);
        let (mut before, mut during) = (Vec::new(), Vec::new());
        for (events, counts) in patterns {
            for (place, side) in [&mut before, &mut during].into_iter().enumerate() {
                if counts.spans[place] > 0 {
                    side.push(Pattern {
                        events: events.clone(),
                        count: counts.spans[place],
                        last: if place == 1 {
                            counts.last.clone()
                        } else {
                            BTreeMap::new()
                        },
                    });
                }
            }
        }
        OperationFacts {
            service,
            operation,
            span_name: self.span_name,
            peer: self.peer,
            background: class,
            before,
            during,
            descendants_before: self.descendants[0],
            descendants_during: self.descendants[1],
        }
    }
}
