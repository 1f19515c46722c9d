//! The loops: each survives its errors, and ends when the server does.

use std::{sync::Arc, time::Duration};

use demarc_incident::Incident;
use demarc_notify::{Notice, Occasion};
use demarc_topology::Responsibility;
use tokio::{task::JoinSet, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    app::{App, Observations},
    memory, metric,
    status::chain,
};

/// How often due rules and due verdicts are looked for.
const TICK: Duration = Duration::from_secs(1);
/// How often it is looked at how much memory there is left; queries that are younger are not ended.
const GLANCE: Duration = Duration::from_millis(250);
/// How often the responsibility file is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// How often what is new in the topology is written to the store: what a crash can lose of it.
const PERSIST_NEW: Duration = Duration::from_secs(2);
/// Every so many times, what goes on is written as well.
const PERSIST_ALL: u64 = 15;

/// Starts every loop.
pub(crate) fn start(
    app: &Arc<App>,
    observations: Observations,
    stop: &CancellationToken,
) -> JoinSet<()> {
    let mut loops = JoinSet::new();
    loops.spawn(observe(Arc::clone(app), observations, stop.clone()));
    loops.spawn(span_metrics(Arc::clone(app), stop.clone()));
    loops.spawn(persist(Arc::clone(app), stop.clone()));
    loops.spawn(alerts(Arc::clone(app), stop.clone()));
    loops.spawn(verdicts(Arc::clone(app), stop.clone()));
    loops.spawn(relieve(Arc::clone(app), stop.clone()));
    loops.spawn(responsibility(Arc::clone(app), stop.clone()));
    loops
}

async fn observe(app: Arc<App>, mut observations: Observations, stop: CancellationToken) {
    while let Some(Some(batch)) = stop.run_until_cancelled(observations.recv()).await {
        app.topology.observe(&batch);
    }
    // What was acknowledged before the end is still part of the graph that is persisted last.
    while let Ok(batch) = observations.try_recv() {
        app.topology.observe(&batch);
    }
}

async fn span_metrics(app: Arc<App>, stop: CancellationToken) {
    let mut ticks = ticks(app.ingest.config().span_metrics_interval());
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        if let Err(failure) = app.ingest.flush_span_metrics().await {
            error!(
                failure = chain(&failure),
                "metrics of spans were not written"
            );
        }
    }
}

/// Ends queries while the process holds nearly as much memory as it may, if it may be theirs.
async fn relieve(app: Arc<App>, stop: CancellationToken) {
    let limit = app.config.memory.relief_bytes();
    let mut ticks = ticks(GLANCE);
    let mut floor = memory::Floor::default();
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let held = memory::held().unwrap_or(0);
        let above = held - floor.note(held);
        if held > limit && above > limit / memory::QUERIES_PART && app.engine.shed(GLANCE) {
            warn!(held, limit, "memory runs short: a query was ended");
        }
    }
}

async fn persist(app: Arc<App>, stop: CancellationToken) {
    let mut ticks = ticks(PERSIST_NEW);
    let mut count: u64 = 0;
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        count += 1;
        let written = match count.is_multiple_of(PERSIST_ALL) {
            true => app.topology.persist().await,
            false => app.topology.persist_new().await,
        };
        if let Err(failure) = written {
            error!(failure = chain(&failure), "topology was not written");
        }
    }
}

/// Puts the responsibility file in force whenever its text changes. One that cannot be read or is wrong is told of once, and the matrix
/// stays as it is.
async fn responsibility(app: Arc<App>, stop: CancellationToken) {
    let Some(path) = app.config.responsibility_file.clone() else {
        return;
    };
    let mut ticks = ticks(LOOK);
    let mut known = None;
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let text = tokio::fs::read_to_string(&path).await;
        let text = text.map_err(|failure| failure.to_string());
        if known.as_ref() == Some(&text) {
            continue;
        }
        let read = text
            .as_deref()
            .map_err(Clone::clone)
            .and_then(|text| Responsibility::from_yaml(text).map_err(|failure| chain(&failure)));
        let path = path.display();
        match read {
            Ok(matrix) if matrix == *app.topology.responsibility() => {}
            Ok(matrix) => {
                app.topology.answer_by(matrix);
                info!(%path, "responsibility file in force");
            }
            Err(failure) => error!(%path, failure, "responsibility file refused"),
        }
        known = Some(text);
    }
}

async fn alerts(app: Arc<App>, stop: CancellationToken) {
    let mut ticks = ticks(TICK);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let events = app.rules.evaluate().await;
        if events.is_empty() {
            continue;
        }
        match app.demarcation.alerts(&events).await {
            Ok(incidents) => {
                for incident in incidents {
                    announce(&app, incident);
                }
            }
            Err(failure) => error!(failure = chain(&failure), "alerts were not grouped"),
        }
    }
}

/// Tells of an incident that began or ended.
fn announce(app: &Arc<App>, incident: Incident) {
    let occasion = if incident.is_open() {
        Occasion::Opened
    } else {
        Occasion::Resolved
    };
    info!(
        incident = incident.id,
        ?occasion,
        title = incident.title.en,
        "incident"
    );
    notify(app, incident, occasion);
}

fn notify(app: &Arc<App>, incident: Incident, occasion: Occasion) {
    metric::count(&incident, occasion);
    let graph = app.topology.graph_at(app.clock.now());
    let notifier = Arc::clone(&app.notifier);
    // A slow receiver must not hold up the next evaluation.
    tokio::spawn(async move {
        notifier
            .notify(&Notice {
                incident,
                occasion,
                graph,
            })
            .await
    });
}

async fn verdicts(app: Arc<App>, stop: CancellationToken) {
    let mut ticks = ticks(TICK);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let due = match app.demarcation.due().await {
            Ok(due) => due,
            Err(failure) => {
                error!(failure = chain(&failure), "incidents were not read");
                continue;
            }
        };
        if due.is_empty() {
            continue;
        }
        let round = app.demarcation.round();
        for id in due {
            match app.demarcation.conclude(&id, &round).await {
                Ok(None) => {}
                Ok(Some(incident)) => notify(&app, incident, Occasion::Verdict),
                Err(failure) => {
                    error!(
                        incident = id,
                        failure = chain(&failure),
                        "verdict was not reached"
                    );
                }
            }
        }
    }
}

fn ticks(period: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
