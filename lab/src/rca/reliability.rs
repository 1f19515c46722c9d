//! Whether a confidence of 80 % is right in 80 % of cases.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use serde::Deserialize;

use super::prediction::Said;
use crate::{
    cli::ReliabilityArgs,
    recording::{Set, Truth},
    say,
};

/// Bins of equal width, as Guo et al., "On calibration of modern neural networks", ICML 2017.
const BINS: usize = 10;
/// Parts of cross-validation.
const FOLDS: usize = 10;
/// Confidence above which a wrong name does harm.
const SURE: f64 = 0.7;
/// Steps of Newton's method, and halvings of each; it converges in fewer.
const STEPS: usize = 25;
/// Weight that keeps a fit finite where right and wrong can be told apart without error.
const RIDGE: f64 = 1e-3;

/// A line of a file of predictions.
#[derive(Deserialize)]
struct Line {
    case: String,
    #[serde(flatten)]
    said: Said,
}

/// What was said of one case, and whether it was right.
#[derive(Clone, Debug)]
struct Judged {
    case: String,
    confidence: f64,
    is_right: bool,
}

/// Prints how often predictions of several confidences are right.
pub(crate) fn run(args: &ReliabilityArgs) -> anyhow::Result<()> {
    let mut truths = BTreeMap::new();
    for dir in &args.set {
        truths.extend(Set::open(dir)?.truths()?);
    }
    let mut judged = Vec::new();
    for file in &args.predictions {
        judged.extend(read(file, &truths)?);
    }
    if judged.is_empty() {
        bail!(
            "{:?}: no prediction of a case that --set knows",
            args.predictions
        );
    }
    for line in table(&judged) {
        say::line(&line)?;
    }
    let refitted = cross_validated(&judged);
    let wrong = judged
        .iter()
        .filter(|one| !one.is_right && one.confidence > SURE);
    say::line(&format!(
        "{} verdicts; expected calibration error {:.3}, {:.3} when the scale is fitted to the other cases ({FOLDS}-fold); \
         wrong with more than {SURE}: {}",
        judged.len(),
        error(&judged),
        error(&refitted),
        wrong.count()
    ))
}

fn read(file: &PathBuf, truths: &BTreeMap<String, Truth>) -> anyhow::Result<Vec<Judged>> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let mut judged = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let place = || place(file, at);
        let line: Line = serde_json::from_str(line).with_context(place)?;
        let truth = truths
            .get(&line.case)
            .with_context(|| format!("{}: case {} is in no --set", place(), line.case))?;
        // Who names nobody says nothing that could be right.
        if let Some(first) = line.said.ranking.first() {
            let is_root = *first == truth.root_entity || truth.root_pod.as_ref() == Some(first);
            judged.push(Judged {
                case: line.case,
                confidence: line.said.confidence,
                is_right: is_root && line.said.layer.as_ref() == Some(&truth.layer),
            });
        }
    }
    Ok(judged)
}

fn place(file: &Path, at: usize) -> String {
    format!("{}:{}", file.display(), at + 1)
}

fn bins(judged: &[Judged]) -> Vec<Vec<&Judged>> {
    let mut bins = vec![Vec::new(); BINS];
    for one in judged {
        let at = (one.confidence * BINS as f64) as usize;
        bins[at.min(BINS - 1)].push(one);
    }
    bins
}

/// Number, mean confidence and share that is right.
fn summary(bin: &[&Judged]) -> (f64, f64, f64) {
    let count = bin.len() as f64;
    let said: f64 = bin.iter().map(|one| one.confidence).sum();
    let right = bin.iter().filter(|one| one.is_right).count() as f64;
    (count, said / count.max(1.0), right / count.max(1.0))
}

fn table(judged: &[Judged]) -> Vec<String> {
    let mut lines = vec![format!(
        "{:<12}{:>6}{:>8}{:>8}",
        "confidence", "n", "said", "right"
    )];
    for (at, bin) in bins(judged)
        .iter()
        .enumerate()
        .filter(|(_, bin)| !bin.is_empty())
    {
        let (count, said, right) = summary(bin);
        let width = 1.0 / BINS as f64;
        let range = format!("{:.1} - {:.1}", at as f64 * width, (at + 1) as f64 * width);
        lines.push(format!("{range:<12}{count:>6}{said:>8.3}{right:>8.3}"));
    }
    lines
}

/// Expected calibration error: how far what was said is from what was right, over all bins by their numbers.
fn error(judged: &[Judged]) -> f64 {
    let all = judged.len().max(1) as f64;
    let parts = bins(judged).into_iter().map(|bin| {
        let (count, said, right) = summary(&bin);
        count / all * (said - right).abs()
    });
    parts.sum()
}

