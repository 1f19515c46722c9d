//! Time between the two sides of calls out of metrics, where no spans tell it.

use std::collections::BTreeMap;

use demarc_proto::{EntityId, Labels};

use super::{Series, forest::Phase};
use crate::{
    CallFacts, Evidence, GapFacts, IncidentError, Shift,
    shift::{Point, kept, median, quantile},
};

/// Median durations of calls by either side, in seconds. Source of names: Tempo, "Service graph metrics".
const CLIENT: &str = "traces_service_graph_request_client_seconds";
const SERVER: &str = "traces_service_graph_request_server_seconds";
/// The label of a median.
const MEDIAN: &str = "{quantile=\"0.5\"}";
/// Fewest medians before, to compare with.
const MIN_BEFORE: usize = 5;
/// A median sums up many calls: it counts as at least so many.
const MIN_COUNT: u64 = 3;

/// Notes the calls of which only metrics tell.
pub(crate) async fn read(
    series: &Series<'_>,
    evidence: &mut Evidence,
) -> Result<(), IncidentError> {
    if !series.has(CLIENT) || !series.has(SERVER) {
        return Ok(());
    }
    let mut sides: BTreeMap<(String, String), [BTreeMap<i64, f64>; 2]> = BTreeMap::new();
    for (side, metric) in [CLIENT, SERVER].into_iter().enumerate() {
        let found = series.all_samples(&format!("{metric}{MEDIAN}")).await?;
        for (labels, points) in found.iter() {
            let medians = &mut sides.entry(ends(labels)).or_default()[side];
            medians.extend(points.iter().map(|(at, seconds)| (at.0, *seconds)));
        }
    }
    for ((client, server), [client_seconds, server_seconds]) in sides {
        let id = |name: &str| EntityId(format!("service:{}/{name}", series.tenant));
        let (from, to) = (id(&client), id(&server));
        let is_in_scope = [&from, &to]
            .into_iter()
            .all(|id| evidence.entities.contains_key(id));
        if !is_in_scope {
            continue;
        }
        let gaps: Vec<Point> = client_seconds
            .iter()
            .filter_map(|(at, seconds)| {
                let gap = seconds - server_seconds.get(at)?;
                Some((demarc_proto::Nanos(*at), gap * 1e3))
            })
            .collect();
        let Some(gap) = gap(series, &gaps) else {
            continue;
        };
        let text = format!(
            "{CLIENT}{{client={client:?}, server={server:?}, quantile=\"0.5\"}} - \
             {SERVER}{{client={client:?}, server={server:?}, quantile=\"0.5\"}}"
        );
        let is_known = |call: &&mut CallFacts| call.from == from && call.to == to;
        if let Some(known) = evidence.calls.iter_mut().find(is_known) {
            // Spans tell it better, where there are any of the disturbance.
            known.gap.get_or_insert(gap);
            continue;
        }
        evidence.calls.push(CallFacts {
            from,
            to,
            is_instrumented: true,
            per_request: Shift::default(),
            client_ms: Shift::default(),
            server_ms: Shift::default(),
            gap_ms: series.window.shift(&gaps),
            gap: Some(gap),
            failed: Shift::default(),
            unanswered: Shift::default(),
            links: Vec::new(),
            query: series.stored(text),
        });
    }
    Ok(())
}

fn ends(labels: &Labels) -> (String, String) {
    let end = |name: &str| labels.get(name).to_owned();
    (end("client"), end("server"))
}

fn gap(series: &Series<'_>, gaps: &[Point]) -> Option<GapFacts> {
    let of = |wanted: Phase| -> Vec<f64> {
        let points = gaps.iter();
        let side = points.filter(|(at, _)| series.window.phase(*at, false) == Some(wanted));
        side.map(|(_, ms)| *ms).collect()
    };
    let (before, during) = (of(Phase::Before), of(Phase::During));
    if before.len() < MIN_BEFORE {
        return None;
    }
    // Medians of few calls vary: what is usual reaches up to what only one in twenty exceeded.
    let (middle, high) = (median(&before)?, quantile(&before, 0.95)?);
    Some(GapFacts {
        before_count: before.len() as u64,
        during_count: (during.len() as u64).max(MIN_COUNT),
        before_ms: kept(middle),
        before_high_ms: kept((middle + high) / 2.0),
        during_ms: kept(median(&during)?),
    })
}
