//! Predictions against the truth, in the measures of `score.py` beside the sets.

use std::collections::BTreeMap;

use super::prediction::Prediction;
use crate::recording::Truth;

/// Places of the root entity that are counted.
const PLACES: usize = 5;

/// Scores by group.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    by_fault: BTreeMap<String, Vec<Scored>>,
    misses: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
struct Scored {
    /// Place of the root entity from 1 on.
    place: Option<usize>,
    is_layer_right: bool,
}

/// AC@1, AC@3, AC@5, Avg@5, layer, joint.
type Figures = [f64; 6];

impl Tally {
    pub(crate) fn add(&mut self, truth: &Truth, prediction: &Prediction) {
        let is_root =
            |name: &&String| **name == truth.root_entity || truth.root_pod.as_ref() == Some(*name);
        let place = prediction.ranking.iter().position(|name| is_root(&name));
        let scored = Scored {
            place: place.map(|place| place + 1),
            is_layer_right: prediction.layer == Some(truth.layer.as_str()),
        };
        if scored.place != Some(1) || !scored.is_layer_right {
            self.misses.push(format!(
                "  {} {}: root {} [{}], place {:?}, first {:?} [{}], confidence {:.2}",
                truth.case,
                truth.fault_type,
                truth.root_entity,
                truth.layer,
                scored.place,
                prediction.ranking.first().map_or("-", String::as_str),
                prediction.layer.unwrap_or("-"),
                prediction.confidence,
            ));
        }
        let group = self.by_fault.entry(truth.fault_type.clone()).or_default();
        group.push(scored);
    }

    /// The table, a line per fault type, over all, and over the fault types.
    pub(crate) fn table(&self) -> Vec<String> {
        if self.by_fault.is_empty() {
            return Vec::new();
        }
        let mut lines = vec![format!(
            "{:<24}{:>4}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}",
            "fault", "n", "AC@1", "AC@3", "AC@5", "Avg@5", "layer", "joint"
        )];
        let all: Vec<Scored> = self.by_fault.values().flatten().copied().collect();
        let mut sums: Figures = Figures::default();
        for (fault, scored) in &self.by_fault {
            let figures = figures(scored);
            for (sum, figure) in sums.iter_mut().zip(figures) {
                *sum += figure / self.by_fault.len() as f64;
            }
            lines.push(line(fault, scored.len(), figures));
        }
        lines.push(line("all", all.len(), figures(&all)));
        lines.push(line("mean over fault types", self.by_fault.len(), sums));
        lines
    }

    /// The cases whose first suspect or layer is wrong.
    pub(crate) fn misses(&self) -> &[String] {
        &self.misses
    }
}

fn figures(scored: &[Scored]) -> Figures {
    let share = |is_right: &dyn Fn(&Scored) -> bool| {
        scored.iter().filter(|one| is_right(one)).count() as f64 / scored.len().max(1) as f64
    };
    let within = |most: usize| share(&|one| one.place.is_some_and(|place| place <= most));
    let mean = (1..=PLACES).map(within).sum::<f64>() / PLACES as f64;
    [
        within(1),
        within(3),
        within(PLACES),
        mean,
        share(&|one| one.is_layer_right),
        share(&|one| one.is_layer_right && one.place == Some(1)),
    ]
}

fn line(name: &str, count: usize, figures: Figures) -> String {
    let figures = figures.map(|figure| format!("{figure:>8.3}"));
    format!("{name:<24}{count:>4}{}", figures.concat())
}
