//! The change of native histograms within a window.

use demarc_store::CounterReset;

use super::{Counter, Sampled, average, is_restarted, start_within};
use crate::promql::{
    annotation::{Note, Operation},
    native::Histogram,
    selector::Window,
    source::RawHistogram,
    window::Context,
};

/// The change between the first and the last histogram.
pub(super) fn sampled(
    window: Window<'_>,
    context: Context<'_>,
    counter: Counter,
) -> Option<Sampled<Histogram>> {
    let histograms = window.histograms;
    let (first, last) = (histograms.first()?, histograms.last()?);
    let start = start_within(window, first.start, first.time, counter);
    if histograms.len() < 2 && start.is_none() {
        return None;
    }
    note_kind(histograms, context, counter);
    let mut value = difference(histograms, context, counter)?;
    if start.is_some() {
        value = value.plus(&first.value)?.0;
    }
    value.reset = CounterReset::Gauge;
    value.positive.compact();
    value.negative.compact();
    Some(Sampled {
        value,
        first: start.unwrap_or(first.time),
        last: last.time,
        average: average(first.time, last.time, histograms.len()),
        begins_within: start.is_some(),
    })
}

fn note_kind(histograms: &[RawHistogram], context: Context<'_>, counter: Counter) {
    let is_gauge = |one: &RawHistogram| one.value.reset == CounterReset::Gauge;
    if counter == Counter::Yes {
        if histograms.iter().any(is_gauge) {
            context.note(&Note::NotCounter);
        }
        return;
    }
    let ends = [histograms.first(), histograms.last()];
    if !ends.into_iter().flatten().all(is_gauge) {
        context.note(&Note::NotGauge);
    }
}

fn is_reset(histograms: &[RawHistogram], at: usize) -> bool {
    let (before, now) = (&histograms[at - 1], &histograms[at]);
    is_restarted((before.start, before.time), (now.start, now.time))
        || now.value.is_reset_since(&before.value)
}

/// How often the count of the histograms began anew.
pub(in crate::promql) fn difference(
    histograms: &[RawHistogram],
    context: Context<'_>,
    counter: Counter,
) -> Option<Histogram> {
    let last = &histograms[histograms.len() - 1].value;
    let mut first = (*histograms[0].value).clone();
    let resets: Vec<bool> = (1..histograms.len())
        .map(|at| counter == Counter::Yes && is_reset(histograms, at))
        .collect();
    // Of a first sample before a reset only the count matters, not its buckets.
    let skips_first = resets.first() == Some(&true);
    if skips_first {
        first = Histogram::empty_like(&histograms[1].value);
        first.zero_threshold = histograms[1].value.zero_threshold;
    }
    let is_custom = first.has_custom_buckets();
    let counted = if counter == Counter::Yes {
        &histograms[1..]
    } else {
        &histograms[histograms.len() - 1..]
    };
    if counted
        .iter()
        .any(|one| one.value.has_custom_buckets() != is_custom)
    {
        context.note(&Note::MixedExponentialCustom);
        return None;
    }
    let (mut change, notes) = last.minus(&first)?;
    if notes.bounds_differ {
        context.note(&Note::BoundsReconciled(Operation::Subtraction));
    }
    for (at, is_reset) in resets.into_iter().enumerate() {
        if !is_reset || (at == 0 && skips_first) {
            continue;
        }
        let (sum, notes) = change.plus(&histograms[at].value)?;
        if notes.bounds_differ {
            context.note(&Note::BoundsReconciled(Operation::Addition));
        }
        change = sum;
    }
    Some(change)
}
