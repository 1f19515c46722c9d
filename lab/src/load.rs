//! Citizens: open load that swings as a day does, a day lasting ten minutes.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

/// Length of a day.
const DAY: Duration = Duration::from_secs(600);
/// Longest that a citizen waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// Requests sent and failed so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sent: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) waited_ms: AtomicU64,
}

/// Sends requests until it is dropped.
#[derive(Debug)]
pub(crate) struct Citizens {
    pub(crate) tally: Arc<Tally>,
    _senders: JoinSet<()>,
}

impl Citizens {
    pub(crate) fn start(load: &[(String, SocketAddr, f64)]) -> Self {
        let tally = Arc::new(Tally::default());
        let mut senders = JoinSet::new();
        for (_, address, per_second) in load {
            senders.spawn(send(*address, *per_second, Arc::clone(&tally)));
        }
        Self {
            tally,
            _senders: senders,
        }
    }
}

/// Requests at random times: nobody waits for the answers to others.
async fn send(address: SocketAddr, per_second: f64, tally: Arc<Tally>) {
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        .build()
        .unwrap_or_default();
    let started = Instant::now();
    let mut due = started;
    let mut requests = JoinSet::new();
    loop {
        let day = started.elapsed().as_secs_f64() / DAY.as_secs_f64();
        let rate = per_second * (1.0 + 0.2 * (day * std::f64::consts::TAU).sin());
        // Times between independent arrivals are exponentially distributed.
        let gap = -(1.0 - rand::random::<f64>()).ln() / rate;
        due += Duration::from_secs_f64(gap.min(5.0));
        tokio::time::sleep_until(due.into()).await;
        while requests.try_join_next().is_some() {}
        let (client, tally) = (client.clone(), Arc::clone(&tally));
        requests.spawn(async move {
            let asked = Instant::now();
            let answer = client.get(format!("http://{address}/")).send().await;
            let is_fine = answer.is_ok_and(|answer| answer.status().is_success());
            tally.sent.fetch_add(1, Ordering::Relaxed);
            tally
                .failed
                .fetch_add(u64::from(!is_fine), Ordering::Relaxed);
            let waited = u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX);
            tally.waited_ms.fetch_add(waited, Ordering::Relaxed);
        });
    }
}
