//! How a process can be told to misbehave, as real ones do.

use std::{net::SocketAddr, time::Duration};

use axum::{Json, Router, extract::State, routing::put};
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, sync::watch};

/// All that can be wrong with a process; nothing is by default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Defect {
    /// Threads that compute without pause.
    pub(crate) hog_threads: u32,
    /// Added waiting time per request, or per round trip of a link.
    pub(crate) delay_ms: u64,
    /// Share of requests that fail.
    pub(crate) fail_share: f64,
    /// Share of pieces that a link loses; they are sent again, as TCP does. At 1 the link is cut.
    pub(crate) loss_share: f64,
    /// How long the write lock is held at a time.
    pub(crate) hold_lock_ms: u64,
    /// The process ends that long after its start.
    pub(crate) crash_after_ms: Option<u64>,
}

/// The defect as it is now.
pub(crate) type Watched = watch::Receiver<Defect>;

/// Listens for orders on the control socket, and obeys those that concern the whole process.
pub(crate) async fn control(address: SocketAddr, initial: Defect) -> anyhow::Result<Watched> {
    if let Some(after) = initial.crash_after_ms {
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(after));
            std::process::abort();
        });
    }
    let (sender, receiver) = watch::channel(initial);
    hog(receiver.clone());
    let set = |State(sender): State<watch::Sender<Defect>>, Json(defect): Json<Defect>| async move {
        sender.send_replace(defect);
    };
    let router = Router::new().route("/defect", put(set)).with_state(sender);
    let listener = TcpListener::bind(address).await?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(receiver)
}

/// Keeps as many threads busy as the defect says.
fn hog(defect: Watched) {
    tokio::spawn(async move {
        let mut orders = defect;
        let mut running = 0;
        while orders.changed().await.is_ok() {
            let wanted = orders.borrow().hog_threads;
            for number in running..wanted {
                let orders = orders.clone();
                std::thread::spawn(move || {
                    while orders.borrow().hog_threads > number {
                        super::compute(20.0);
                    }
                });
            }
            running = wanted;
        }
    });
}
