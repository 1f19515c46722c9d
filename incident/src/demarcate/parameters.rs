//! Every number that a verdict depends on, with where it is from. One set for all systems.
//!
//! "Chosen on recordings" means: on the 102 published recordings of three systems that docs/accuracy.md names, together, not per
//! system; a value was kept where its neighbours give the same figures.

/// Quantile of the normal distribution for the bounds of proportions: 95 %, one-sided.
pub(crate) const WILSON_Z: f64 = 1.64;
/// Fewest values before, to call anything usual. A median of fewer is a guess.
pub(crate) const MIN_BEFORE: f64 = 5.0;
/// Fewest spans of an operation before and during, to compare what it did: bounds of shares say themselves how little that is.
pub(crate) const MIN_SPANS: (f64, f64) = (3.0, 2.0);

/// A rise within so many percentage points above what was usually exceeded once in twenty is noise. Samples a minute of idle
/// processors vary as much.
pub(crate) const USAGE_NOISE: f64 = 5.0;
/// From the first to the second percentage of its limit, a processor begins to make its users wait.
/// Source: queueing theory, M/M/c; Gregg, "Systems Performance" (2nd ed.), 2.6.5.
pub(crate) const CPU_PRESSURE: (f64, f64) = (40.0, 70.0);
/// The same of memory: nothing happens before it runs out.
pub(crate) const MEMORY_PRESSURE: (f64, f64) = (90.0, 99.0);
/// A rise in memory of so many points is half a proof: it grows in peace as well.
pub(crate) const MEMORY_HALF: f64 = 15.0;
/// Share to which a busier processor, saturated or not, corroborates what else accuses its user. Chosen on recordings.
pub(crate) const ACTIVITY_WEIGHT: f64 = 0.3;
/// Saturation of its processor from which on an entity's network is not suspected: it answers late because it waits for a turn.
pub(crate) const COMPUTE_EXPLAINS_NETWORK: f64 = 0.4;

/// A gap between the sides of a call counts beyond so many milliseconds: below, it is the schedulers of both ends.
pub(crate) const GAP_NOISE_MS: f64 = 2.0;
/// A gap of so many milliseconds is half a proof. A round trip within one site takes less than one.
pub(crate) const GAP_HALF_MS: f64 = 20.0;
/// Fewest calls before, to trust the usual gap.
pub(crate) const GAP_MIN_BEFORE: u64 = 3;
/// What a gap counts with fewer.
pub(crate) const GAP_UNSURE: f64 = 0.6;
/// Weight of outgoing calls that are all late against incoming ones. Chosen on recordings.
pub(crate) const OUTGOING_WEIGHT: f64 = 0.9;
/// A late network against saturation that is measured directly: nearly as sure.
pub(crate) const NETWORK_WEIGHT: f64 = 0.97;

/// A pattern is known when it was seen so often before ...
pub(crate) const KNOWN_COUNT: u64 = 3;
/// ... and in this share of the spans.
pub(crate) const KNOWN_SHARE: f64 = 0.03;
/// Largest pattern that is looked at event by event; pairs grow with the square.
pub(crate) const MAX_PAIR_EVENTS: usize = 60;
/// Share of spans between which an event goes from "sometimes" to "always" there: only what is always there can be missing.
pub(crate) const ALWAYS: (f64, f64) = (0.8, 0.95);
/// What a missing event counts where what took its place is as rich and tells of no error: another branch of the code, as likely
/// another mix of requests. Chosen on recordings.
pub(crate) const REPLACED_WEIGHT: f64 = 0.4;
/// Share of spans below which an event is new, and how far below it surely is.
pub(crate) const NEW_BELOW: (f64, f64) = (0.2, 0.15);
/// What a new event counts that is no error: it may be another mix of requests. Chosen on recordings.
pub(crate) const NEW_WEIGHT: f64 = 0.25;
/// An operation under which so many times as many spans hang as before does more, and does not stop short.
pub(crate) const GROWN: (f64, f64) = (1.05, 1.4);
/// What a change counts among requests that meet an error in peace as well. Chosen on recordings.
pub(crate) const BACKGROUND_WEIGHT: f64 = 0.3;
/// Share of an operation's spans from which on such an error is a part of the operation.
pub(crate) const BACKGROUND_USUAL: f64 = 0.8;
/// Fewest spans on either side to say that a pattern vanished.
pub(crate) const VANISHED_MIN: u64 = 20;
/// Least share of a pattern that can vanish.
pub(crate) const VANISHED_SHARE: f64 = 0.05;
/// Share by which a pattern has to fall to have vanished.
pub(crate) const VANISHED_FALL: (f64, f64) = (0.7, 0.95);
/// What a pattern that vanished counts: it says that something changed, here or above. Chosen on recordings.
pub(crate) const VANISHED_WEIGHT: f64 = 0.4;
/// Effect from which on a caller's change votes for the callee at which it stopped.
pub(crate) const VOTE_EFFECT: f64 = 0.1;
/// Changed behaviour against saturation that is measured directly.
pub(crate) const STRUCTURE_WEIGHT: f64 = 0.95;

