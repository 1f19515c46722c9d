//! How far the behaviour of one operation changed: what its spans always did and do no more, and what they never did.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    parameters::{
        ALWAYS, GROWN, KNOWN_COUNT, KNOWN_SHARE, MAX_PAIR_EVENTS, MIN_SPANS, NEW_BELOW, NEW_WEIGHT,
        REPLACED_WEIGHT, VANISHED_FALL, VANISHED_MIN, VANISHED_SHARE,
    },
    proportion::{ramp, wilson},
};
use crate::{Event, OperationFacts, Pattern};

/// The event that changed most.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change<'a> {
    /// 0 to 1.
    pub(crate) effect: f64,
    pub(crate) event: &'a Event,
    /// Whether it is gone, or new.
    pub(crate) is_gone: bool,
    /// Share of the spans with it before, 0 to 1.
    pub(crate) before: f64,
    /// The same during.
    pub(crate) during: f64,
}

/// How often each event is there, and each together with each other one; `None` stands for the operation itself.
#[derive(Debug, Default)]
struct Pairs<'a> {
    counts: BTreeMap<Option<&'a Event>, f64>,
    pairs: BTreeMap<(Option<&'a Event>, &'a Event), f64>,
}

impl<'a> Pairs<'a> {
    fn of(patterns: impl Iterator<Item = &'a Pattern>) -> Self {
        let mut all = Self::default();
        for pattern in patterns {
            let count = pattern.count as f64;
            *all.counts.entry(None).or_default() += count;
            for event in &pattern.events {
                *all.counts.entry(Some(event)).or_default() += count;
                *all.pairs.entry((None, event)).or_default() += count;
            }
            if pattern.events.len() > MAX_PAIR_EVENTS {
                continue;
            }
            for given in &pattern.events {
                for event in pattern.events.iter().filter(|event| *event != given) {
                    *all.pairs.entry((Some(given), event)).or_default() += count;
                }
            }
        }
        all
    }

    fn count(&self, given: Option<&'a Event>) -> f64 {
        self.counts.get(&given).copied().unwrap_or(0.0)
    }

    fn pair(&self, given: Option<&'a Event>, event: &'a Event) -> f64 {
        self.pairs.get(&(given, event)).copied().unwrap_or(0.0)
    }
}

/// Whether the time before shows a pattern more than by accident.
pub(crate) fn is_known(operation: &OperationFacts, events: &BTreeSet<Event>) -> bool {
    let spans = operation.spans_before() as f64;
    let known = operation
        .before
        .iter()
        .find(|pattern| pattern.events == *events);
    known.is_some_and(|pattern| {
        pattern.count >= KNOWN_COUNT && pattern.count as f64 >= KNOWN_SHARE * spans
    })
}

/// The greatest change: the presence of one event given another, by bounds of the shares. Patterns that the time before knows as
/// well are a matter of the mix of requests: only spans of new patterns count as changed. `None` where nothing did.
pub(crate) fn change(operation: &OperationFacts) -> Option<Change<'_>> {
    let before = Pairs::of(operation.before.iter());
    let during = Pairs::of(operation.during.iter());
    let is_new = |pattern: &&Pattern| !is_known(operation, &pattern.events);
    let new_patterns: Vec<&Pattern> = operation.during.iter().filter(is_new).collect();
    let new = Pairs::of(new_patterns.iter().copied());
    let grown = growth(operation);
    let events: BTreeSet<&Event> = before
        .counts
        .keys()
        .chain(new.counts.keys())
        .flatten()
        .copied()
        .collect();
    let mut best: Option<Change<'_>> = None;
    for given in new.counts.keys() {
        let (n0, n1) = (before.count(*given), during.count(*given));
        if n0 < MIN_SPANS.0 || n1 < MIN_SPANS.1 {
            continue;
        }
        for event in events
            .iter()
            .copied()
            .filter(|event| Some(*event) != *given)
        {
            let with = before.pair(*given, event);
            let has = new.pair(*given, event);
            let lacks = new.count(*given) - has;
            let Some((mut effect, is_gone)) = effect(event, (with, n0), (has, lacks, n1), grown)
            else {
                continue;
            };
            let is_best = effect > best.as_ref().map_or(0.0, |best| best.effect);
            if is_best && is_gone && is_replaced(operation, &new_patterns, (*given, event)) {
                effect *= REPLACED_WEIGHT;
            }
            if effect > best.as_ref().map_or(0.0, |best| best.effect) {
                best = Some(Change {
                    effect,
                    event,
                    is_gone,
                    before: with / n0,
                    during: if is_gone { 1.0 - lacks / n1 } else { has / n1 },
                });
            }
        }
    }
    best
}

