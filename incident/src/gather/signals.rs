//! Metrics to signals.

mod naming;
mod source;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use demarc_proto::{Labels, METRIC_NAME};
use demarc_topology::Graph;

use super::{Series, shared::Found};
use crate::{Evidence, IncidentError, ProcessFact, SignalFact, StoredQuery};
use naming::Machines;
pub(super) use naming::service_id;
use source::{Naming, SOURCES, Source};

/// Intervals of senders are guessed from the window's step, then taken as a minute.
const SLOW_SENDER: Duration = Duration::from_secs(150);

/// Reads every signal that a tenant's metrics tell of entities in scope.
pub(crate) async fn read(
    series: &Series<'_>,
    graph: &Graph,
    evidence: &mut Evidence,
) -> Result<(), IncidentError> {
    let machines = Machines::of(graph, evidence.entities.keys());
    for source in SOURCES.iter().filter(|source| series.has(source.metric())) {
        let (over, found) = source.read(series).await?;
        for (labels, points) in found.iter() {
            // Most series of a large system are of entities that are out of scope: nothing is worked out for these.
            let entities = source.naming.entities(series.tenant, labels, &machines);
            let told = |entity: &_| {
                let is_process = matches!(source.naming, Naming::Process);
                evidence.entities.contains_key(entity)
                    && (is_process || evidence.signal(entity, source.signal).is_none())
            };
            let entities: Vec<_> = entities.into_iter().filter(told).collect();
            if entities.is_empty() {
                continue;
            }
            let shift = series.window.shift_over(points, over);
            let query = stored(series, source, labels, over);
            for entity in entities {
                let (shift, query) = (shift, query.clone());
                match source.naming {
                    Naming::Process => {
                        evidence.processes.push(ProcessFact::of(
                            entity,
                            labels,
                            graph,
                            (shift, query),
                        ));
                    }
                    _ => evidence.signals.push(SignalFact {
                        entity,
                        signal: source.signal,
                        shift,
                        query,
                    }),
                }
            }
        }
    }
    Ok(())
}

impl Source {
    /// The points of every series, and the time that each point sums up.
    async fn read(&self, series: &Series<'_>) -> Result<(Duration, Arc<Found>), IncidentError> {
        if !self.query.contains("$w") {
            return Ok((
                Duration::ZERO,
                series.all_samples(&self.text("", Duration::ZERO)).await?,
            ));
        }
        // Two samples of a sender that reports once a step, and some slack.
        let short = series.window.step * 2 + Duration::from_secs(2);
        let found = series.steps(&self.text("", short)).await?;
        if found.is_empty() && short < SLOW_SENDER {
            return Ok((
                SLOW_SENDER,
                series.steps(&self.text("", SLOW_SENDER)).await?,
            ));
        }
        Ok((short, found))
    }
}

fn stored(series: &Series<'_>, source: &Source, labels: &Labels, over: Duration) -> StoredQuery {
    let matchers: Vec<String> = labels
        .iter()
        .filter(|(name, _)| *name != METRIC_NAME)
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    series.stored(source.text(&matchers.join(", "), over))
}