/// Own time counts beyond so many milliseconds.
pub(crate) const OWN_NOISE_MS: f64 = 2.0;
/// Added own time of so many milliseconds, plus this share of a whole trace, is half a proof.
pub(crate) const OWN_HALF: (f64, f64) = (10.0, 0.3);
/// Longer own time says where, not why: it weighs less than what shows a cause. Chosen on recordings.
pub(crate) const OWN_WEIGHT: f64 = 0.6;

/// Intervals near the alarm: from so many before it to so many after it.
pub(crate) const NEAR_ALARM: (f64, f64) = (1.2, 1.8);
/// Fewest intervals before these, to say that it did not begin near the alarm.
pub(crate) const MIN_EARLIER: usize = 3;
/// Share of the way up to the symptom's worst below which an interval is good.
pub(crate) const GOOD_SHARE: f64 = 0.25;
/// A symptom counts beyond so many milliseconds ...
pub(crate) const SYMPTOM_NOISE_MS: f64 = 1.0;
/// ... or this share of requests.
pub(crate) const SYMPTOM_NOISE_ERRORS: f64 = 0.001;
/// A share of the symptom that nothing below explains: as own time.
pub(crate) const SYMPTOM_WEIGHT: f64 = 0.6;
/// What a suffering counts that no call from the symptom leads to.
pub(crate) const UNREACHED_WEIGHT: f64 = 0.3;
/// What stands in for others (what callers measure of a called side that tells nothing of itself, gateways, queues): it passes
/// blame on.
pub(crate) const FACADE_WEIGHT: f64 = 0.6;
/// What is started and not waited for cannot make its starter late.
pub(crate) const ASYNCHRONOUS_WEIGHT: f64 = 0.4;

/// Usual milliseconds and share of the usual duration by which a mean varies without a spread to tell.
pub(crate) const LATENCY_FLOOR: (f64, f64) = (2.0, 0.02);
/// The same of shares of failed requests.
pub(crate) const ERROR_FLOOR: f64 = 0.002;
/// Square of the number of spreads at which an excess is half clear.
pub(crate) const CLEAR_HALF: f64 = 2.0;
/// What an excess counts that is not clear at all.
pub(crate) const UNCLEAR_WEIGHT: f64 = 0.05;
/// Share of a callee's excess that its callers must show, or else an unknown caller hands it on.
pub(crate) const HANDED_ON: f64 = 0.3;
/// How much greater than a caller's an excess may be that reaches it on an unknown way.
pub(crate) const UNKNOWN_WAY_ROOM: f64 = 2.0;
/// What an excess counts that reaches the symptom on an unknown way.
pub(crate) const UNKNOWN_WAY_WEIGHT: f64 = 0.9;

/// A busy host is suspected as far as a service on it suffers: at least so much, ...
pub(crate) const HOST_LEAST: f64 = 0.3;
/// ... and fully when what accuses that service grows from the first to the second.
pub(crate) const HOST_SUFFERS: (f64, f64) = (0.05, 0.3);
/// What accuses an entity counts so much where no known call ties it to the suffering service, directly or not: it may be another
/// system's, or the map of calls may have a hole.
pub(crate) const UNTIED_WEIGHT: f64 = 0.8;
/// Least score from which on a fault is laid at resources or at the network, and not at the entity.
pub(crate) const LAYER_LEAST: f64 = 0.2;

/// Confidence as a logistic function: constant, weight of the first suspect's total, weight of its lead over the second. Fitted to 326
/// verdicts on recordings (whole, with late onsets, without logs, without spans); see docs/accuracy.md.
pub(crate) const CONFIDENCE: (f64, f64, f64) = (-1.82, 4.69, 6.26);
/// Weight from which on a suspect is named at all. Set on fault-free windows of the same recordings.
pub(crate) const ACCUSED: f64 = 0.32;
/// Weight from which on a state change is what a suspect is accused of, whatever else is measured there.
pub(crate) const STATED: f64 = 0.2;
/// Weight of all that nobody thought of, beside two state changes that both explain the symptom.
pub(crate) const OTHERS: f64 = 0.12;
