//! A verdict in the words of a set's labels.

use demarc_incident::{Outcome, Suspect, Verdict};
use demarc_topology::{EntityKind, Graph, Layer};
use serde::Deserialize;
use serde_json::json;

/// What a verdict predicts.
#[derive(Clone, Debug)]
pub(crate) struct Prediction {
    /// Names of entities, the likeliest first; each once.
    pub(crate) ranking: Vec<String>,
    pub(crate) layer: Option<&'static str>,
    pub(crate) is_determined: bool,
    pub(crate) confidence: f64,
}

/// A prediction as a file of them holds it.
#[derive(Debug, Deserialize)]
pub(crate) struct Said {
    pub(crate) ranking: Vec<String>,
    pub(crate) layer: Option<String>,
    pub(crate) confidence: f64,
}

impl Prediction {
    pub(crate) fn of(verdict: &Verdict, graph: &Graph) -> Self {
        let mut ranking: Vec<String> = Vec::new();
        for candidate in &verdict.ranking {
            let name = &candidate.suspect.entity_name;
            if !ranking.contains(name) {
                ranking.push(name.clone());
            }
        }
        let first = verdict.ranking.first();
        Self {
            ranking,
            layer: first.map(|first| layer(&first.suspect, graph)),
            is_determined: matches!(verdict.outcome, Outcome::Determined { .. }),
            confidence: first.map_or(0.0, |first| first.confidence),
        }
    }

    /// One line of a file of predictions.
    pub(crate) fn line(&self, case: &str) -> String {
        let line = json!({
            "case": case, "ranking": self.ranking, "layer": self.layer,
            "determined": self.is_determined, "confidence": self.confidence,
        });
        line.to_string()
    }
}

/// The labels know fewer layers: a function is its own, and what runs a pod counts as compute.
fn layer(suspect: &Suspect, graph: &Graph) -> &'static str {
    let kind = graph.get(&suspect.entity).map(|entity| entity.kind);
    match suspect.layer {
        Layer::Application if kind == Some(EntityKind::Function) => "serverless",
        Layer::Application | Layer::External => "application",
        Layer::Middleware => "database",
        Layer::Platform | Layer::Compute | Layer::Storage => "compute",
        Layer::Network => "network",
    }
}