fn effect(
    event: &Event,
    (with, n0): (f64, f64),
    (has, lacks, n1): (f64, f64, f64),
    grown: f64,
) -> Option<(f64, bool)> {
    let usual = with / n0;
    let is_error = event.is_error();
    let is_nothing = *event == Event::Nothing;
    if usual >= 0.5 {
        // An error that went away and calls that came back are no fault.
        if is_error || is_nothing || lacks <= 0.0 {
            return None;
        }
        let fall = wilson(with, n0).0 - wilson(n1 - lacks, n1).1;
        let does_more = match event {
            Event::Call { .. } => ramp(grown, GROWN),
            _ => 0.0,
        };
        return Some((fall * ramp(usual, ALWAYS) * (1.0 - does_more), true));
    }
    if has <= 0.0 {
        return None;
    }
    let rise = wilson(has, n1).0 - wilson(with, n0).1;
    let weight = if is_error || is_nothing {
        1.0
    } else {
        NEW_WEIGHT
    };
    let (below, surely) = NEW_BELOW;
    Some((rise * ramp(below - usual, (0.0, surely)) * weight, false))
}

/// Whether the new patterns that lack the event are no poorer than those that had it, and tell of no error.
fn is_replaced(
    operation: &OperationFacts,
    new: &[&Pattern],
    (given, event): (Option<&Event>, &Event),
) -> bool {
    let has = |pattern: &Pattern| given.is_none_or(|given| pattern.events.contains(given));
    let mean = |patterns: &[&Pattern]| {
        let count: u64 = patterns.iter().map(|pattern| pattern.count).sum();
        let events = patterns
            .iter()
            .map(|pattern| pattern.count * pattern.events.len() as u64);
        events.sum::<u64>() as f64 / count.max(1) as f64
    };
    let new = new.iter().copied();
    let lacking: Vec<&Pattern> = new
        .filter(|one| has(one) && !one.events.contains(event))
        .collect();
    let before = operation.before.iter();
    let having: Vec<&Pattern> = before
        .filter(|one| has(one) && one.events.contains(event))
        .collect();
    let is_error = lacking
        .iter()
        .any(|pattern| pattern.events.iter().any(Event::is_error));
    !is_error && mean(&lacking) >= mean(&having)
}

/// How many times as many spans hang under the operation's spans as before.
fn growth(operation: &OperationFacts) -> f64 {
    let mean = |descendants: u64, spans: u64| descendants as f64 / spans.max(1) as f64;
    let before = mean(operation.descendants_before, operation.spans_before());
    mean(operation.descendants_during, operation.spans_during()) / before.max(0.5)
}

/// How surely a frequent pattern is no longer there although the operation still runs, 0 to 1.
pub(crate) fn vanished(operation: &OperationFacts) -> f64 {
    let (n0, n1) = (operation.spans_before(), operation.spans_during());
    if n0 < VANISHED_MIN || n1 < VANISHED_MIN {
        return 0.0;
    }
    let mut best: f64 = 0.0;
    for pattern in &operation.before {
        let now = operation
            .during
            .iter()
            .find(|other| other.events == pattern.events);
        let now = now.map_or(0, |pattern| pattern.count);
        let low = wilson(pattern.count as f64, n0 as f64).0;
        let high = wilson(now as f64, n1 as f64).1;
        if low >= VANISHED_SHARE {
            best = best.max(low.sqrt() * ramp(1.0 - high / low, VANISHED_FALL));
        }
    }
    best
}