/// The same predictions on a scale that was fitted without their cases: a case is in one fold, however often it was judged.
fn cross_validated(judged: &[Judged]) -> Vec<Judged> {
    let cases: BTreeMap<&str, usize> = judged.iter().map(|one| (one.case.as_str(), 0)).collect();
    let folds: BTreeMap<&str, usize> = cases
        .into_keys()
        .enumerate()
        .map(|(at, case)| (case, at % FOLDS))
        .collect();
    let mut refitted = Vec::new();
    for fold in 0..FOLDS {
        let is_within = |one: &&Judged| folds[one.case.as_str()] == fold;
        let (held, others): (Vec<&Judged>, Vec<&Judged>) = judged.iter().partition(is_within);
        let scale = fit(&others);
        refitted.extend(held.into_iter().map(|one| Judged {
            confidence: logistic(scale, one.confidence),
            ..one.clone()
        }));
    }
    refitted
}

fn odds(confidence: f64) -> f64 {
    let inner = confidence.clamp(1e-4, 1.0 - 1e-4);
    (inner / (1.0 - inner)).ln()
}

fn logistic((constant, slope): (f64, f64), confidence: f64) -> f64 {
    1.0 / (1.0 + (-(constant + slope * odds(confidence))).exp())
}

/// Constant and slope of the odds that fit best.
///
/// Source: Platt, "Probabilistic outputs for support vector machines", 1999; by Newton's method, with steps halved until they
/// lead downhill, as in Lin, Lin, Weng, "A note on Platt's probabilistic outputs", Machine Learning 68 (2007).
fn fit(judged: &[&Judged]) -> (f64, f64) {
    let mut scale = (0.0, 1.0);
    for _ in 0..STEPS {
        let (constant, slope) = newton(judged, scale);
        let here = loss(judged, scale);
        let mut tried = (0..STEPS).map(|halvings| {
            let share = 0.5_f64.powi(i32::try_from(halvings).unwrap_or(i32::MAX));
            (scale.0 + share * constant, scale.1 + share * slope)
        });
        let Some(next) = tried.find(|next| loss(judged, *next) < here) else {
            break;
        };
        scale = next;
    }
    scale
}

/// Newton's step towards the least loss.
fn newton(judged: &[&Judged], (constant, slope): (f64, f64)) -> (f64, f64) {
    let (mut g0, mut g1) = (-RIDGE * constant, -RIDGE * (slope - 1.0));
    let (mut h00, mut h01, mut h11) = (RIDGE, 0.0, RIDGE);
    for one in judged {
        let x = odds(one.confidence);
        let said = logistic((constant, slope), one.confidence);
        let miss = f64::from(u8::from(one.is_right)) - said;
        let spread = said * (1.0 - said);
        g0 += miss;
        g1 += miss * x;
        h00 += spread;
        h01 += spread * x;
        h11 += spread * x * x;
    }
    let determinant = h00 * h11 - h01 * h01;
    (
        (h11 * g0 - h01 * g1) / determinant,
        (h00 * g1 - h01 * g0) / determinant,
    )
}

/// How unlikely what happened is on a scale: the negative logarithm, and the ridge.
fn loss(judged: &[&Judged], (constant, slope): (f64, f64)) -> f64 {
    let ridge = RIDGE / 2.0 * (constant.powi(2) + (slope - 1.0).powi(2));
    let unlikely = judged.iter().map(|one| {
        let z = constant + slope * odds(one.confidence);
        let against = if one.is_right { -z } else { z };
        // ln(1 + e^against), which does not overflow.
        against.max(0.0) + (-against.abs()).exp().ln_1p()
    });
    ridge + unlikely.sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(confidence: f64, right: usize, wrong: usize) -> Vec<Judged> {
        let one = |at: usize| Judged {
            case: format!("{confidence}-{at}"),
            confidence,
            is_right: at < right,
        };
        (0..right + wrong).map(one).collect()
    }

    #[test]
    fn who_is_right_as_often_as_said_has_no_error() {
        let exact = [judged(0.8, 80, 20), judged(0.25, 25, 75)].concat();
        assert!(error(&exact) < 1e-9);
        let boastful = judged(0.95, 50, 50);
        assert!((error(&boastful) - 0.45).abs() < 1e-9);
    }

    #[test]
    fn a_fitted_scale_takes_boasting_back() {
        // Shares in the middle of bins: a fold with more that is right is judged by a scale that was fitted to less, which at the edge
        // of two bins would part the right from the wrong.
        let boastful = [judged(0.95, 65, 35), judged(0.6, 25, 75)].concat();
        assert!(error(&boastful) > 0.3);
        assert!(error(&cross_validated(&boastful)) < 0.02);
    }
}
